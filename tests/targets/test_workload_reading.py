"""Whole files: every count agrees with an independent one, whatever else the file holds."""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from workload_logs import nginx_lines

from measurements.errors import UsageError
from measurements.quantiles import needed
from targets.workload import blocks
from targets.workload.document import document
from targets.workload.latency import NEEDED, QUANTILES, ResponseTimes, buckets
from targets.workload.reading import read
from targets.workload.tables import lines

LINE = '10.0.0.1 - - [21/Nov/2026:10:00:{second:02d} +0900] "GET {path} HTTP/1.1" {status} 5 "-" "x" {took}'


def write(path: Path, *texts: str | bytes) -> Path:
    path.write_bytes(b"\n".join(text if isinstance(text, bytes) else text.encode() for text in texts) + b"\n")
    return path


def line(path: str = "/a", status: int = 200, second: int = 0, took: float = 0.01) -> str:
    return LINE.format(path=path, status=status, second=second, took=f"{took:.3f}")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("logs") / "access.log", *nginx_lines(20_000, seed=7))


def counted(path: Path) -> tuple[Counter[tuple[str, int, int]], dict[str, list[float]]]:
    """(endpoint, hour of arrival, status) and seconds per endpoint, by other means than the reader's."""
    counts, took = Counter(), {}
    for text in path.read_text().splitlines():
        stamp = datetime.strptime(text.split("[")[1].split("]")[0], "%d/%b/%Y:%H:%M:%S %z")
        head, status, seconds = text.split('"')[1], int(text.split('"')[2].split()[0]), float(text.split()[-1])
        method, target, _ = head.split(" ")
        endpoint = f"{method} {re.sub(r'/[0-9]+', '/{id}', target.split('?')[0])}"
        hour = int((stamp.timestamp() + 9 * 3600 + 0.5 - seconds) // 3600 % 24)
        counts[endpoint, hour, status] += 1
        took.setdefault(endpoint, []).append(seconds)
    return counts, took


def test_every_request_is_counted_under_its_endpoint_hour_and_status(day):
    truth, _ = counted(day)
    reading = read([day])
    reading.merged.fold()
    found = {
        (name, hour, status): count
        for name, counts in reading.merged.counts.items()
        for (hour, status), count in counts.items()
    }
    assert found == dict(truth)


def test_response_times_are_within_one_percent_of_the_exact_quantiles(day):
    _, truth = counted(day)
    for entry in document(read([day]))["endpoints"]:
        seconds = np.sort(truth[entry["endpoint"]])
        assert entry["response_ms"]["mean"] == pytest.approx(seconds.mean() * 1000, rel=1e-3)
        assert entry["response_ms"]["max"] == pytest.approx(seconds[-1] * 1000, rel=1e-3)
        for name, p in QUANTILES.items():
            exact = seconds[int(np.ceil(p * len(seconds))) - 1] * 1000
            assert entry["response_ms"][name] == pytest.approx(exact, rel=0.0105)


def test_quantiles_that_too_few_carry_are_null_by_the_same_rule_as_in_runs():
    assert {name: needed(p) for name, p in QUANTILES.items()} == NEEDED
    times = ResponseTimes()
    seconds = np.full(71, 0.1)
    times.add(buckets(seconds), np.ones(71, np.int64), 7.1, 0.1)
    assert times.as_json()["p95"] is None
    assert times.as_json()["p90"] == 100


def test_gzip_blocks_and_processes_change_nothing(day, tmp_path, monkeypatch):
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(day.read_bytes()))
    plain = document(read([day]))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 50_001)
    for path, processes in ((packed, 1), (day, 2)):
        found = document(read([path], processes=processes))
        assert {k: v for k, v in found.items() if k != "files"} == {k: v for k, v in plain.items() if k != "files"}


def test_several_files_add_up(day, tmp_path):
    first, second = tmp_path / "1.log", tmp_path / "2.log"
    text = day.read_text().splitlines()
    write(first, *text[:9_000])
    write(second, *text[9_000:])
    together, whole = document(read([second, first])), document(read([day]))
    for key in ("requests", "endpoints", "hours", "top_errors", "arrivals"):
        assert together[key] == whole[key]


def test_broken_lines_are_counted_and_the_first_shown_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 997)  # so that numbers run on over blocks
    path = write(tmp_path / "a.log", *([line()] * 20), "", "broken \x1b[31mred\x07", *([line()] * 20), *["junk"] * 9)
    found = document(read([path]))
    assert (found["requests"], found["lines"], found["skipped"]["count"]) == (40, 50, 10)
    assert [example["line"] for example in found["skipped"]["first"]] == [22, 43, 44, 45, 46]
    assert found["skipped"]["first"][0]["text"] == "broken \\x1b[31mred\\x07"


def test_an_overlong_line_is_skipped_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "LONGEST_LINE_BYTES", 5_000)
    for block_bytes in (1_000, 7_000, 40_000):
        monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        long = LINE.format(path="/" + "x" * 20_000, status=200, second=1, took="0.1")
        path = write(tmp_path / "a.log", line(), long, line("/b"), "y" * 5_001, line("/c"), "junk")
        found = document(read([path]))
        assert (found["requests"], found["skipped"]["count"]) == (3, 3), block_bytes
        assert [e["line"] for e in found["skipped"]["first"]] == [2, 4, 6], block_bytes


def test_a_last_line_without_a_break_counts(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes((line() + "\n" + line()).encode())
    assert document(read([path]))["requests"] == 2


def test_a_cut_gzip_gives_what_came_before(tmp_path):
    chance = random.Random(1)
    text = "\n".join(line(f"/a{chance.random()}") for _ in range(20_000)).encode()
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(text)[:-200])
    found = document(read([path]))
    assert 100 < found["requests"] < 20_000
    assert "damaged or cut short" in found["notes"][0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"hello\n", "no known format"),
        (b"\x28\xb5\x2f\xfd rest", "packed with zstd"),
        (b"\x1f\x8b\x08", "damaged"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "a.log"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read([path])


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(UsageError, match="there is no log"):
        read([tmp_path / "none.log"])
    with pytest.raises(UsageError, match="is a folder"):
        read([tmp_path])


def test_logs_and_traces_are_not_mixed(tmp_path):
    log = write(tmp_path / "a.log", line())
    trace = write(tmp_path / "a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.68,374,44")
    with pytest.raises(UsageError, match="read apart"):
        read([log, trace])


def test_limits_that_worked_stand_beside_the_errors(tmp_path):
    path = write(tmp_path / "a.log", line(), line(status=429), line(status=503), line(status=500), line(status=404))
    found = document(read([path]))
    assert found["errors"] == {"count": 4, "rate": 0.8, "rejected": 2}
    assert "of them 2 refused by a limit" in "\n".join(lines(found))


def test_hours_say_how_much_of_them_the_log_covers(tmp_path):
    path = write(tmp_path / "a.log", line(second=0), line(second=59))
    hours = document(read([path]))["hours"]
    assert [(h["hour"], h["covered_s"], h["rps"]) for h in hours if h["covered_s"]] == [(10, 60, 2 / 60)]


def test_a_days_gap_between_logs_is_not_a_quiet_day(tmp_path):
    texts = [line().replace("21/Nov", f"{day}/Nov") for day in (1, 2, 9)]
    hours = document(
        read(
            [
                write(
                    tmp_path / "a.log",
                    *(t.replace("[1/", "[01/").replace("[2/", "[02/").replace("[9/", "[09/") for t in texts),
                )
            ]
        )
    )["hours"]
    assert hours[12]["covered_s"] == 2 * 3600  # the 1st after ten and the 2nd; the 9th ends at ten


def test_the_number_of_endpoints_is_bounded(tmp_path):
    chance = random.Random(5)
    words = ["".join(chance.choices("bcdfghjk", k=6)) for _ in range(60)]
    path = write(tmp_path / "a.log", *(line(f"/{chance.choice(words)}/{chance.choice(words)}") for _ in range(9_000)))
    found = document(read([path]))
    assert len(found["endpoints"]) == 100
    assert sum(e["requests"] for e in found["endpoints"]) == 9_000
    assert any(e["endpoint"] == "(other)" for e in found["endpoints"])


def test_nothing_in_the_tables_can_move_a_terminal(tmp_path):
    nasty = "/\x1b[2J\u202ex\x9b"
    path = write(tmp_path / "a\x1b[31m.log", line(), line(nasty), f"\x1b]0;t\x07{nasty}", line("/\r\x08"))
    for text in lines(document(read([path]))):
        assert text.isprintable(), repr(text)
