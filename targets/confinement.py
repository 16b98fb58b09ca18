"""The limits of [resources], put on a process by the kernel's control groups where this user may make one.

A group is made below our own (cgroup v2 with cpu and memory handed down, or v1's two hierarchies) and removed once its
processes are gone. What cannot be put on is said; the run goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PERIOD_US = 100_000
Files = dict[str, str]


@dataclass
class Confinement:
    """`cpu_cores` and `memory_mib` as they hold, None where not; `not_applied`: a sentence for each that does not."""

    cpu_cores: float | None = None
    memory_mib: float | None = None
    not_applied: list[str] = field(default_factory=list)
    _folders: list[Path] = field(default_factory=list)
    _later: dict[Path, str] = field(default_factory=dict)

    def take(self, pid: int) -> None:
        """Moves a process in; what it starts from now on is born there."""
        for folder in self._folders:
            try:
                (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
            except OSError as error:
                self.not_applied.append(f"process {pid} could not be moved into {folder} ({error.strerror})")
                self.cpu_cores = self.memory_mib = None

    def begin(self) -> None:
        """The CPU quota holds from now on: what a service does before it is ready is not hindered."""
        for file, text in self._later.items():
            try:
                file.write_text(text, encoding="ascii")
            except OSError as error:
                self.not_applied.append(f"the cpu limit: {file} cannot be set ({error.strerror})")
                self.cpu_cores = None
                return

    def remove(self) -> None:
        """After its processes have ended."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._folders = []

    def as_json(self) -> dict[str, object]:
        return {"cpu_cores": self.cpu_cores, "memory_mib": self.memory_mib, "not_applied": self.not_applied}


def confine(cpu_cores: float | None, memory_mib: float | None, cores_here: int) -> Confinement:
    """Makes the group, with its memory limit; `cores_here` is what the service may use on this machine. Never raises."""
    made = Confinement()
    if cpu_cores is not None and cpu_cores > cores_here:
        made.not_applied.append(f"{cpu_cores:g} cores are stated, this machine has {cores_here} for the service")
        cpu_cores = None
    if memory_mib is not None and memory_mib > psutil.virtual_memory().total / 2**20:
        made.not_applied.append(f"{memory_mib:g} MiB are stated, which is more than this machine has")
        memory_mib = None
    if cpu_cores is not None:
        files = {"cpu.max": f"{round(cpu_cores * PERIOD_US)} {PERIOD_US}"}
        older = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(round(cpu_cores * PERIOD_US))}
        if _limit(made, "cpu", files, older):
            made.cpu_cores = cpu_cores
    if memory_mib is not None:
        size = str(round(memory_mib * 2**20))
        if _limit(made, "memory", {"memory.max": size, "memory.swap.max": "0"}, {"memory.limit_in_bytes": size}):
            made.memory_mib = memory_mib
    return made


def _limit(made: Confinement, controller: str, files: Files, older: Files) -> bool:
    parent, version = _own_group(controller)
    if parent is None:
        made.not_applied.append(f"the {controller} limit: this system has no control group for it")
        return False
    if version == 2 and controller not in _words(parent / "cgroup.subtree_control"):
        made.not_applied.append(
            f"the {controller} limit: {parent} does not hand {controller} down; start Plimsoll with: "
            "systemd-run --user --scope -p Delegate=yes"
        )
        return False
    shared = next((folder for folder in made._folders if folder.parent == parent), None)
    folder = shared or parent / f"plimsoll-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(exist_ok=True)
        for name, text in (files if version == 2 else older).items():
            if controller == "cpu":
                made._later[folder / name] = text
            elif (folder / name).exists():
                (folder / name).write_text(text, encoding="ascii")
    except OSError as error:
        made.not_applied.append(f"the {controller} limit: {folder} cannot be made or set ({error.strerror})")
        with contextlib.suppress(OSError):
            folder.rmdir()
        return False
    if shared is None:
        made._folders.append(folder)
    return True


def _own_group(controller: str, proc: Path = Path("/proc/self")) -> tuple[Path | None, int]:
    """(our own group's folder for a controller, version of the hierarchy)."""
    try:
        mine = [line.split(":", 2) for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines()]
        mounts = [line.partition(" - ") for line in (proc / "mountinfo").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None, 0
    for _, controllers, path in mine:
        version = 2 if not controllers else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        for left, _, right in mounts:
            kind, *_, options = right.split()
            if kind != ("cgroup2" if version == 2 else "cgroup"):
                continue
            if version == 1 and controller not in options.split(","):
                continue
            root, mount = left.split()[3:5]
            inside = path.removeprefix(root) if root != "/" else path
            folder = Path(mount) / inside.lstrip("/")
            folder = folder if folder.is_dir() else Path(mount)
            if version == 1 or controller in _words(folder / "cgroup.controllers"):
                return folder, version
    return None, 0


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
