"""Whole passes on small services with planted faults: the profile must name function and file."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest

from measurements.errors import TargetUnreachable, UsageError
from profiles import cpu, frames, memory, passes, stacks
from profiles.sentences import lines
from profiles.traffic import users_for
from targets.contract import Contract
from targets.reference.serving import free_port

SERVICE = Path(__file__).with_name("planted_service.py")
FORKING = f"{sys.executable} {SERVICE} {{port}}"


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "HOLD_S", 0.3)
    monkeypatch.setattr(passes, "DRAIN_S", 0.3)
    monkeypatch.setattr(passes, "FRAMES_S", 1.0)


def contract(port: int, **env: str) -> Contract:
    return Contract.model_validate(
        {
            "target": {
                "name": "planted",
                "base_url": f"http://127.0.0.1:{port}",
                "control": {"start": "unused", "ready": "/health", "env": env},
            },
            "endpoint": [
                {"name": "work", "path": "/work?{{nonce}}"},
                {"name": "health", "path": "/health", "weight": 0},
            ],
        }
    )


def profiled(
    run: Path, rate_rps: float, duration_s: float, *, want: str = "", command: str = FORKING, **env: str
) -> dict[str, Any]:
    """A run of the passes; every process that it started is gone afterwards."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    said: list[str] = []
    document = passes.profile(
        contract(free_port(), **env),
        run,
        rate_rps=rate_rps,
        duration_s=duration_s,
        command=command,
        want_cpu="cpu" in want,
        want_memory="memory" in want,
        say=said.append,
    )
    json.dumps(document, allow_nan=False)
    assert said
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    return document


def test_a_cpu_hog_is_named_among_four_workers_and_all_four_are_in_the_capture(tmp_path: Path) -> None:
    """Under half of a core: a service that is late has passes that do not compare."""
    found = profiled(tmp_path, 30, 3, want="cpu", HOG_ROUNDS="100000", HASH_ROUNDS="100", WORKERS="4")
    hog = found["cpu"]["functions"][0]
    assert (hog["function"], hog["file"]) == ("planted_hog", str(SERVICE))
    assert hog["self_share"] > 0.5
    assert hog["cpu_ms_per_request"] == pytest.approx(hog["self_share"] * found["cpu"]["cpu_ms_per_request"])
    assert len(found["cpu"]["processes"]) == 4
    assert all(process["cpu_s"] > 0 for process in found["cpu"]["processes"])
    assert sum(row["share"] for row in found["cpu"]["packages"]) == pytest.approx(1.0)
    plain, _, sampled = found["passes"]
    assert found["cpu"]["cpu_s"] == pytest.approx(sampled["cpu_s"], rel=0.2, abs=0.1)  # the kernel's account, twice
    assert plain["overhead"] is None
    assert sampled["overhead"]["response_mean"] > 0
    ElementTree.parse(tmp_path / found["cpu"]["flame_graph"])
    kept = stacks.read_speedscope([tmp_path / found["cpu"]["speedscope"]])
    assert kept.total_s == pytest.approx(found["cpu"]["cpu_s"])
    assert str(SERVICE) not in {frame.name for stack, _ in kept.stacks() for frame in stack}


@pytest.mark.parametrize(
    ("by", "function"), [("lock", "planted_lock"), ("read", "planted_read"), ("sleep", "planted_sleep")]
)
def test_a_blocking_call_is_named_with_its_kind(tmp_path: Path, by: str, function: str) -> None:
    run = contract(free_port(), BLOCK_S="0.15", BLOCK_BY=by)
    load = passes.ContractLoad(run)
    with passes.running(FORKING, run, tmp_path / "log", {}) as root:
        found = looked_at(root, load)
    worst = found["frames"][0]
    assert worst["function"] == function
    assert worst["file"] == str(SERVICE)
    assert worst["class"] == {"lock": "lock", "read": "socket_read", "sleep": "sleep"}[by]


def looked_at(root: int, load: passes.ContractLoad) -> dict[str, Any]:
    loading = threading.Thread(target=load, args=(20, 2))
    loading.start()
    found = frames.capture([root], 1.5)
    loading.join()
    return found


def test_what_a_request_leaves_behind_is_named_and_merged_over_forked_workers(tmp_path: Path) -> None:
    found = profiled(tmp_path, 100, 2, want="memory", LEAK_BYTES="3000", WORKERS="2")
    kept = found["memory"]["retained"][0]
    assert (kept["function"], kept["file"]) == ("planted_leak", str(SERVICE))
    assert kept["kib_per_request"] == pytest.approx(3033 / 1024, rel=0.05)  # bytes(n) takes n + 33
    assert len(found["memory"]["processes"]) == 2
    assert found["memory"]["files_mib"] < 5
    assert found["memory"]["per_request"]["kib"] > 3033 / 1024
    page = (tmp_path / found["memory"]["flame_graph"]).read_text()
    assert "planted_leak" in page
    assert "://" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait()


def test_without_a_profiler_the_load_still_runs_and_a_sentence_says_what_to_install(
    tmp_path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "program", lambda name: None)
    ran: list[bool] = []
    found = cpu.record([sleeper], tmp_path, lambda: ran.append(True))
    assert "pip install 'plimsoll[profile]'" in (found.why_not or "")
    assert ran == [True]


@pytest.mark.parametrize(
    ("scope", "remedy"), [(1, "sudo sysctl kernel.yama.ptrace_scope=0"), (2, "sudo -E plimsoll"), (0, "seccomp")]
)
@pytest.mark.parametrize(
    "said",
    [
        "Permission Denied: Try running again with elevated permissions",
        "Error: No python processes found in process 7 or any of its subprocesses",  # to a root without the capability
    ],
)
def test_a_process_that_may_not_be_traced_gives_the_exact_remedy(
    tmp_path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch, scope: int, remedy: str, said: str
) -> None:
    denying = tmp_path / "py-spy"
    denying.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    denying.chmod(0o755)
    monkeypatch.setattr(cpu, "program", lambda name: str(denying))
    monkeypatch.setattr("profiles.rights._ptrace_scope", lambda: scope)
    monkeypatch.setattr("profiles.rights._in_container", lambda: False)
    ran: list[bool] = []
    found = cpu.record([sleeper], tmp_path, lambda: ran.append(True))
    assert remedy in (found.why_not or "")
    assert ran == [True]


def test_a_running_service_is_not_touched_where_a_rehearsal_of_attaching_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached_to: list[int] = []

    def deadly(tool: str, pid: int, output: Path, duration_s: float) -> str | None:
        attached_to.append(pid)
        psutil.Process(pid).kill()
        return None

    monkeypatch.setattr(memory, "_attach", deadly)
    monkeypatch.setattr(memory, "debugger", lambda: "/usr/bin/gdb")
    files, notes = memory.attached([1, 2, 3], tmp_path, 1.0)
    assert (files, len(attached_to)) == ([], 1)
    assert "was not touched" in notes[0]
    monkeypatch.setattr(memory, "debugger", lambda: None)
    assert "apt-get install gdb" in memory.attached([1], tmp_path, 1.0)[1][0]


def test_commands_and_pids_that_cannot_be_profiled_are_refused_in_a_sentence(tmp_path: Path) -> None:
    run = contract(free_port())
    arguments: dict[str, Any] = {"rate_rps": 1, "duration_s": 1}
    with pytest.raises(TargetUnreachable, match="ended with code 3"):
        passes.profile(run, tmp_path, command=f"{sys.executable} -c 'raise SystemExit(3)'", **arguments)
    with pytest.raises(UsageError, match="cannot be started"):
        passes.profile(run, tmp_path, command="/no/such/program", **arguments)
    with pytest.raises(UsageError, match="no process 4194000"):
        passes.profile(run, tmp_path, pid=4194000, **arguments)
    with pytest.raises(UsageError, match="no process of this machine listens"):
        passes.profile(run, tmp_path, **arguments)
    with pytest.raises(UsageError, match="no endpoint 'nothing'"):
        passes.profile(run, tmp_path, endpoint="nothing", **arguments)


def test_a_pass_that_cannot_start_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """A service that refuses to start under the tracker, as one with too little memory for it would."""
    picky = f"sh -c 'test -z \"$PLIMSOLL_MEMORY_DIR\" || exit 7; exec {FORKING}'"
    found = profiled(tmp_path, 20, 2, want="cpu memory", command=picky, HOG_ROUNDS="300000")
    assert "ended with code 7" in found["memory"]["why_not"]
    assert found["cpu"]["functions"][0]["function"] == "planted_hog"
    assert any("ended with code 7" in line for line in lines(found))


def test_a_slow_service_gets_as_many_users_as_its_rate_needs_within_bounds() -> None:
    assert users_for(10, 1_000, 0.02) == 40
    assert users_for(5, 100, 5.2) == 52
    assert users_for(5, 30, 5.2) == 30
    assert users_for(50, 1_000, 5.2) == 64


def test_an_interrupted_profile_keeps_the_passes_that_were_done_and_leaves_nothing_running(tmp_path: Path) -> None:
    made = contract(free_port())
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    simple, loads = passes.ContractLoad(made), 0

    def interrupted(rate_rps: float, duration_s: float, hold_s: float = 0.0, again: bool = False) -> Any:
        nonlocal loads
        loads += 1
        if loads == 3:  # after the warm-up and the plain pass
            raise KeyboardInterrupt
        return simple(rate_rps, duration_s, hold_s, again)

    found = passes.profile(
        made, tmp_path, rate_rps=30, duration_s=1, command=FORKING, want_memory=False, load=interrupted
    )
    assert found["interrupted"]
    assert [one["pass"] for one in found["passes"]] == ["plain"]
    assert "cpu" not in found
    assert lines(found)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
