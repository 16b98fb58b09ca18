"""Deadlines of a request: until the connection stands, until the first byte, in all. Real sockets, short times."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from real_runs import contract, rows, run
from servers import Scripted, answer, endless, head, silent

from loadtests.arrivals import Process
from plimsoll.measure import Run

DRIPS = endless(head(Content_Length=1_000), b".", 100, pause_s=0.03)


@pytest.fixture
def deaf() -> Iterator[str]:
    """A port whose connections are never taken: its backlog is full, so the next SYN is not answered."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for filler in fillers:
        filler.close()
    listener.close()


def errors(made: Run) -> set[str]:
    return {row["excerpt"] for row in pq.read_table(made.directory.path / "errors.parquet").to_pylist()}


def waited_s(made: Run, name: str) -> list[float]:
    found = [row for row in rows(made.directory) if row["endpoint"] == name]
    assert found and {row["outcome"] for row in found} == {"timeout"}
    return [(row["done_ns"] - row["intended_ns"]) / 1e9 for row in found]


def test_an_answer_that_does_not_begin_ends_at_the_first_bytes_deadline_and_one_that_drips_at_the_total(
    tmp_path: Path,
) -> None:
    limits = {"timeout_s": 0.9, "first_byte_timeout_s": 0.3}
    endpoints: list[dict[str, Any]] = [
        {"name": "silent", "path": "/silent", **limits}, {"name": "drips", "path": "/drips", **limits},
        {"name": "ok", "path": "/ok", **limits},
    ]  # fmt: skip
    with Scripted({"/silent": silent(3.0), "/drips": DRIPS, "/ok": answer(after_s=0.05)}) as server:
        made = run(contract(server.url, endpoints), tmp_path, rate_rps=20.0, seed=5, process=Process("constant"))
    assert all(0.29 < s < 0.8 for s in waited_s(made, "silent"))
    assert all(0.89 < s < 2.0 for s in waited_s(made, "drips"))
    assert {row["outcome"] for row in rows(made.directory) if row["endpoint"] == "ok"} == {"ok"}


def test_a_connection_that_does_not_stand_ends_at_its_own_deadline(deaf: str, tmp_path: Path) -> None:
    from plimsoll import ready as whole

    endpoint = {"name": "deaf", "path": "/", "timeout_s": 5.0, "connect_timeout_s": 0.3}
    looked = whole._reachable
    try:
        whole._reachable = lambda *_: None  # else the look whether anybody is there would end it, rightly
        made = run(contract(deaf, [endpoint]), tmp_path, rate_rps=6.0, process=Process("constant"))
    finally:
        whole._reachable = looked
    assert all(0.29 < s < 1.0 for s in waited_s(made, "deaf"))
    assert errors(made) == {"timeout while waiting for a connection"}


SCENARIO = """
from locust import task
from plimsoll.users import PlimsollUser


class Impatient(PlimsollUser):
    @task
    def ask(self):
        self.client.get("/silent", name="total", timeout=0.2)
        self.client.get("/silent", name="first byte", timeout=(0.2, 5.0))
        self.client.get("/drips", name="drips", timeout=(0.2, 0.4))
        self.client.get("/silent", name="connected", timeout=(0.1, 0.2, 5.0))
"""


def test_a_locustfile_sets_them_per_request(tmp_path: Path) -> None:
    from plimsoll.measure import measure
    from plimsoll.spec import Spec

    (tmp_path / "impatient.py").write_text(SCENARIO)
    with Scripted({"/silent": silent(2.0), "/drips": DRIPS}) as server:
        made = measure(Spec(locustfile=tmp_path / "impatient.py", host=server.url, out=tmp_path / "runs", rate_rps=4.0,
                            duration_s=1.0, seed=1, process=Process("constant")))  # fmt: skip
    for row in rows(made.directory):
        limit_s = 0.4 if row["endpoint"] == "drips" else 0.2
        assert row["outcome"] == "timeout" and limit_s - 0.01 < (row["done_ns"] - row["sent_ns"]) / 1e9 < limit_s + 0.5
    assert len(rows(made.directory)) == 16
