"""Whether two running versions hold the same mutable thing open: a file, a mapped file, a local store's connection."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import psutil

from profiles import processes

HARMLESS = ("/dev/", "/proc/", "/sys/", "memfd:", "/memfd:", "/SYSV")
WRITES = ("w", "a", "+")


def found(roots: Sequence[Sequence[int]], may_share: Sequence[str] = ()) -> str:
    """A sentence that names what both use, or "". `may_share`: paths and host:port that are known to hold no state.

    A store at a public address is not looked into: a shared upstream is ordinary there.
    """
    trees = [set(processes.tree(pids)) for pids in roots]
    if len(trees) == 2 and trees[0] & trees[1]:
        return "baseline and candidate are one and the same process; start two, on ports of their own"
    used = [_used(tree) for tree in trees]
    common = sorted(name for name in set.intersection(*used) if name not in may_share) if used else []
    if not common:
        return ""
    return (
        f"both versions use {', '.join(common[:3])}: what one writes the other finds; give each its own in [target.control], "
        "or name it in [gate] may_share if it holds no state"
    )


def _used(pids: set[int]) -> set[str]:
    """Files open for writing, files mapped shared and writable, local addresses that it is connected to."""
    names: set[str] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            names |= {f.path for f in process.open_files() if any(c in getattr(f, "mode", "r") for c in WRITES)}
            names |= _mapped(pid)
            listening = {c.laddr.port for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
            for connection in process.net_connections("inet"):
                out = connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port not in listening
                if out and connection.raddr and _is_near(connection.raddr.ip):
                    names.add(f"{connection.raddr.ip}:{connection.raddr.port}")
    return {name for name in names if not name.startswith(HARMLESS)}


def _mapped(pid: int) -> set[str]:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        parts = [line.split(maxsplit=5) for line in lines]
        return {p[5] for p in parts if len(p) == 6 and p[1].startswith("rw-s") and p[5].startswith("/")}
    return set()


def _is_near(address: str) -> bool:
    ip = ip_address(address.split("%", 1)[0])
    return ip.is_loopback or ip.is_private
