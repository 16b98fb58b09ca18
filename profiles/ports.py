"""Which processes serve a URL: found by the port they listen on, so that any service on this machine is observed."""

import contextlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from measurements.errors import TargetUnreachable
from profiles import containers
from profiles.processes import tree
from targets.contract import Observe
from targets.urls import base_url, resolve

PROC = Path("/proc")
LISTEN = "0A"  # tcp_states.h
INIT = 1
PROXIES = ("docker-proxy", "rootlesskit", "nginx", "haproxy", "envoy", "traefik", "caddy", "ssh", "kubectl")


@dataclass(frozen=True)
class Listening:
    """`roots`: topmost pids that hold the listening socket (workers are below them), empty where `why_not` is set.

    `note` is a sentence to be shown beside the figures (a proxy listens, not the service itself).
    """

    roots: tuple[int, ...]
    why_not: str | None = None
    note: str | None = None


def of_service(observe: Observe, url: str) -> Listening:
    """Whom the contract names, by pid, container or port; else who serves `url`."""
    if observe.pid:
        gone = f"there is no process {observe.pid}, which [target.observe] pid names; look it up again"
        return Listening((observe.pid,)) if psutil.pid_exists(observe.pid) else Listening((), gone)
    if observe.container:
        pid, why_not = containers.first_process(observe.container)
        return Listening((), why_not) if pid is None else Listening((pid,))
    return listening(f"http://127.0.0.1:{observe.port}" if observe.port else url)


def listening(url: str) -> Listening:
    """Never raises for what cannot be found: the run goes on without resources of the target, and says why."""
    parts = base_url(url)
    if parts.scheme == "unix":
        return Listening((), f"{url} is a Unix socket, whose process is not looked for; give it with --pid")
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if not _is_here(url):
        return Listening((), f"{host} is not this machine: start plimsoll beside the service to see its resources")
    pids, hidden = _holders(port)
    pids -= {INIT} if len(pids) > 1 else set()
    if pids == {INIT}:
        return Listening((), f"port {port} is held by pid 1 for a service not yet started; send it a request, or --pid")
    roots = topmost(pids)
    if roots:
        return Listening(roots, note=_proxy_note(port, roots))
    if hidden:
        return Listening(
            (), f"port {port} is served by another user's process that we may not look into; run as that user or root"
        )
    return Listening((), f"no process of this machine listens on port {port}; start the service, or give --pid")


def topmost(pids: Iterable[int]) -> tuple[int, ...]:
    """Those of `pids` that have no ancestor among them."""
    given = set(pids)
    found = []
    for pid in sorted(given):
        if psutil.pid_exists(pid) and not given & {parent.pid for parent in _parents(pid)}:
            found.append(pid)
    return tuple(found)


def dependencies(root: int, url: str) -> list[int]:
    """Processes below `root` that serve something else, such as an emulated upstream that the service started.

    They listen on a port, but not on the one of `url`, and none of those that do stands below them. Behind a front
    proxy nobody is left out: there the service itself listens elsewhere.
    """
    port = base_url(url).port or 80
    inside = set(tree([root]))
    serving = _holders(port)[0] & inside
    if not serving or _proxy_note(port, serving):
        return []
    above = {parent.pid for pid in serving for parent in _parents(pid)}
    return list(topmost(_listeners() & inside - serving - above))


def _listeners() -> set[int]:
    """Pids that listen on any TCP port and that we may look into."""
    with contextlib.suppress(psutil.Error, OSError, RuntimeError):
        listening_here = [entry for entry in psutil.net_connections(kind="tcp") if entry.status == psutil.CONN_LISTEN]
        return {entry.pid for entry in listening_here if entry.pid}
    return set()


def _parents(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).parents()
    except psutil.Error:
        return []


def _is_here(url: str) -> bool:
    try:
        address = resolve(url).split("%")[0]
    except TargetUnreachable:
        return False
    if ipaddress.ip_address(address).is_loopback:
        return True
    return address in {card.address.split("%")[0] for cards in psutil.net_if_addrs().values() for card in cards}


def _holders(port: int) -> tuple[set[int], bool]:
    """Pids that hold a socket listening on `port`, and whether some holder is hidden from us.

    psutil names one holder per socket on Linux; a parent and its forked workers share one, so /proc is read itself.
    """
    if (PROC / "net" / "tcp").exists():
        return _holders_from_proc(port)
    try:
        sockets = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError, RuntimeError):
        return set(), True
    held = [entry for entry in sockets if entry.status == psutil.CONN_LISTEN and entry.laddr and entry.laddr[1] == port]
    return {entry.pid for entry in held if entry.pid}, any(entry.pid is None for entry in held)


def _holders_from_proc(port: int) -> tuple[set[int], bool]:
    """From /proc/net/tcp: the socket inodes that listen on the port, then the processes that have them open."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    pids, seen = set(), set()
    for folder in PROC.glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(descriptor.readlink())
                    if target in inodes:
                        pids.add(int(folder.name))
                        seen.add(target)
    return pids, seen != inodes


def _proxy_note(port: int, roots: Iterable[int]) -> str | None:
    names = []
    for pid in roots:
        with contextlib.suppress(psutil.Error):
            names.append(psutil.Process(pid).name())
    proxies = sorted({name for name in names if name in PROXIES})
    if not proxies:
        return None
    return f"port {port} is served by {', '.join(proxies)}: resources are the proxy's; name the service with --pid"
