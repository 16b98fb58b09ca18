"""Real runs in processes of their own, into which a fault is put; and what must hold of every one, whatever the fault.

with Course(folder, contract, "--rate", 60, "--duration", 2) as course:
    course.wait_rows(20)
    course.process.send_signal(signal.SIGINT)
    ended = course.end()
assert ended.leftovers == [] and wrong_rows(ended.run) == [] and ended.exit == due_exit(ended.run)
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import psutil

from loadtests.accounting import stripe
from loadtests.arrivals import Process, Stage
from loadtests.plan import LoadPlan
from measurements.check import INVALID
from measurements.rundir import RunDirectory

ROOT = Path(__file__).parents[2]
MARK = "PLIMSOLL_FAULT_MARK"
GENERATORS_DELAYS = {"generator_added", "generator_reading", "generator_run_queue"}
BUSY = 0.2  # of the time some task of the machine waited for a core (/proc/pressure/cpu)
STOP_S = 0.6  # between an order to stop and the moment that a load process takes no further arrival
REAL = ("ok", "http_error", "rejected", "timeout", "connect_error", "protocol_error", "unexpected_body", "abandoned")


@dataclass
class Ended:
    """What a command left: its exit code, its words, its newest run, and what ought not to be there any more."""

    exit: int
    out: str
    err: str
    run: RunDirectory | None
    leftovers: list[str] = field(default_factory=list)

    @property
    def summary(self) -> dict[str, Any]:
        assert self.run is not None, self.err
        return self.run.read_json("summary.json")

    @property
    def states(self) -> dict[str, str]:
        assert self.run is not None, self.err
        return {check["check"]: check["state"] for check in self.run.read_json("validity.json")["checks"]}

    @property
    def sentence(self) -> str:
        """The one line on standard error that is not progress; fails on a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("plimsoll: ")]
        assert len(lines) == 1, self.err
        return lines[0]


class Course:
    """`plimsoll run WORDS` in `folder`. `before`: words in front of the command (`unshare`)."""

    def __init__(
        self, folder: Path, *words: object, command: str = "run", before: Sequence[str] = (), out: Path | None = None,
        **env: str,
    ) -> None:  # fmt: skip
        self.folder, self.mark = folder, uuid4().hex
        self.out = out or folder / "runs"
        self.temporary = folder / f"tmp-{self.mark[:8]}"
        self.temporary.mkdir(parents=True)
        self.process = subprocess.Popen(
            [*before, sys.executable, "-P", "-m", "plimsoll.cli", command, *map(str, words),
             *(["--quiet", "--out", str(self.out)] if command == "run" else [])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), MARK: self.mark, **env},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in marked(self.mark):
            process.kill()
        self.process.communicate()

    @property
    def run(self) -> RunDirectory | None:
        link = self.out / "latest"
        return RunDirectory(link.resolve()) if link.exists() else None

    @property
    def load_pids(self) -> list[int]:
        """The load processes, oldest first."""
        return sorted(p.pid for p in marked(self.mark) if "loadtests.worker" in " ".join(p.cmdline()))

    def wait_rows(self, rows: int) -> None:
        """Until so many rows are in the journals (they are written once a second)."""

        def enough() -> bool:
            assert self.process.poll() is None, self.process.communicate()[1]
            return self.run is not None and self.run.table("samples", ["seq"]).num_rows >= rows

        wait_for(enough)

    def end(self, timeout_s: float = 150.0) -> Ended:
        out, err = self.process.communicate(timeout=timeout_s)
        return Ended(self.process.returncode, out, err, self.run, self.leftovers())

    def leftovers(self) -> list[str]:
        """Processes, ports, temporary and half-written files. A process has eight seconds to see that its parent is gone."""
        until = time.monotonic() + 8.0
        while (alive := marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        found = [f"process {p.pid} {' '.join(p.cmdline())[:80]}" for p in alive]
        found += [f"port {c.laddr.port}" for p in alive for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
        found += [f"temporary {path}" for path in self.temporary.rglob("*") if path.is_file()]
        if self.out.exists():
            found += [str(path) for path in self.out.rglob("*")
                      if path.name.endswith(".partial") or path.name.startswith(".latest")]  # fmt: skip
        return found


def marked(mark: str) -> list[psutil.Process]:
    """Every process of one course, also one whose parent is gone: they inherit the mark in their environment."""
    needle, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes():
                    process = psutil.Process(int(entry.name))
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
            except (OSError, psutil.Error):
                continue
    return found


def recovered(course: Course) -> Ended:
    """`plimsoll recover` on what a killed command left."""
    assert course.run is not None
    with Course(course.folder, course.run.path, "--json", command="recover", out=course.out) as again:
        return again.end()


def wait_for(what: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come within its time")


def wrong_rows(run: RunDirectory, killed: bool = False) -> list[str]:
    """Why the rows are not exactly the intended arrivals, one each; empty where they are.

    The schedule is worked out anew from run.json's seed. A run that was stopped early has each load process's arrivals up
    to one moment and none after; `killed`: each process's moment may be its own, by up to the second since its journal.
    """
    document, summary = run.read_json("run.json"), run.read_json("summary.json")
    schedule = document["schedule"]
    stages = [Stage(**stage) for stage in schedule["stages"]]
    plan = LoadPlan(
        run=document["run"], base_urls=[], addresses=[], stages=stages, seed=document["seed"], nonce="", loop="open", users=0,
        process=Process(schedule["process"].split(":")[0], schedule["cv"]), workers=schedule["workers"],
    )  # fmt: skip
    table = run.table("samples", ["worker", "seq", "step", "intended_ns", "outcome"]).to_pandas()
    first = table[(table["seq"] >= 0) & (table["step"] == 0)]
    wrong = []
    if first["seq"].duplicated().any():
        wrong.append("an arrival has two rows")
    if table["outcome"].isna().any():
        wrong.append("a row has no outcome")
    if (path := run.path / "samples").exists() and (left := [p.name for p in path.iterdir() if p.suffix != ".parquet"]):
        wrong.append(f"left in samples/: {left}")
    whole_s = sum(stage.duration_s for stage in stages)
    for worker in range(plan.workers):
        seq, intended_ns, _ = stripe(plan, worker, whole_s)
        mine = np.sort(first[first["worker"] == worker]["seq"].to_numpy())
        due = seq if summary["ended"] == "completed" else seq[: len(mine)]
        if not np.array_equal(mine, due):
            missing = np.setdiff1d(due, mine)
            wrong.append(f"load process {worker}: {len(mine)} rows of {len(due)} arrivals, missing {missing[:5]}")
        elif summary["ended"] != "completed" and len(mine) < len(seq):
            behind_s = summary["duration_s"] - intended_ns[len(mine)] / 1e9
            if behind_s > (1.5 if killed else STOP_S):
                wrong.append(f"load process {worker}: nothing for the last {behind_s:.1f} s")
    counted = sum(summary["all"]["outcomes"].values())
    if counted != summary["all"]["count"]:
        wrong.append(f"outcomes add up to {counted}, not {summary['all']['count']}")
    return wrong


def starved(run: RunDirectory) -> bool:
    """INVALID only for the generator's delays, on a machine whose tasks waited for cores: the right verdict there."""
    failed = {check["check"] for check in run.read_json("validity.json")["checks"] if check["state"] == INVALID}
    resources = run.read_json("summary.json").get("resources") or {}
    waited = (resources.get("host") or {}).get("psi_cpu_share") or 0.0
    return bool(failed) and failed <= GENERATORS_DELAYS and waited > BUSY


def due_exit(run: RunDirectory) -> int:
    """What the command has to end with, by the documented order, from what the run says of itself."""
    summary = run.read_json("summary.json")
    outcomes = set(summary["all"]["outcomes"])
    if outcomes and outcomes <= {"connect_error"}:
        return 4
    if summary["ended"] == "interrupted":
        return 130
    if not summary["valid"]:
        return 3
    return 1 if any(slo["state"] == "missed" for slo in summary["slo"]) else 0


def lost_rows(run: RunDirectory, asked: Sequence[int]) -> int:
    """Requests that the server saw (by arrival number) and that no row tells of, but as `lost` at most."""
    table = run.table("samples", ["seq", "outcome"]).to_pandas()
    told = set(table[table["outcome"].astype(str).isin(REAL)]["seq"])
    return len(set(asked) - told)


def fill(folder: Path) -> Path:
    """A file that takes what room is left on a small file system."""
    path = folder / "filler"
    try:
        opened = path.open("wb", buffering=0)  # else what could not be written fails once more on closing
    except OSError:
        return path  # it is full already
    with opened as file:
        for size in (65_536, 4_096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path
