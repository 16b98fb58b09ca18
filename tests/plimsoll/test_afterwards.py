"""The profile after a run: at what rate, and when not; two profiles set beside each other."""

import json
from pathlib import Path

import pytest

from measurements.rundir import RunDirectory
from plimsoll import afterwards
from plimsoll.placement import Placement
from plimsoll.spec import Spec
from profiles.stacks import Capture, Frame, write_speedscope
from tests.loadtests.real_runs import contract
from tests.plimsoll.command_line import said


def stage(rps: float, state: str = "steady", warmup: bool = False) -> dict[str, object]:
    return {"achieved_rps": rps, "state": state, "warmup": warmup}


@pytest.mark.parametrize(
    ("stages", "rps"),
    [
        ([stage(50, warmup=True), stage(5), stage(10), stage(14, "saturated")], 10),
        ([stage(9, "saturated"), stage(8, "saturated")], 8),
        ([], 1),
    ],
)
def test_the_rate_is_the_highest_that_was_worked_off(stages: list[dict[str, object]], rps: float) -> None:
    assert afterwards._calm_rps({"stages": stages}) == rps


def test_a_profile_that_cannot_be_taken_says_why() -> None:
    endpoints = [{"name": "work", "path": "/"}]
    free = contract("http://127.0.0.1:1", endpoints)
    paid = contract("http://127.0.0.1:1", endpoints, upstream={"paid": True, "max_usd": 1.0})
    assert afterwards._why_not(Spec(contract=free), {"target": [1]}) == ""
    assert "paid" in afterwards._why_not(Spec(contract=paid), {"target": [1]})
    assert "not on this machine" in afterwards._why_not(Spec(contract=free), {"target": []})
    assert "contract" in afterwards._why_not(Spec(locustfile=Path("x.py")), {"target": [1]})


def test_a_fault_of_the_profile_is_a_sentence_and_the_run_keeps_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **words: object) -> None:
        raise ValueError("interval is out of order")

    monkeypatch.setattr(afterwards.passes, "profile", broken)
    spec = Spec(contract=contract("http://127.0.0.1:1", [{"name": "work", "path": "/"}]))
    run, heard = RunDirectory.create(tmp_path, "planted"), list[str]()
    afterwards.profile(spec, run, ["http://127.0.0.1:1"], {"target": [1]}, {}, Placement([], [], ""), heard.append)
    assert "by a fault of Plimsoll (ValueError: interval is out of order); the run stands as it is" in heard[-1]
    assert not run.has("profiles/profiles.json")


def profiled(out: Path, hog_s: float, each_ms: float) -> Path:
    run = RunDirectory.create(out, "planted-profile")
    run.write_json("run.json", {"schema": 1, "kind": "profile", "name": "planted"})
    rest = Frame("handle", "/srv/app.py", 3)
    capture = Capture({(1, 1): {(rest,): 20.0, (rest, Frame("hog", "/srv/hog.py", 5)): hog_s}})
    write_speedscope(capture, run.path / "profiles" / "cpu.speedscope.json", "CPU")
    run.write_json("profiles/profiles.json", {"cpu": {"cpu_ms_per_request": each_ms}})
    return run.path


def test_two_profiles_are_compared_by_function_and_as_a_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = profiled(tmp_path / "a", 20.0, 4.0), profiled(tmp_path / "b", 60.0, 8.0)
    told = said(capsys, "compare", older, newer)
    assert told.code == 0
    assert "4.00 ms before, 8.00 after (x2.00)" in told.out
    assert "+4.000 ms" in told.out and "/srv/hog.py" in told.out
    (graph,) = (newer / "profiles").glob("compare-*.svg")
    assert str(graph) in told.out
    document = json.loads(said(capsys, "compare", older, newer, "--json").out)
    assert document["functions"][0]["function"] == "hog"


def test_a_profile_and_a_run_without_one_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = RunDirectory.create(tmp_path, "plain")
    plain.write_json("run.json", {"schema": 1})
    told = said(capsys, "compare", profiled(tmp_path / "a", 1.0, 1.0), plain.path)
    assert (told.code, "holds no CPU profile" in told.sentence) == (2, True)
