"""`plimsoll recover` of a run whose master is gone: what its hosts had laid at the shared place comes home first."""

from pathlib import Path
from typing import Any

import pytest
from command_line import said
from test_finishing import journal, recovered, run_json

from loadtests.hosts.shared import Place
from loadtests.hosts.shipping import KINDS
from measurements.journal import JournalWriter
from measurements.rundir import RunDirectory
from measurements.sample import TOKENS

ROWS = 40


def half_of_it_home(folder: Path, **more: Any) -> RunDirectory:
    """A run of which the master's disk has half the bytes of a journal, and the place all of them in pieces."""
    run, document = run_json(folder)
    run.write_json("run.json", {**document, "rows_to": {"uri": str(folder / "place")}, **more})
    writer = journal(run, range(ROWS))
    path, whole = writer.path, writer.path.read_bytes()
    writer.close()
    path.write_bytes(whole[: len(whole) // 2])
    place = Place.at(str(folder / "place"), run.identity)
    place.try_out(0)
    for offset in range(0, len(whole), 1_000):
        place.put(0, "samples", offset, whole[offset : offset + 1_000])
    place.put(0, "errors", 0, b'{"error_id": 7, "pattern": "p", "excerpt": "e"}\n')
    return run


def test_rows_that_the_master_had_not_read_are_in_the_recovered_run_and_the_place_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = half_of_it_home(tmp_path)
    assert run.table("samples", ["seq"]).num_rows < ROWS
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == ROWS
    assert list((tmp_path / "place").iterdir()) == []


def test_a_hosts_own_part_is_finished_without_taking_the_others_from_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = half_of_it_home(tmp_path, ranks=[0])
    assert recovered(run, capsys)["all"]["outcomes"].get("ok", 0) < ROWS
    assert (tmp_path / "place" / run.identity).is_dir()


def test_a_place_that_does_not_answer_stops_the_recovery_unless_it_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = half_of_it_home(tmp_path)

    def away(self: Place, rank: int, kind: str) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr(Place, "laid", away)
    stopped = said(capsys, "recover", run.path)
    assert stopped.code == 4 and "--without-place" in stopped.sentence and "unreachable" in stopped.sentence
    assert KINDS["samples"](run, 0).exists()  # nothing was finished: it can be repeated
    done = said(capsys, "recover", run.path, "--without-place")
    assert done.code == 0 and run.has("summary.json") and (tmp_path / "place" / run.identity).is_dir()


def test_a_place_that_is_not_mounted_here_is_no_place_without_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = half_of_it_home(tmp_path)
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    stopped = said(capsys, "recover", run.path)
    assert stopped.code == 4 and "nothing of this run lies there" in stopped.sentence and not run.has("summary.json")


def test_a_complete_run_that_was_killed_afterwards_asks_nothing_of_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, document = run_json(tmp_path)
    run.write_json("run.json", {**document, "rows_to": {"uri": str(tmp_path / "place"), "kept": False}})
    journal(run, range(ROWS)).close()
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == ROWS


def test_a_damaged_object_is_said_in_the_run_and_costs_no_more_than_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = half_of_it_home(tmp_path)
    objects = sorted((tmp_path / "place" / run.identity / "0" / "samples").iterdir())
    objects[-1].write_bytes(b"cut")
    recovered(run, capsys)
    sentence = run.read_json("run.json")["rows_to"]["said"][0]
    assert objects[-1].name in sentence and "damaged" in sentence


def test_a_run_that_was_being_finished_takes_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = half_of_it_home(tmp_path)
    KINDS["samples"](run, 0).unlink()
    journal(run, range(ROWS)).close()
    JournalWriter(run.journal_path("tokens", 0), TOKENS).close()
    run.finish_shards()
    assert recovered(run, capsys)["all"]["outcomes"]["ok"] == ROWS
