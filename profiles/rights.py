"""What a profiler needs to look into another process, and the exact remedy where it may not."""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Sequence
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
    owner, as_root, may = _owner(pid), f"repeat with: sudo -E {_typed()}", _has_cap_sys_ptrace()
    grant = (
        "start it with --cap-add SYS_PTRACE (compose: cap_add: [SYS_PTRACE]; Kubernetes: "
        "securityContext.capabilities.add: [SYS_PTRACE])"
    )
    inside = f"as that user, with: docker exec --user {_name(owner)} CONTAINER {_typed()}"
    elsewhere = inside if _in_container() else f"as root; {as_root}"
    by_scope = {
        1: f"kernel.yama.ptrace_scope is 1, so process {pid} may be traced only by whoever started it; "
        "let plimsoll start it with --command, or type: sudo sysctl kernel.yama.ptrace_scope=0",
        2: f"kernel.yama.ptrace_scope is 2 (administrators only); {as_root}",
        3: "kernel.yama.ptrace_scope is 3 (nobody, until the next boot); set it to 1 for the next boot and restart",
    }
    reasons = [
        (sys.platform == "darwin", f"macOS lets only root look into process {pid}; {as_root}"),
        (owner is None, f"process {pid} has ended; start the service again, or let plimsoll start it with --command"),
        (
            os.geteuid() in (0, owner) and _in_container() and not may,
            f"this container may not trace processes; {grant}",
        ),
        (
            os.geteuid() == 0 and not may,
            "root lacks the capability CAP_SYS_PTRACE here; repeat from a shell that has it",
        ),
        (owner != os.geteuid() and not may, f"process {pid} belongs to user {_name(owner)}; look into it {elsewhere}"),
        (_ptrace_scope() in by_scope, by_scope.get(_ptrace_scope(), "")),
    ]
    otherwise = f"process {pid} may not be traced (seccomp or a security module forbids ptrace); {as_root}"
    return next((sentence for holds, sentence in reasons if holds), otherwise)


def _typed() -> str:
    """The command as it was typed, with the program's full path: sudo looks for programs elsewhere."""
    if Path(sys.argv[0]).name != "plimsoll":
        return "plimsoll profile …"
    return shlex.join([str(Path(sys.argv[0]).resolve()), *sys.argv[1:]])


def no_python(pids: Sequence[int]) -> str:
    """Why no Python process was found among `pids`: perhaps only because we may not see what they run."""
    hidden = next(filter(_is_hidden, pids), None)
    if hidden is not None:
        return ptrace_remedy(hidden)
    return f"none of its {len(pids)} processes runs Python" if pids else "the service's processes have ended"


def debugger() -> str | None:
    """gdb or lldb: memray needs one to attach to a running process (Python before 3.14)."""
    return shutil.which("gdb") or shutil.which("lldb")


DEBUGGER_REMEDY = (
    "memray attaches to a running process through a debugger and there is none; install one (apt-get install gdb), "
    "or let plimsoll start the service with --command"
)


def _is_hidden(pid: int) -> bool:
    """Linux tells only those who may trace a process which program it runs."""
    try:
        Path(f"/proc/{pid}/exe").readlink()
    except PermissionError:
        return True
    except OSError:
        pass
    return False


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


def _name(owner: int | None) -> str:
    """As this system knows the user; of many containers' users it knows the number alone."""
    try:
        return pwd.getpwuid(owner or 0).pw_name
    except KeyError:
        return str(owner)


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
