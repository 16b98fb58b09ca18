"""Why a process may not be looked into, and what to type: exact for every reason."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from profiles import cpu, frames, rights


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("we", "owner", "container", "may", "scope", "says"),
    [
        (1000, 1000, False, False, 1, "sudo sysctl kernel.yama.ptrace_scope=0"),
        (1000, 1000, False, False, 2, "sudo -E"),
        (1000, 1000, False, False, 0, "seccomp"),
        (1000, 1000, True, False, 0, "--cap-add SYS_PTRACE"),
        (0, 1000, True, False, 0, "--cap-add SYS_PTRACE"),
        (0, 1000, False, False, 0, "CAP_SYS_PTRACE"),
        (1000, 4242, False, False, 0, "belongs to user 4242; look into it as root; repeat with: sudo -E"),
        (1000, 4242, True, False, 0, "docker exec --user 4242"),
        (1000, None, False, False, 0, "has ended"),
    ],
)
def test_every_reason_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, we: int, owner: int | None, container: bool, may: bool, scope: int, says: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: we)
    monkeypatch.setattr(rights, "_owner", lambda pid: owner)
    monkeypatch.setattr(rights, "_in_container", lambda: container)
    monkeypatch.setattr(rights, "_has_cap_sys_ptrace", lambda: may)
    monkeypatch.setattr(rights, "_ptrace_scope", lambda: scope)
    assert says in rights.ptrace_remedy(4711)


def test_sudo_is_told_where_the_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/app/.venv/bin/plimsoll", "profile", "my service.toml", "--cpu"])
    monkeypatch.setattr(rights, "_ptrace_scope", lambda: 2)
    monkeypatch.setattr(rights, "_in_container", lambda: False)
    monkeypatch.setattr(rights, "_has_cap_sys_ptrace", lambda: True)
    monkeypatch.setattr(rights, "_owner", lambda pid: os.geteuid())
    assert "sudo -E /opt/app/.venv/bin/plimsoll profile 'my service.toml' --cpu" in rights.ptrace_remedy(4711)


def test_another_users_service_gets_the_remedy_and_is_not_said_to_run_no_python(
    sleeper: int, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux hides from other users even which program a process runs."""
    monkeypatch.setattr(cpu, "is_python", lambda pid: False)
    monkeypatch.setattr(frames, "is_python", lambda pid: False)
    monkeypatch.setattr(rights, "_is_hidden", lambda pid: True)
    monkeypatch.setattr(rights, "ptrace_remedy", lambda pid: f"remedy for {pid}")
    assert cpu.record([sleeper], tmp_path, lambda: None).why_not == f"remedy for {sleeper}"
    assert frames.capture([sleeper], 0.1, snapshots=1)["why_not"] == f"remedy for {sleeper}"


def test_a_service_without_python_is_said_to_have_none() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert rights.no_python([process.pid]) == "none of its 1 processes runs Python"
    finally:
        process.kill()
        process.wait()
