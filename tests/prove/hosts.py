"""A master and three hosts, each in a network of its own: the same figures as one process, and what faults do to them.

    python -m tests.prove.hosts [--write docs/distributed.md]      needs root; some five minutes

Prints a table (situation, intended, rows, lost, verdict, as expected, processes left) and ends with 1 where something is
not as expected.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.published import written
from measurements.rundir import RunDirectory
from tests.prove.network import Network, Wire, missing

ROOT = Path(__file__).parents[2]
PLIMSOLL = [sys.executable, "-P", "-m", "plimsoll.cli"]
TOKEN = "a secret of this proof, long enough"
RATE, SECONDS, HOSTS = 150, 20, 3
PORT, TARGET_PORT = 5557, 8000


@dataclass
class Line:
    situation: str
    intended: int
    rows: int
    lost: int
    verdict: str
    expected: str
    left: int
    note: str = ""

    @property
    def right(self) -> bool:
        return self.verdict == self.expected and self.left == 0 and not self.note.startswith("WRONG")


class Lab:
    """One situation: a network, a target, a master and three hosts."""

    def __init__(self, folder: Path, network: Network, master_wire: Wire | None = None) -> None:
        self.folder, self.network = folder, network
        target = network.add("target")
        self.master_address = network.add("master", master_wire)
        self.hosts = [f"host{k}" for k in range(HOSTS)]
        for host in self.hosts:
            network.add(host)
        folder.mkdir()
        (folder / "contract.toml").write_text(
            f'[target]\nname = "truth"\nbase_url = "http://{target}:{TARGET_PORT}"\n'
            '[[endpoint]]\nname = "work"\npath = "/"\ntimeout_s = 5\n',
            encoding="utf-8",
        )
        config = {
            "host": target, "port": TARGET_PORT, "kind": "queue", "servers": 0, "service_s": 0.02, "law": "exponential",
            "seed": 5, "log": str(folder / "truth.csv"),
        }  # fmt: skip
        words = [sys.executable, ROOT / "tests" / "prove" / "truth_server.py", json.dumps(config)]
        server = network.start("target", words, folder)
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        self.joined: dict[str, subprocess.Popen[str]] = {}

    def alone(self) -> dict[str, Any]:
        """The same load by one process, on a host whose wire is as good as the others'."""
        done = self.network.start(self.hosts[0], self._run("--out", self.folder / "alone"), self.folder)
        out, err = done.communicate(timeout=120)
        assert out, err
        return dict(json.loads(out))

    def begin(self, *words: object, bind: str = "", token: str = TOKEN) -> subprocess.Popen[str]:
        place = bind or self.master_address
        master = self._run("--master", "--bind", place, "--workers", HOSTS, "--out", self.folder / "master", *words)
        self.master = self.network.start("master", master, self.folder, PLIMSOLL_TOKEN=token)
        return self.master

    def join(self, host: str, token: str = TOKEN) -> subprocess.Popen[str]:
        words = [*PLIMSOLL, "run", "--join", self.master_address, "--out", self.folder / host]
        self.joined[host] = self.network.start(host, words, self.folder, PLIMSOLL_TOKEN=token)
        return self.joined[host]

    def loaded(self, after_s: float) -> None:
        """Until the load has run for so long."""
        until = time.monotonic() + 120
        latest = self.folder / "master" / "latest"
        while time.monotonic() < until:
            if latest.exists() and any((latest / "samples").glob("*.arrows")):
                time.sleep(after_s)
                return
            assert self.master.poll() is None, self.master.communicate()
            time.sleep(0.1)
        raise AssertionError("the load did not begin")

    def end(self) -> tuple[int, RunDirectory, dict[str, tuple[int, str]]]:
        _, err = self.master.communicate(timeout=180)
        said = {}
        for name, process in self.joined.items():
            out, its_err = process.communicate(timeout=120)
            said[name] = process.returncode, (out + its_err).strip()
        path = self.folder / "master" / "latest"
        assert path.exists(), err
        return self.master.returncode, RunDirectory(path.resolve()), said

    def _run(self, *words: object) -> list[object]:
        load = ["--rate", RATE, "--duration", SECONDS, "--seed", 11, "--json"]
        return [*PLIMSOLL, "run", self.folder / "contract.toml", *load, *words]


def line(situation: str, expected: str, code: int, run: RunDirectory, folder: Path, note: str = "") -> Line:
    rows = run.table("samples", ["seq", "outcome"]).to_pylist()
    arrivals = Counter(row["seq"] for row in rows)
    checks = {check["check"]: check["state"] for check in run.read_json("validity.json")["checks"]}
    if checks["accounting"] != "ok" or max(arrivals.values()) > 1 or len(arrivals) != max(arrivals) + 1:
        note = f"WRONG: a gap without a row, or an arrival twice ({checks['accounting']})"
    lost = sum(row["outcome"] == "lost" for row in rows)
    if code == 3:
        why = [reason["check"] for reason in run.read_json("summary.json")["reasons"] if reason["state"] == "invalid"]
        note = "; ".join(filter(None, [note, f"because of {', '.join(why)}"]))
    summary = run.read_json("summary.json")
    verdict = "valid" if summary["valid"] else "INVALID"
    due = 3 if not summary["valid"] else int(any(slo["state"] == "missed" for slo in summary["slo"]))
    if code != due:
        note = f"WRONG: exit {code}, not {due}"
    elif code == 1:
        what = "was lost" if lost else "could not be asked"
        note = f"exit 1: what {what} counts as failed, which is more than 5 %"
    return Line(situation, max(arrivals) + 1, len(rows), lost, verdict, expected, left(folder), note)


def left(folder: Path) -> int:
    """Processes that still work on this situation's folder."""
    time.sleep(1)
    count = 0
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        ours = "loadtests." in words or "plimsoll.cli" in words
        count += ours and (process.info["cwd"] or "").startswith(str(folder))
    return count


# ---------------------------------------------------------------------- the situations


def same_as_one(lab: Lab, situation: str) -> Line:
    one = lab.alone()
    lab.begin()
    for host in lab.hosts:
        lab.join(host)
    code, run, _ = lab.end()
    many = run.read_json("summary.json")
    apart = []
    for quantile in ("p50", "p95", "p99"):
        ours, theirs = (s["all"]["response_ms"]["ci95"].get(quantile) for s in (many, one))
        if not ours or not theirs or max(ours[0], theirs[0]) > min(ours[1], theirs[1]):
            apart.append(f"{quantile}: {ours} against {theirs} ms")
    shown = "; ".join(
        f"{q} {many['all']['response_ms'][q]:.1f} / {one['all']['response_ms'][q]:.1f} ms"
        for q in ("p50", "p95", "p99")
    )
    same = many["all"]["count"] == one["all"]["count"] and many["all"]["outcomes"] == one["all"]["outcomes"]
    note = f"three hosts / one process: {shown}"
    if apart or not same:
        note = f"WRONG: {'; '.join(apart) or 'other totals than one process'}"
    skew = max(worker["start_within_ms"] for worker in run.read_json("run.json")["workers"])
    return line(situation, "valid", code, run, lab.folder, f"{note}; started within ±{skew:.1f} ms")


def killed(lab: Lab, situation: str, *words: str, expected: str) -> Line:
    lab.begin(*words)
    for host in lab.hosts:
        lab.join(host)
    lab.loaded(6)
    victim = psutil.Process(lab.joined["host1"].pid)
    (victim.children() or [victim])[0].send_signal(signal.SIGKILL) if victim.name() == "ip" else victim.kill()
    code, run, _ = lab.end()
    return line(situation, expected, code, run, lab.folder)


def cut(lab: Lab, situation: str, seconds: float | None, expected: str, *words: object) -> Line:
    lab.begin(*words)
    for host in lab.hosts:
        lab.join(host)
    lab.loaded(6)
    lab.network.cut("host1")
    if seconds is not None:
        time.sleep(seconds)
        lab.network.mend("host1")
    code, run, said = lab.end()
    exit_of_host, words = said["host1"]
    note = f"its host ends with {exit_of_host}"
    if seconds is None and "are kept in" not in words:
        note = f"WRONG: the cut host did not keep its rows: {words[-200:]}"
    if seconds is None and "are kept in" in words:
        note += " and keeps its rows"
    return line(situation, expected, code, run, lab.folder, note)


def cut_off_from_the_master_alone(lab: Lab, situation: str) -> Line:
    """All hosts' disks are one here, so the cut host still reaches the shared place: its rows come home, and it stays lost."""
    found = cut(lab, situation, None, "INVALID", "--rows-to", lab.folder / "place")
    late = [
        row
        for row in RunDirectory((lab.folder / "master" / "latest").resolve()).table("samples").to_pylist()
        if row["outcome"] != "lost" and row["intended_ns"] > 8e9
    ]  # two seconds after the cut and later
    if len({row["worker"] for row in late}) < HOSTS:
        found.note = f"WRONG: what the cut host had laid did not come home; {found.note}"
    return found


def masterless(lab: Lab, situation: str) -> Line:
    lab.begin()
    for host in lab.hosts:
        lab.join(host)
    lab.loaded(6)
    os.kill(_command(lab.master.pid), signal.SIGKILL)
    lab.master.communicate(timeout=30)
    kept = rows = 0
    notes = []
    for host, process in lab.joined.items():
        process.communicate(timeout=120)
        notes.append(process.returncode)
        for folder in (lab.folder / host).glob("*"):
            recovered = subprocess.run(
                [*PLIMSOLL, "recover", str(folder), "--json"],
                capture_output=True,
                text=True,
                check=False,
                cwd=lab.folder,
            )
            if recovered.returncode == 0:
                kept += 1
                rows += json.loads(recovered.stdout)["all"]["outcomes"].get("ok", 0)
    on_master = subprocess.run(
        [*PLIMSOLL, "recover", str(lab.folder / "master" / "latest"), "--json"], capture_output=True, text=True, check=False,
        cwd=lab.folder,
    )  # fmt: skip
    there = json.loads(on_master.stdout)["all"]["outcomes"].get("ok", 0) if on_master.returncode == 0 else 0
    note = f"each host ends with 3 by itself, {rows:,} answers recovered on the hosts, {there:,} on the master"
    if notes != [3] * HOSTS or kept != HOSTS or rows < RATE * 5 or there < RATE * 4:
        note = f"WRONG: exits {notes}, {kept} folders with {rows} answers, {there} on the master: {on_master.stderr[-200:]}"
    return Line(situation, 0, rows, 0, "kept", "kept", left(lab.folder), note)


def strangers(lab: Lab, situation: str) -> Line:
    """No token on a network address: refused. A wrong one: not let in, and the run does not notice."""
    refused = lab.begin(token="")
    _, err = refused.communicate(timeout=60)
    lab.begin()
    wrong = lab.join("host0", token="not the secret of this proof")
    _, said = wrong.communicate(timeout=120)
    for host in lab.hosts:
        lab.join(host)
    code, run, _ = lab.end()
    note = "without a token exit 5, with a wrong one exit 2"
    if refused.returncode != 5 or wrong.returncode != 2:
        note = f"WRONG: exits {refused.returncode} and {wrong.returncode}: {err[-200:]} {said[-200:]}"
    return line(situation, "valid", code, run, lab.folder, note)


def _command(pid: int) -> int:
    """`ip netns exec` becomes the command itself; should it not, its child is the one."""
    process = psutil.Process(pid)
    return process.children()[0].pid if process.name() == "ip" and process.children() else pid


SITUATIONS: list[tuple[str, Wire | None, Callable[[Lab, str], Line]]] = [
    ("three hosts", None, same_as_one),
    ("three hosts, the master behind 25 ms and 1 % loss each way", Wire(25.0, 0.01), same_as_one),
    ("one host killed (SIGKILL)", None, lambda lab, s: killed(lab, s, expected="INVALID")),
    (
        "one host killed, `--allow-degraded`", None,
        lambda lab, s: killed(lab, s, "--allow-degraded", expected="valid"),
    ),
    ("one host cut off for 6 s, then back", None, lambda lab, s: cut(lab, s, 6.0, "valid")),
    ("one host cut off for 12 s over 25 ms and 1 % loss, then back", Wire(25.0, 0.01), lambda lab, s: cut(lab, s, 12.0, "valid")),
    ("one host cut off for good", None, lambda lab, s: cut(lab, s, None, "INVALID")),
    ("one host cut off for good, rows by a shared place", None, cut_off_from_the_master_alone),
    ("the master killed (SIGKILL)", None, masterless),
    ("strangers in the same network", None, strangers),
]  # fmt: skip


def prove(only: str = "") -> tuple[list[Line], bool]:
    lines, netem = [], False
    with tempfile.TemporaryDirectory(prefix="plimsoll-hosts-") as folder:
        for number, (situation, wire, work) in enumerate(SITUATIONS):
            if only not in situation:
                continue
            with Network() as network:
                try:
                    found = work(Lab(Path(folder) / f"{number}", network, wire), situation)
                except (AssertionError, subprocess.TimeoutExpired, OSError, KeyError) as error:
                    found = Line(situation, 0, 0, 0, "-", "-", 0, f"WRONG: {type(error).__name__}: {str(error)[-400:]}")
                netem = netem or network.netem
            lines.append(found)
            print(
                f"{'ok   ' if found.right else 'WRONG'}  {found.situation}: {found.verdict}; {found.note}", flush=True
            )
    return lines, netem


def table(lines: list[Line], netem: bool) -> str:
    wire = (
        "tc netem" if netem else "a process that carries the frames between two TAP devices (this kernel has no netem)"
    )
    head = [
        f"{RATE} requests/s for {SECONDS} s, seed 11, against a server that answers after an exponential time of 20 ms on "
        f"average; all hosts share these cores. Delay and loss: {wire}.",
        "",
        "| situation | intended | rows | lost | verdict | as expected | processes left | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [
        f"| {x.situation} | {x.intended or ''} | {x.rows:,} | {x.lost:,} | {x.verdict} | {'yes' if x.right else 'NO'} | "
        f"{x.left} | {x.note} |"
        for x in lines
    ]
    return "\n".join(head + rows)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="Markdown file to put the table into, between its marks")
    parser.add_argument("--only", default="", help="situations whose name has these words")
    given = parser.parse_args(words)
    if why := missing():
        print(f"not here: {why}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was set up is taken down on the way out
    lines, netem = prove(given.only)
    text = table(lines, netem)
    print(text)
    if given.write:
        written(given.write, "hosts", text)
    return 0 if lines and all(x.right for x in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
