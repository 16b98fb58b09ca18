"""Rows on their way to disk, and the rows of a load process that died."""

import subprocess
import sys
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.accounting import stripe, write_lost
from loadtests.arrivals import Process, Stage, schedule
from loadtests.evidence import Evidence
from loadtests.live import LiveView
from loadtests.plan import LoadPlan
from loadtests.recorder import CAPACITY, MAX_NAMES, Recorder
from loadtests.runner import Hooks, Runner
from measurements.redaction import Redactor
from measurements.rundir import RunDirectory
from measurements.sample import NULL, Outcome

STAGES = [Stage("step-01", 2.0, 30.0, 30.0), Stage("step-02", 2.0, 60.0, 60.0)]


def plan(workers: int = 1, process: Process | None = None, **more: object) -> LoadPlan:
    return LoadPlan(
        "r", ["http://127.0.0.1:1"], ["127.0.0.1"], STAGES, process or Process(), 5, "n", workers=workers, **more  # type: ignore[arg-type]
    )  # fmt: skip


def recorder(folder: Path, worker: int = 0) -> Recorder:
    run = RunDirectory.create(folder, "made")
    evidence = Evidence(run.path / "errors", run.path / "examples", Redactor())
    return Recorder(run, worker, 1_000_000, [stage.name for stage in STAGES], evidence)


def write(made: Recorder, seq: int, outcome: Outcome = Outcome.ok, step: int = 0, at_ns: int = 2_000_000) -> None:
    made.row(
        seq, step, 0, made.endpoint("generate"), 3, 0, at_ns, at_ns + 10, NULL, at_ns + 50, NULL, at_ns + 90, 200, outcome,
        NULL, 120, 340, NULL, NULL, 0, 1,
    )  # fmt: skip


def run_of(made: Recorder) -> RunDirectory:
    return RunDirectory(made.evidence._errors_path.parent)


def test_times_are_written_from_the_workers_start_and_unknown_ones_stay_null(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    write(made, 17)
    made.close()
    row = run_of(made).table("samples").to_pylist()[0]
    assert (row["seq"], row["intended_ns"], row["sent_ns"], row["done_ns"]) == (17, 1_000_000, 1_000_010, 1_000_090)
    assert (row["connect_ns"], row["first_token_ns"], row["error_id"]) == (None, None, None)
    assert (row["stage"], row["endpoint"], row["outcome"], row["status"]) == ("step-01", "generate", "ok", 200)


def test_rows_are_counted_and_flushed_when_the_buffer_is_full(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    blocks: list[int] = []
    made.listeners.append(lambda packed: blocks.append(len(packed)))
    for seq in range(CAPACITY + 10):
        write(made, seq)
    assert (made.rows, sum(blocks)) == (CAPACITY + 10, CAPACITY)
    made.close()
    assert sum(blocks[:-1]) == CAPACITY and blocks[-1] == 10
    assert run_of(made).table("samples", ["seq"])["seq"].to_pylist() == list(range(CAPACITY + 10))


def test_past_two_thousand_names_endpoints_share_one_so_that_memory_stays_bounded(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    numbers = {made.endpoint(f"/item/{k}") for k in range(MAX_NAMES + 500)}
    assert len(numbers) == MAX_NAMES + 1
    assert made.endpoint("/item/1") == 1 and made.endpoints[-1] == "(more names)"
    made.close()


def test_token_events_are_numbered_per_request(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.stream(4, 0, array("q", [1_000_100, 1_000_200]), [1, 3])
    made.stream(5, 1, array("q", [1_000_300]), [2])
    made.close()
    rows = [tuple(row.values()) for row in run_of(made).table("tokens").to_pylist()]
    assert rows == [(0, 4, 0, 0, 100, 1), (0, 4, 0, 1, 200, 3), (0, 5, 1, 0, 300, 2)]


@settings(max_examples=50)
@given(
    workers=st.integers(1, 9), seed=st.integers(0, 2**31), kind=st.sampled_from(["constant", "poisson", "gamma"]),
    rate=st.floats(1, 20_000),
)  # fmt: skip
def test_stripes_over_any_number_of_workers_partition_the_global_schedule_exactly(
    workers: int, seed: int, kind: str, rate: float
) -> None:
    stages, process = [Stage("a", 1.0, rate, rate), Stage("b", 1.0, rate, 2 * rate)], Process(kind, 2.0)
    whole = np.concatenate([times for times, _ in schedule(stages, process, seed)] or [np.empty(0)])
    made = LoadPlan("r", [], [], stages, process, seed, "n", workers=workers)
    parts = [stripe(made, worker, 10.0) for worker in range(workers)]
    seqs = np.concatenate([seq for seq, _, _ in parts])
    assert sorted(seqs.tolist()) == list(range(len(whole)))
    for worker, (seq, intended_ns, _) in enumerate(parts):
        assert (seq % workers == worker).all()
        assert np.abs(intended_ns / 1e9 - whole[seq]).max(initial=0) < 1e-8


def test_what_a_dead_worker_still_owed_becomes_a_row_each_and_what_it_had_written_stays(tmp_path: Path) -> None:
    made = recorder(tmp_path, worker=1)
    chosen, run = plan(workers=2), run_of(made)
    seq, intended_ns, _ = stripe(chosen, 1, 4.0)
    for number in seq[:20].tolist():
        write(made, number)
    made.flush()  # and then it was killed: the journal has no end
    lost, arrivals = write_lost(run, chosen, 1, until_s=3.0)
    due = int((intended_ns <= 3.0e9).sum())
    assert (lost, arrivals) == (due - 20, due)
    rows = run.table("samples").to_pylist()
    assert sorted(row["seq"] for row in rows) == seq[:due].tolist()
    gone = [row for row in rows if row["outcome"] == "lost"]
    assert len(gone) == lost
    assert {row["worker"] for row in gone} == {1} and {row["sent_ns"] for row in gone} == {None}
    assert {row["stage"] for row in gone} == {"step-01", "step-02"}
    made.close()


class Ended:
    """A load process that has ended and left `recorded` of `given` arrivals with a row."""

    number, pid = 0, 0

    def __init__(self, given: int, recorded: int, fault: str = "") -> None:
        self.account = {"given": given, "recorded": recorded, "fault": fault}

    def tell(self, **_: object) -> None: ...
    def end(self) -> None: ...
    def last_words(self) -> str:
        return "MemoryError"


@pytest.mark.parametrize(("fault", "lost"), [("", 3), ("no space left", 0)])
def test_what_a_load_process_forgot_becomes_a_row_each_unless_it_could_not_write(
    fault: str, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder(tmp_path)
    chosen, run = plan(), run_of(made)
    seq = stripe(chosen, 0, 4.0)[0].tolist()
    for number in seq[:-3]:
        write(made, number)
    write(made, seq[0], step=1)
    write(made, -1)
    made.close()
    runner = Runner(chosen, run)
    runner._children.append(Ended(len(seq), made.arrivals, fault))  # type: ignore[arg-type]
    monkeypatch.setattr(runner, "_attend", lambda hooks: None)
    account = runner.run(Hooks())
    assert [(one["rows"], one["arrivals"]) for one in account.lost] == ([(3, len(seq))] if lost else [])
    assert run.table("samples", ["outcome"])["outcome"].to_pylist().count("lost") == lost
    if lost:
        assert account.lost[0]["said"] == "3 of its requests ended without a row: MemoryError"


def test_a_worker_that_died_before_its_first_flush_loses_all_that_was_due(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "made")
    due = len(stripe(plan(), 0, 1.0)[0])
    assert write_lost(run, plan(), 0, until_s=1.0) == (due, due) and due > 10


def test_rows_already_turned_into_parquet_are_not_lost(tmp_path: Path) -> None:
    """The command was killed between the last row and summary.json."""
    made = recorder(tmp_path)
    run, seq = run_of(made), stripe(plan(), 0, 4.0)[0]
    for number in seq.tolist():
        write(made, number)
    made.close()
    run.finish_shards()
    assert write_lost(run, plan(), 0, until_s=4.0) == (0, len(seq))
    assert run.table("samples").num_rows == len(seq)


def test_a_closed_loop_loses_only_what_nobody_can_know(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    for number in (0, 1, 2):
        write(made, number)
    write(made, 2, step=1)
    write(made, -1)
    made.close()
    assert write_lost(run_of(made), plan(loop="closed", users=3), 0, 4.0) == (0, 3)


@pytest.mark.parametrize("process", [Process("gamma", 2.0), Process("replay", times_s=(0.0, 1.5)), Process("constant")])
def test_a_plan_survives_the_way_to_its_load_process(process: Process) -> None:
    import json

    made = plan(3, process, contract={"target": {}}, cpus=[[1]], users=4)
    assert LoadPlan.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_the_live_view_counts_what_was_flushed_and_forgets_nothing(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    view = LiveView(["step-01", "step-02"])
    made.listeners.append(view)
    assert view.snapshot(0, 0)["p50_ms"] is None
    for seq in range(100):
        write(made, seq, at_ns=2_000_000)
    write(made, 100, Outcome.http_error)
    write(made, -1)  # a user's set-up
    made.flush()
    news = view.snapshot(in_flight=3, users=9)
    assert (news["ended"], news["outcomes"], news["in_flight"], news["users"]) == (
        101,
        {"ok": 100, "http_error": 1},
        3,
        9,
    )
    assert news["p50_ms"] == pytest.approx(90e-6, rel=1) or news["p50_ms"] <= 1e-3
    assert news["stage"] == "step-01" and news["cpu_cores"] >= 0
    assert view.snapshot(0, 9)["ended"] == 0 and view.snapshot(0, 9)["outcomes"] == {"ok": 100, "http_error": 1}
    made.close()


def test_a_load_process_does_without_pandas() -> None:
    """Arrow imports it for the first array made from Python objects: a second in which no request would be sent."""
    script = (
        "import sys, loadtests.worker, loadtests.warm_up; loadtests.warm_up.recording(); "
        "sys.exit('pandas was imported' if 'pandas' in sys.modules else 0)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", script], check=False).returncode == 0
