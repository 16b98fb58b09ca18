"""A run over several hosts, here all of them on loopback: the same arrivals and rows as one machine gives, a lost host is
counted to the last arrival, and nobody gets in without the token."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import started, written
from servers import Scripted, answer

from loadtests.arrivals import Process, Stage, schedule
from measurements.rundir import RunDirectory
from targets.control import free_port
from targets.process import wait_gone

TOKEN = "a token of this test, long enough"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted({"/search": answer(after_s=0.01)}) as server:
        yield server


class Group:
    """A master and its joined hosts, each a command in a folder of its own."""

    def __init__(self, folder: Path, url: str, hosts: int, *words: object, each: int = 1, token: str = TOKEN) -> None:
        self.folder, self.port, self._env = folder, free_port(), {"PLIMSOLL_TOKEN": token}
        self.contract = written(folder, url)
        (folder / "master").mkdir()
        self.master = started(
            "run", self.contract, "--master", "--bind", f"127.0.0.1:{self.port}", "--workers", hosts * each, *words,
            "--json", "--out", folder / "master", cwd=folder, **self._env,
        )  # fmt: skip
        self.hosts = [self.join(number, "--workers", each) for number in range(hosts)]

    def join(self, number: int, *words: object, **env: str) -> subprocess.Popen[str]:
        out = self.folder / f"host-{number}"
        where = f"127.0.0.1:{self.port}"
        return started("run", "--join", where, *words, "--out", out, cwd=self.folder, **{**self._env, **env})

    def until_rows(self, least: int) -> RunDirectory:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            path = self.folder / "master" / "latest"
            if path.exists():
                run = RunDirectory(path.resolve())
                if run.table("samples", ["seq"]).num_rows >= least:
                    return run
            assert self.master.poll() is None, self.master.communicate()
            time.sleep(0.1)
        raise AssertionError("no rows came")

    def end(self) -> tuple[dict[str, Any], RunDirectory, list[tuple[int, str, str]]]:
        """(summary, run, what each host ended with)."""
        out, err = self.master.communicate(timeout=240)
        assert out, err
        said = []
        for host in self.hosts:
            text = host.communicate(timeout=120)
            said.append((host.returncode, *text))
        return json.loads(out), RunDirectory.open(self.folder / "master" / "latest"), said

    def close(self) -> None:
        for process in [self.master, *self.hosts]:
            if process.poll() is None:
                process.kill()
            process.communicate()


def rows(run: RunDirectory) -> list[dict[str, Any]]:
    return sorted(run.table("samples").to_pylist(), key=lambda row: row["seq"])


@pytest.mark.parametrize("way", ["over the line", "by a shared place"])
def test_two_hosts_make_the_arrivals_of_the_one_schedule_and_their_rows_are_all_there(
    server: Scripted, tmp_path: Path, way: str
) -> None:
    words = ["--rows-to", tmp_path / "place"] if way == "by a shared place" else []
    group = Group(tmp_path, server.url, 2, "--rate", 60, "--duration", 3, "--seed", 7, *words)
    try:
        summary, run, said = group.end()
    finally:
        group.close()
    assert [code for code, _, _ in said] == [0, 0], said
    checks = {check["check"]: check["state"] for check in run.read_json("validity.json")["checks"]}
    assert checks["workers_present"] == checks["accounting"] == "ok"
    found = rows(run)
    times_s, _ = next(schedule([Stage("steady", 3.0, 60.0, 60.0)], Process("poisson"), 7))
    assert [row["intended_ns"] for row in found] == [round(at_s * 1e9) for at_s in times_s]
    assert [row["seq"] for row in found] == list(range(len(found))) and len(found) == summary["all"]["count"]
    assert all(row["seq"] % 2 == row["worker"] for row in found)
    assert {row["outcome"] for row in found} == {"ok"} and len(server.asked) == len(found)
    workers = run.read_json("run.json")["workers"]
    assert [worker["worker"] for worker in workers] == [0, 1] and len({worker["host"] for worker in workers}) == 2
    assert all(worker["start_within_ms"] < 1000 and worker["start_monotonic_ns"] > 0 for worker in workers)
    for number in range(2):  # the master has every row, so a host keeps none
        assert list((tmp_path / f"host-{number}").iterdir()) == []
    assert all("the master has all" in out for _, out, _ in said)
    if words:
        rows_to = run.read_json("run.json")["rows_to"]
        assert rows_to["uri"] == str(tmp_path / "place") and not rows_to["kept"] and "said" not in rows_to
        assert rows_to["objects"] >= 2 and rows_to["bytes"] > 20 * len(found)  # that is how they came
        assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.prove
def test_a_killed_host_is_counted_to_the_last_arrival_and_makes_the_run_invalid(
    server: Scripted, tmp_path: Path
) -> None:
    group = Group(tmp_path, server.url, 2, "--rate", 60, "--duration", 6, "--seed", 7)
    try:
        group.until_rows(60)
        victim = group.hosts[1]
        below = [child.pid for child in psutil.Process(victim.pid).children(recursive=True)]
        victim.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        summary, run, said = group.end()
        assert wait_gone(below, 5) == []  # its load processes and its line die with it
    finally:
        group.close()
    assert time.monotonic() - killed_s < 120
    assert group.master.returncode == 3 and not summary["valid"]
    assert sorted(code for code, _, _ in said) == [-9, 0]
    found = rows(run)
    assert [row["seq"] for row in found] == list(range(len(found)))
    outcomes = Counter((row["outcome"], row["worker"]) for row in found)
    lost = {worker: count for (outcome, worker), count in outcomes.items() if outcome == "lost"}
    assert len(lost) == 1 and sum(lost.values()) > 30
    checks = {check["check"]: check for check in run.read_json("validity.json")["checks"]}
    assert checks["accounting"]["state"] == "ok" and checks["workers_present"]["state"] == "invalid"
    assert str(sum(lost.values())) in checks["workers_present"]["sentence"]


@pytest.mark.prove
def test_with_allow_degraded_a_lost_host_leaves_a_marked_gap_in_a_valid_run(server: Scripted, tmp_path: Path) -> None:
    group = Group(tmp_path, server.url, 2, "--rate", 60, "--duration", 6, "--seed", 7, "--allow-degraded")
    try:
        group.until_rows(60)
        group.hosts[0].send_signal(signal.SIGKILL)
        summary, run, _ = group.end()
    finally:
        group.close()
    reasons = {reason["check"]: reason for reason in summary["reasons"]}
    spoiled = {name for name, reason in reasons.items() if reason["state"] == "invalid"}
    assert all(name.startswith("generator_") for name in spoiled), (
        reasons
    )  # a busy machine's; the gap itself spoils nothing
    assert reasons["workers_present"]["state"] == "note"
    assert summary["all"]["outcomes"]["lost"] == sum(row["outcome"] == "lost" for row in rows(run)) > 10


@pytest.mark.prove
def test_when_the_master_is_killed_its_hosts_end_and_keep_their_rows(server: Scripted, tmp_path: Path) -> None:
    from plimsoll.joining import join
    from plimsoll.watcher import Watcher

    port = free_port()
    contract = written(tmp_path, server.url)
    env = {"PLIMSOLL_TOKEN": TOKEN}
    master = started(
        "run", contract, "--master", "--bind", f"127.0.0.1:{port}", "--rate", 40, "--duration", 40, "--seed", 1,
        "--out", tmp_path / "master", cwd=tmp_path, **env,
    )  # fmt: skip

    class Kills(Watcher):
        seen = 0

        def progress(self, worker: int, news: dict[str, Any]) -> None:
            Kills.seen += 1
            if Kills.seen == 3:
                master.kill()

    os.environ["PLIMSOLL_TOKEN"] = TOKEN
    try:
        part = join(f"127.0.0.1:{port}", 1, tmp_path / "host", Kills(), patient_s=6.0)
    finally:
        del os.environ["PLIMSOLL_TOKEN"]
        master.kill()
        master.communicate()
    assert part.exit == 3 and part.folder is not None and part.rows >= 100
    assert "plimsoll recover" in part.sentence and str(part.folder) in part.sentence
    asked = len(server.asked)
    time.sleep(0.3)
    assert len(server.asked) == asked  # the load has ended
    recovered = started("recover", part.folder, "--json", cwd=tmp_path)
    out, err = recovered.communicate(timeout=120)
    summary = json.loads(out)
    assert recovered.returncode == 0 and summary["valid"] is False, err
    assert summary["all"]["outcomes"]["ok"] >= part.rows - 5


@pytest.mark.prove
def test_when_the_master_is_killed_and_the_hosts_disks_are_gone_the_rows_come_home_from_the_shared_place(
    server: Scripted, tmp_path: Path
) -> None:
    group = Group(tmp_path, server.url, 2, "--rate", 40, "--duration", 12, "--seed", 7, "--rows-to", tmp_path / "place")
    try:
        run = group.until_rows(60)
        group.master.kill()
        said = [(host.communicate(timeout=120), host.returncode) for host in group.hosts]
    finally:
        group.close()
    assert all(code == 3 and f"lie at {tmp_path / 'place'}" in out for (out, _), code in said), said
    for number in range(2):
        shutil.rmtree(tmp_path / f"host-{number}")
    asked = len(server.asked)
    at_home = run.table("samples", ["seq"]).num_rows
    done = started("recover", run.path, "--json", cwd=tmp_path)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    summary = json.loads(out)
    assert at_home < asked and summary["all"]["outcomes"]["ok"] == asked and summary["valid"] is False
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.prove
def test_a_place_that_the_master_cannot_write_is_a_sentence_before_it_waits_for_hosts(
    server: Scripted, tmp_path: Path
) -> None:
    group = Group(tmp_path, server.url, 1, "--rate", 40, "--rows-to", "/proc/nowhere")
    try:
        _, err = group.master.communicate(timeout=90)
    finally:
        group.close()
    assert (
        group.master.returncode == 2 and "--rows-to /proc/nowhere cannot be written" in err and "Traceback" not in err
    )
    assert not server.asked


@pytest.mark.prove
def test_strangers_wrong_tokens_and_noise_neither_get_in_nor_break_the_run(server: Scripted, tmp_path: Path) -> None:
    group = Group(tmp_path, server.url, 1, "--rate", 30, "--duration", 5, "--seed", 1)
    try:
        spare = group.join(9)
        wrong = group.join(8, PLIMSOLL_TOKEN="another token, as long as that one")
        locust = subprocess.Popen(
            [Path(sys.executable).with_name("locust"), "--worker", "--master-port", str(group.port), "-f", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        group.until_rows(20)
        for noise in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff\x00" * 5_000,
            b"",
            b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03",
        ):
            with socket.create_connection(("127.0.0.1", group.port), timeout=5) as sock:
                sock.sendall(noise)
        summary, _, said = group.end()
        text = spare.communicate(timeout=120)
        assert sorted([spare.returncode, said[0][0]]) == [0, 2], (text, said)  # one place, whoever came first
        assert "not needed" in text[1] + said[0][2]
        refused = wrong.communicate(timeout=120)
        assert wrong.returncode == 2 and "PLIMSOLL_TOKEN must be the same" in refused[1], refused
        assert "Traceback" not in refused[1] + text[1]
    finally:
        locust.kill()
        locust.wait()
        group.close()
    assert summary["valid"] and summary["all"]["outcomes"] == {"ok": summary["all"]["count"]}, summary["reasons"]
