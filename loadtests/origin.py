"""One replica of the target as the transport sees it: its pinned address, its Host header, its TLS, what it taught us."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from targets.urls import base_url

NEVER_NS = 1 << 62


@dataclass
class Origin:
    """`address` was resolved once, before the run: DNS cannot move the load."""

    replica: int
    url: str
    address: str
    port: int
    host_header: str
    prefix: str
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    open_connections: set[object] = field(default_factory=set)
    idle_limit_ns: int = NEVER_NS  # learned when the server closes an idle connection, so that the next is not caught

    @classmethod
    def of(cls, replica: int, url: str, address: str, verify_tls: bool = True) -> Origin:
        parts = base_url(url)
        if parts.scheme == "unix":
            return cls(replica, url, address, 0, "localhost", "")
        secure = parts.scheme == "https"
        return cls(
            replica=replica,
            url=url,
            address=address,
            port=parts.port or (443 if secure else 80),
            host_header=parts.netloc,
            prefix=parts.path.rstrip("/"),
            tls=_context(verify_tls) if secure else None,
            server_name=parts.hostname or "",
        )

    def learn_idle_limit(self, idle_ns: int) -> None:
        """The server closed a connection that had been idle so long: leave a tenth of margin from now on."""
        if idle_ns > 50_000_000:
            self.idle_limit_ns = min(self.idle_limit_ns, idle_ns * 9 // 10)


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
