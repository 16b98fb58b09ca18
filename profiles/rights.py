"""What a profiler needs to look into another process, and the exact remedy where it may not."""

import os
import shutil
import sys
from pathlib import Path

PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
CAP_SYS_PTRACE = 19


def program(name: str) -> str | None:
    """A profiler's executable: beside this Python first (that is the pinned one), then on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def missing_program(name: str) -> str:
    return f"{name} is not installed; install it with: pip install 'plimsoll[profile]'"


def ptrace_remedy(pid: int) -> str:
    """One sentence: why this user may not trace `pid`, and what to type."""
    owner, as_root = _owner(pid), "repeat with: sudo -E plimsoll profile …"
    by_scope = {
        1: f"kernel.yama.ptrace_scope is 1, so process {pid} may be traced only by whoever started it; "
        "let plimsoll start it with --command, or type: sudo sysctl kernel.yama.ptrace_scope=0",
        2: f"kernel.yama.ptrace_scope is 2 (administrators only); {as_root}",
        3: "kernel.yama.ptrace_scope is 3 (nobody, until the next boot); set it to 1 for the next boot and restart",
    }
    reasons = [
        (sys.platform == "darwin", f"macOS lets only root look into process {pid}; {as_root}"),
        (owner is None, f"process {pid} has ended; start the service again, or let plimsoll start it with --command"),
        (owner != os.geteuid(), f"process {pid} belongs to user {owner}; repeat as that user, or as root: {as_root}"),
        (
            _in_container() and not _has_cap_sys_ptrace(),
            "this container may not trace processes; start it with --cap-add SYS_PTRACE (compose: cap_add: "
            "[SYS_PTRACE]; Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])",
        ),
        (_ptrace_scope() in by_scope, by_scope.get(_ptrace_scope(), "")),
    ]
    otherwise = f"process {pid} may not be traced (seccomp or a security module forbids ptrace); {as_root}"
    return next((sentence for holds, sentence in reasons if holds), otherwise)


def debugger() -> str | None:
    """gdb or lldb: memray needs one to attach to a running process (Python before 3.14)."""
    return shutil.which("gdb") or shutil.which("lldb")


DEBUGGER_REMEDY = (
    "memray attaches to a running process through a debugger and there is none; install one (apt-get install gdb), "
    "or let plimsoll start the service with --command"
)


def _ptrace_scope() -> int:
    try:
        return int(PTRACE_SCOPE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _has_cap_sys_ptrace() -> bool:
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> CAP_SYS_PTRACE & 1)
    except (OSError, ValueError):
        pass
    return False


def _in_container() -> bool:
    return (
        Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ
    )
