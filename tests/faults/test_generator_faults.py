"""Our own machine is short of descriptors, ports, disk or memory, or its clock jumps: never the target's fault."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from fault_contract import written
from fault_table import survived
from injection import ROOT, Course, Ended, fill, recovered
from servers import Scripted, answer

from measurements.rundir import RunDirectory

LOAD = ("--rate", 50, "--duration", 3.0, "--seed", 7)
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small file system, or narrows ports")


def asked(server: Scripted) -> list[int]:
    return [one.seq for one in server.asked]


def limited(pid: int, kind: int, value: int) -> None:
    resource.prlimit(pid, kind, (value, value))


def after_first_rows(course: Course, step: Callable[[int], object]) -> Ended:
    course.wait_rows(10)
    step(course.load_pids[0])
    return course.end()


def test_out_of_descriptors_is_the_generators_fault(tmp_path: Path) -> None:
    with (
        Scripted({"/search": answer(after_s=0.6, Connection="close")}) as server,
        Course(tmp_path, written(tmp_path, server.url), *LOAD) as course,
    ):
        ended = after_first_rows(
            course, lambda pid: limited(pid, resource.RLIMIT_NOFILE, psutil.Process(pid).num_fds() - 5)
        )
    survived("generator out of descriptors", ended, exit=3, asked=asked(server))
    assert ended.states["generator_errors"] == "invalid"
    assert any("EMFILE" in reason["sentence"] for reason in ended.summary["reasons"])


PORTS = """
import subprocess, sys, threading
sys.path[:0] = {paths!r}
from servers import Scripted, answer
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("50000 50012")
with Scripted({{"/search": answer(after_s=0.6)}}) as server:
    contract = {contract!r}
    text = open(contract).read().replace("http://127.0.0.1:1", server.url)
    open(contract, "w").write(text)
    sys.exit(subprocess.call(sys.argv[1:]))
"""


@root
@pytest.mark.prove
@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="needs unshare and ip")
def test_out_of_local_ports_is_the_generators_fault(tmp_path: Path) -> None:
    """In a network of its own, whose range of local ports is narrow."""
    contract = written(tmp_path, "http://127.0.0.1:1")
    script = tmp_path / "within.py"
    script.write_text(PORTS.format(paths=[str(ROOT / "tests")], contract=str(contract)), encoding="utf-8")
    with Course(tmp_path, contract, *LOAD, before=["unshare", "--net", sys.executable, str(script)]) as course:
        ended = course.end()
    survived("generator out of local ports", ended, exit=3)
    assert any("EADDRNOTAVAIL" in reason["sentence"] for reason in ended.summary["reasons"]), ended.summary["reasons"]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@root
def test_a_disk_that_is_full_from_the_start_is_one_sentence(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server, small_disk(tmp_path / "small", "64k") as disk:
        fill(disk)
        with Course(tmp_path, written(tmp_path, server.url), *LOAD, out=disk / "runs") as course:
            ended = course.end()
            survived("disk full from the start", ended, exit={2, 3}, no_run=True)
        assert "disk space" in ended.sentence or "No space" in ended.sentence
        assert asked(server) == []


@root
@pytest.mark.prove
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_in_the_middle_keeps_what_was_written(workers: int, tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server, small_disk(tmp_path / "small", "4m") as disk:
        words = ("--rate", 50, "--duration", 20.0, "--seed", 7, "--workers", workers)
        with Course(tmp_path, written(tmp_path, server.url), *words, out=disk / "runs") as course:
            course.wait_rows(30)
            filler = fill(disk)
            ended = course.end()
            assert ended.exit == 3 and "Traceback" not in ended.err and "disk" in ended.err, ended.err
            filler.unlink()
            finished = ended if (course.run and course.run.has("summary.json")) else recovered(course)
            survived(
                "disk full in the middle", finished, exit={0, 3}, asked=asked(server), lost_at_most=75, killed=True
            )
        assert finished.summary["valid"] is False and finished.summary["all"]["outcomes"]["ok"] >= 30


@root
@pytest.mark.prove
@pytest.mark.parametrize("size", ["96k", "128k", "160k", "224k", "288k", "352k"])
def test_a_disk_that_fills_up_by_what_we_write_ourselves(size: str, tmp_path: Path) -> None:
    """Wherever the end of the disk falls: in a journal, a document, a Parquet file, the report."""
    with (
        Scripted({"/search": answer()}) as server,
        small_disk(tmp_path / "small", size) as disk,
        Course(tmp_path, written(tmp_path, server.url), *LOAD, out=disk / "runs") as course,
    ):
        ended = course.end()
        assert "Traceback" not in ended.err, ended.err
        assert ended.exit in (0, 2, 3), ended.err
        if not ended.err:  # there was room enough; a busy machine may spoil the times, which is another matter
            survived("disk full by our own files", ended, exit={0, 3}, asked=asked(server))
            return
        assert "disk" in ended.err or "No space" in ended.err, ended.err
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        if course.run is None or course.run.has(
            "summary.json"
        ):  # a report that had no room leaves the verdict as it is
            survived("disk full by our own files", ended, exit={0, 2, 3}, no_run=True)
            return
        finished = recovered(course)
        survived("disk full by our own files", finished, exit=0, asked=asked(server), lost_at_most=75, killed=True)


@pytest.mark.prove
def test_out_of_memory_is_the_generators_fault(tmp_path: Path) -> None:
    """From some moment on the load process may have no more address space than it has, and answers of 24 MiB that are looked
    into want more. Small ones until then: memory that such answers took before could hold the later ones too."""
    expect = '\nexpect = { contains = "x" }\n'
    large = answer(body=b"x" * (24 << 20), after_s=0.1)
    with (
        Scripted({"/search": answer(body=b"x", after_s=0.1)}) as server,
        Course(tmp_path, written(tmp_path, server.url, more=expect), *LOAD) as course,
    ):

        def starve(pid: int) -> None:
            limited(pid, resource.RLIMIT_AS, psutil.Process(pid).memory_info().vms + (2 << 20))
            server.scripts["/search"] = large

        ended = after_first_rows(course, starve)
    # without memory it can finish nothing: all that it was asked to send from then on may be lost, and is marked so
    survived("generator out of memory", ended, exit=3, asked=asked(server), lost_at_most=140)
    assert ended.states["accounting"] == "ok"


CLOCK = """
import time
real, real_ns = time.time, time.time_ns
def off():
    return int(open({clock!r}).read() or 0)
time.time, time.time_ns = lambda: real() + off(), lambda: real_ns() + off() * 10**9
"""


@pytest.mark.prove
@pytest.mark.parametrize("jump_s", [3_600, -3_600])
def test_a_clock_that_jumps_makes_the_run_invalid_and_moves_no_row(jump_s: int, tmp_path: Path) -> None:
    """The wall clock of all our processes, as Python reads it; the machine's own stays (others live by it)."""
    clock, place = tmp_path / "clock", tmp_path / "place"
    clock.write_text("0")
    place.mkdir()
    (place / "sitecustomize.py").write_text(CLOCK.format(clock=str(clock)), encoding="utf-8")
    with (
        Scripted({"/search": answer()}) as server,
        Course(tmp_path, written(tmp_path, server.url), *LOAD, PYTHONPATH=f"{place}:{ROOT}") as course,
    ):
        course.wait_rows(10)
        clock.write_text(str(jump_s))
        ended = course.end()
    survived("clock jumps by an hour", ended, exit=3, asked=asked(server))
    assert ended.states["clock"] == "invalid" and set(ended.summary["all"]["outcomes"]) == {"ok"}
    assert ended.summary["all"]["response_ms"]["max"] < 2_000


def test_two_runs_into_one_directory_do_not_meet(tmp_path: Path) -> None:
    with Scripted({"/search": answer()}) as server:
        contract = written(tmp_path, server.url)
        words = ("--rate", 30, "--duration", 1.5, "--out", tmp_path / "runs")
        with Course(tmp_path, contract, *words) as first, Course(tmp_path, contract, *words) as second:
            ended = [first.end(), second.end()]
    runs = sorted(path for path in (tmp_path / "runs").iterdir() if not path.is_symlink())
    assert len(runs) == 2 and (tmp_path / "runs" / "latest").resolve() in runs
    made = sorted((RunDirectory(path) for path in runs), key=lambda run: run.read_json("summary.json")["exit_code"])
    for one, run in zip(sorted(ended, key=lambda one: one.exit), made, strict=True):
        one.run = run  # `latest` is one of them only
        survived("two runs into one directory", one, exit={0, 1, 3})


@pytest.mark.prove
def test_recover_leaves_a_run_alone_that_is_going_on(tmp_path: Path) -> None:
    words = (*LOAD[:2], "--duration", 30.0)
    with Scripted({"/search": answer()}) as server, Course(tmp_path, written(tmp_path, server.url), *words) as course:
        course.wait_rows(10)
        refused = recovered(course)
        assert refused.exit == 2 and "is still being measured" in refused.sentence
        course.process.send_signal(signal.SIGINT)
        ended = course.end()
    survived("recover while it is measured", ended, exit=130, asked=asked(server))
