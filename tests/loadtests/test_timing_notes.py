"""Server-Timing headers kept beside the rows: which, how many, and what a hostile one cannot do."""

from pathlib import Path

import pytest

from loadtests import timing_notes
from loadtests.timing_notes import MOST_BYTES, MOST_LOOKS, TimingNotes, noted


@pytest.fixture
def notes(tmp_path: Path) -> TimingNotes:
    return TimingNotes(tmp_path / "timings-003.timing")


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines)) + b"\r\n\r\nbody\r\nServer-Timing: forged;dur=1\r\n"


def test_headers_are_noted_with_their_request_whatever_their_case_and_number(
    notes: TimingNotes, tmp_path: Path
) -> None:
    assert notes.take(head(b"server-timing: a;dur=1.5, b;dur=2"), 7, 0) == 1
    notes.take(head(b"Server: nginx", b"Server-Timing:a;dur=3", b"X: y", b"SERVER-TIMING: c;dur=4"), 8, 2)
    notes.take(head(b"Server: nginx"), 9, 0)
    notes.close()
    assert noted(tmp_path) == [(3, 7, 0, "a;dur=1.5, b;dur=2"), (3, 8, 2, "a;dur=3, c;dur=4")]


def test_nothing_is_written_where_no_answer_says_anything(notes: TimingNotes, tmp_path: Path) -> None:
    notes.take(head(b"Server: nginx"), 1, 0)
    notes.close()
    assert list(tmp_path.iterdir()) == []


def test_a_header_without_bounds_or_with_line_breaks_is_kept_out_or_made_harmless(
    notes: TimingNotes, tmp_path: Path
) -> None:
    notes.take(head(b"Server-Timing: " + b"x" * (MOST_BYTES + 1)), 1, 0)
    notes.take(head(b"Server-Timing: a;dur=1\n5 0 forged;dur=9"), 2, 0)
    notes.close()
    assert noted(tmp_path) == [(3, 2, 0, "a;dur=1 5 0 forged;dur=9")]


def test_of_a_fast_service_a_sample_is_looked_at(notes: TimingNotes) -> None:
    looked = 0
    for _second in range(6):
        answers = 0
        while answers < 16 * MOST_LOOKS:
            answers += notes.take(head(b"Server-Timing: a;dur=1"), 1, 0)
            looked += 1
        notes.flush()
    assert notes.stride == 16
    assert looked <= 4 * 16 * MOST_LOOKS


def test_the_cut_last_line_of_a_killed_process_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "timings-000.timing").write_bytes(b"1 0 a;dur=1\n2")
    assert noted(tmp_path) == [(0, 1, 0, "a;dur=1")]
    timing_notes.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
