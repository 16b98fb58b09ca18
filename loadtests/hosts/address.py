"""Where a master listens and how one gets in: HOST[:PORT], and the token that both sides have in their environment."""

from __future__ import annotations

import ipaddress
import os

from measurements.errors import Refused, UsageError

PORT = 5557  # Locust's own
TOKEN = "PLIMSOLL_TOKEN"
SHORTEST_TOKEN = 16


def parse(text: str, option: str) -> tuple[str, int]:
    """host, host:port, [ipv6]:port or a bare IPv6 address."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host or any(c.isspace() or c == "/" for c in host):
        raise UsageError(f"{option} {text}: write HOST or HOST:PORT, without a scheme")
    if not port:
        return host, PORT
    if not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise UsageError(f"{option} {text}: {port!r} is no port; ports are 1 to 65535")
    return host, int(port)


def is_here(host: str) -> bool:
    """Loopback: nobody from another machine gets there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_to_bind(host: str) -> str:
    """What both sides must know. On loopback there may be none; elsewhere a master without one does not start."""
    found = _token()
    if not found and not is_here(host):
        raise Refused(
            f"{host} can be reached from other machines, and whoever gets there could steer the load: set {TOKEN} to the "
            f"same secret here and on every host that joins, e.g. export {TOKEN}=$(openssl rand -hex 32)"
        )
    return found


def token_to_join(host: str) -> str:
    found = _token()
    if not found and not is_here(host):
        raise UsageError(f"{host} is another machine: set {TOKEN} to the secret that its master has")
    return found


def _token() -> str:
    found = os.environ.get(TOKEN, "")
    if found and len(found) < SHORTEST_TOKEN:
        raise UsageError(
            f"{TOKEN} has {len(found)} characters, {SHORTEST_TOKEN} are the least; make one with: openssl rand -hex 32"
        )
    return found
