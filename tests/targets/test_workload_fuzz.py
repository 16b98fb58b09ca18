"""Whatever a file holds, reading it ends, accounts for every line, and shows nothing that a terminal obeys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurements.errors import UsageError
from targets.contract_file import load
from targets.workload import nginx
from targets.workload.contract_mix import usable
from targets.workload.document import document
from targets.workload.formats import READERS
from targets.workload.paths import Endpoints
from targets.workload.reading import read
from targets.workload.tables import lines
from targets.workload.tally import tally
from targets.workload.writing import write

BURSTGPT = ("Timestamp", "Model", "Request tokens", "Response tokens")
VALID = (
    b'10.0.0.1 - - [21/Nov/2026:19:39:45 +0900] "GET /a/7?q=1 HTTP/1.1" 200 5 "-" "x" 0.010',
    b'INFO:     127.0.0.1:52044 - "GET /health HTTP/1.1" 200 OK',
    b'{"path": "/a", "status": 200, "time": "2026-11-21T10:39:45.5Z", "duration": 0.1}',
    b"2023-11-16 18:15:46.6805900,374,44",
    b"5,ChatGPT,472,18",
    b'{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46]}',
)
BROKEN = st.sampled_from([
    b"\x00", b"\x1b[2J", b'"', b"\\", b"[", b"]", b" ", b"{", b"}}", b"%", b"/", b"\r", b",", b"null", b"-1", b"1e999", b"",
    b"\xff\xfe", b"\xe2\x80\xae", "한".encode(), b"9" * 40, b'" "', b'\\"', b"\\\\", b' "', b" 9.999",
])  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid line with pieces cut out of it and put into it."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(BROKEN) + text[start + draw(st.integers(0, 6)) :]
    return text.replace(b"\n", b"")


any_line = st.one_of(
    st.sampled_from(VALID), damaged(), st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" "))
)
any_block = st.lists(any_line, max_size=12).map(lambda found: b"".join(text + b"\n" for text in found))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150)
@given(block=any_block)
def test_a_reader_accounts_for_every_line_of_any_block(name: str, block: bytes) -> None:
    columns = READERS[name](block, BURSTGPT)
    assert columns.line_breaks == block.count(b"\n")
    assert columns.requests + columns.skipped == columns.lines <= columns.line_breaks
    n = columns.requests
    assert [len(c) for c in (columns.status, columns.at_us, columns.offset_s, columns.duration_s)] == [n] * 4
    assert ((columns.duration_s >= 0) | np.isnan(columns.duration_s)).all()
    assert all(b"\n" not in head for head in columns.heads)
    counted = tally(columns, Endpoints())
    assert sum(counted.counts.values()) == n
    assert counted.second_counts.sum() <= n


@settings(max_examples=300)
@given(block=any_block)
def test_the_quick_way_through_an_nginx_block_gives_what_the_strict_one_gives(block: bytes) -> None:
    assert nginx.requests(block) == nginx.LINE.findall(block)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=any_block, gap=st.sampled_from([b"", b"\r\n", b"\x00" * 9_000 + b"\n"]))
def test_any_file_gives_harmless_tables_and_a_loadable_contract_or_one_sentence(
    tmp_path: Path, block: bytes, gap: bytes
) -> None:
    log, out = tmp_path / "any.log", tmp_path / "mix.toml"
    out.unlink(missing_ok=True)
    log.write_bytes(gap + block)
    try:
        reading = read([log])
    except UsageError as refusal:
        assert str(refusal).isprintable()
        return
    found = document(reading)
    found["written"] = write(reading, found, out)
    assert found["requests"] + found["skipped"]["count"] == found["lines"]
    assert sum(endpoint["requests"] for endpoint in found["endpoints"]) == found["requests"]
    assert all(text.isprintable() for text in lines(found))
    json.dumps(found, allow_nan=False)
    if reading.trace or usable(found):
        load(out)


@settings(max_examples=200)
@given(head=st.binary(max_size=200).map(lambda raw: b"GET /" + raw.replace(b"\n", b"")))
def test_any_path_becomes_plain_ascii_without_braces(head: bytes) -> None:
    endpoint = Endpoints().of([head])[head]
    bare = endpoint.replace("{id}", "").replace("{*}", "")
    assert bare.isascii()
    assert bare.isprintable()
    assert not set('{}"\\ ') & set(bare.removeprefix("GET "))
