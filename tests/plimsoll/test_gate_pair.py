"""Two versions on this machine: revisions in worktrees, shared state that is found, readings of both trees."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from measurements.errors import UsageError
from plimsoll import sharing
from plimsoll.pair import worktree
from profiles.block_clock import BlockClock, cpu_s


@contextmanager
def process(code: str) -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        yield child.pid
    finally:
        child.kill()
        child.wait()


WAIT = "; print('ready', flush=True); import time; time.sleep(60)"


def test_a_file_that_both_write_is_sharing_unless_it_is_agreed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    code = f"f = open({str(path)!r}, 'a'){WAIT}"
    with process(code) as one, process(code) as other, process("x = 0" + WAIT) as third:
        assert str(path) in sharing.found([[one], [other]])
        assert sharing.found([[one], [other]], [str(path)]) == ""
        assert sharing.found([[one], [third]]) == ""
        assert "one and the same process" in sharing.found([[one], [one]])


def test_a_store_that_both_are_connected_to_is_sharing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as store, ExitStack() as stack:
        port = store.getsockname()[1]
        code = f"import socket; s = socket.create_connection(('127.0.0.1', {port})){WAIT}"
        pids = [stack.enter_context(process(code)) for _ in range(2)]
        assert f"127.0.0.1:{port}" in sharing.found([[pid] for pid in pids])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="clocks of other processes are Linux's")
def test_cpu_of_another_process_is_read_to_the_microsecond() -> None:
    busy_for = "end = time.process_time() + 0.2\nwhile time.process_time() < end: pass\ntime.sleep(60)"
    burn = "import time\nprint('ready', flush=True)\n" + busy_for
    with process(burn) as busy, process("x = 0" + WAIT) as idle:
        clock = BlockClock({"baseline": [idle], "candidate": [busy]}, ["b1", "b2"], [0.6, 1.2])
        clock.start(time.monotonic_ns())
        time.sleep(1.4)
        clock.stop()
        total = cpu_s([busy])
    used = {(r["block"], r["side"]): r["cpu_s"] for r in clock.readings}
    assert set(used) == {(b, s) for b in ("b1", "b2") for s in ("baseline", "candidate")}
    assert total is not None and total >= 0.2
    assert used["b1", "baseline"] < 0.01 and used["b2", "candidate"] <= 0.25
    assert all(r["rss_peak_mib"] > 1 for r in clock.readings)


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_revision_is_checked_out_beside_and_removed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repo"
    (repository / "service").mkdir(parents=True)
    git(repository, "init", "-q")
    (repository / "service" / "app.py").write_text("old", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "one")
    git(repository, "tag", "v1")
    (repository / "service" / "app.py").write_text("new", encoding="utf-8")
    monkeypatch.chdir(repository / "service")
    with worktree("v1", tmp_path / "checkout") as folder:
        assert folder == tmp_path / "checkout" / "service"
        assert (folder / "app.py").read_text(encoding="utf-8") == "old"
    assert not (tmp_path / "checkout").exists()
    listed = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == 1
    with pytest.raises(UsageError, match="name a revision"), worktree("v9", tmp_path / "other"):
        pass
    assert os.getcwd().endswith("service")  # noqa: PTH109
