"""What a profile prints, and the comparison of two."""

import json
from pathlib import Path
from typing import Any

import pytest

from measurements.errors import UsageError
from profiles.compared import compare
from profiles.sentences import lines
from profiles.stacks import Capture, Frame, write_speedscope

HOG = Frame("hog", "/srv/app/main.py", 12)
REST = Frame("handler", "/srv/app/main.py", 40)


def document(**parts: Any) -> dict[str, Any]:
    return {"passes": [{"pass": "plain", "overhead": None, "other_cores": 0.1}], **parts}


def test_what_could_not_be_recorded_is_a_line_with_its_remedy() -> None:
    said = lines(
        document(cpu={"why_not": "type: sudo x"}, memory={"why_not": "install gdb"}, frames={"why_not": "no py-spy"})
    )
    assert said == [
        "CPU: not recorded: type: sudo x",
        "Blocked frames: none taken: no py-spy",
        "Memory: not recorded: install gdb",
    ]


def test_overheads_are_told_and_so_are_others_that_used_the_machine() -> None:
    cost = {"response_mean": 1.25, "ci95": [1.1, 1.4], "cpu_per_request": 1.5}
    found = document()
    found["passes"].append({"pass": "cpu", "overhead": cost, "other_cores": 0.9})
    said = lines(found)
    doubt = "1.10 to 1.40, of single requests; what the machine was slower or faster between the passes comes on top"
    assert f"Overhead of the cpu pass: response x1.25 ({doubt}), CPU per request x1.50" in said
    assert "Other programs used up to 0.9 cores" in said[-1]


def profiled(folder: Path, hog_s: float, ms_per_request: float) -> Path:
    (folder / "profiles").mkdir(parents=True)
    capture = Capture({(1, 1): {(REST,): 20.0, (REST, HOG): hog_s}})
    write_speedscope(capture, folder / "profiles" / "cpu.speedscope.json", "CPU")
    (folder / "profiles" / "profiles.json").write_text(json.dumps({"cpu": {"cpu_ms_per_request": ms_per_request}}))
    return folder


def test_two_profiled_runs_are_compared_by_what_a_request_costs(tmp_path: Path) -> None:
    found = compare(profiled(tmp_path / "a", 20.0, 4.0), profiled(tmp_path / "b", 60.0, 8.0))
    assert found["cpu_ms_per_request"] == [4.0, 8.0]
    assert [row["function"] for row in found["functions"]] == ["hog"]
    assert found["functions"][0]["change_ms"] == pytest.approx(4.0)
    assert "red costs more" in found["svg"]


def test_waiting_that_only_the_second_version_does_comes_first(tmp_path: Path) -> None:
    runs = [profiled(tmp_path / name, 20.0, 4.0) for name in ("a", "b")]
    seen = [("query", "socket_read", 3, 3), ("send_later", "sleep", 0, 2), ("encode", "running", 1, 5)]
    for at, run in enumerate(runs):
        found = [
            {"function": f, "file": "/srv/main.py", "line": 7, "class": c, "count": counts[at]}
            for f, c, *counts in seen
        ]
        path = run / "profiles" / "profiles.json"
        frames = {"snapshots": 10, "frames": [one for one in found if one["count"]]}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"frames": frames}))
    found = compare(*runs)
    assert found["snapshots"] == [10, 10] and found["functions"] == []
    assert [(one["function"], one["before"], one["after"]) for one in found["waits"]] == [
        ("send_later", 0, 2), ("query", 3, 3)
    ]  # fmt: skip


def test_a_run_without_a_cpu_profile_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--cpu"):
        compare(tmp_path, tmp_path)
