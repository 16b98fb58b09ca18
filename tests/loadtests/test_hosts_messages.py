"""What comes over the line between hosts is a message from whom it says it is from, or nothing."""

from datetime import datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.hosts.messages import FROM_MASTER, FROM_WORKERS, understood


def parts(kind: Any, data: Any, node: Any = "host_1", identity: bytes = b"host_1") -> list[bytes]:
    return [identity, msgpack.packb((kind, data, node))]


BEAT = {"state": "running", "current_cpu_usage": 12.5, "current_memory_usage": 1}


@pytest.mark.parametrize(
    ("kind", "data"),
    [("client_ready", "2.47.0"), ("heartbeat", BEAT), ("plimsoll", {"say": "bytes", "rank": 0, "data": b"\x00\xff"})],
)
def test_what_a_worker_says_is_understood(kind: str, data: Any) -> None:
    assert understood(parts(kind, data), FROM_WORKERS) == (kind, data, "host_1")


@pytest.mark.parametrize(
    "found",
    [
        [], [b"host_1"], [b"host_1", b""], [b"host_1", b"\xc1"], [b"\xff", msgpack.packb(("heartbeat", BEAT, "x"))],
        parts("client_ready", 7), parts("client_ready", None), parts("client_ready", "9" * 1_000),
        parts("heartbeat", {}), parts("heartbeat", {**BEAT, "current_cpu_usage": "x"}), parts("heartbeat", "x"),
        parts("heartbeat", {**BEAT, "state": "missing"}), parts("heartbeat", BEAT, node="host_2"),
        parts("quit", None), parts("locustfile", {"version": "2.47"}), parts("stats", {}), parts("exception", {}),
        parts("client_stopped", None), parts("logs", {}), parts(["plimsoll"], {"say": "x"}), parts("plimsoll", []),
        parts("plimsoll", {"say": 3}), [b"host_1", msgpack.packb((1, 2))], [b"host_1", b"\x93" * 5_000],
        [b"host_1", msgpack.packb(msgpack.ExtType(5, b"x"))], [b"host_1", b"\xdd\xff\xff\xff\xff"],
        [b"host_1", msgpack.packb(("plimsoll", {"say": "x"}, "host_1")) + b"more"],
    ],
)  # fmt: skip
def test_what_would_trip_locusts_handlers_is_dropped(found: list[bytes]) -> None:
    assert understood(found, FROM_WORKERS) is None


def test_a_master_can_neither_spawn_nor_update_classes_nor_hide_objects_in_its_words() -> None:
    for kind in ("spawn", "update_user_class", "quit", "reconnect"):
        assert understood(parts(kind, {"say": "x"}), FROM_MASTER) is None
    disguised = {"say": "x", "at": {"__datetime__": True, "as_str": "20240101T00:00:00.0"}}
    found = understood(parts("plimsoll", disguised), FROM_MASTER)
    assert found is not None and not isinstance(found[1]["at"], datetime)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_no_bytes_raise(found: list[bytes]) -> None:
    understood(found, FROM_WORKERS)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(kind=st.sampled_from(sorted(FROM_WORKERS | {"stats", "quit"})), data=JSON, node=JSON)
def test_no_message_raises_and_none_speaks_for_another(kind: str, data: Any, node: Any) -> None:
    found = understood(parts(kind, data, node), FROM_WORKERS)
    assert found is None or (found[2] == "host_1" == node and found[0] in FROM_WORKERS)
