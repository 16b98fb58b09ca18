"""A connection to an origin: TCP over IPv4 or IPv6, a Unix socket, TLS over them; and why there is none."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

from gevent import socket as gsocket

from loadtests.origin import Origin
from loadtests.tls import TlsStream
from measurements.sample import Outcome

OWN_FAULTS = {
    errno.EMFILE: "EMFILE: out of file descriptors",
    errno.ENFILE: "ENFILE: the system is out of file descriptors",
    errno.EADDRNOTAVAIL: "EADDRNOTAVAIL: out of local ports",
    errno.ENOBUFS: "ENOBUFS: out of socket buffers",
    errno.ENOMEM: "ENOMEM: out of memory",
}
KNOWN = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
}
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: ports are then taken per destination


def connect(origin: Origin, source: str | None, timeout_s: float) -> tuple[Any, socket.socket | TlsStream]:
    """(gevent's socket, the stream to use), waiting on gevent's loop. OSError says why not."""
    unix = origin.address.startswith("/")
    family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in origin.address else socket.AF_INET
    sock = gsocket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(timeout_s, 0.001))
        if unix:
            sock.connect(origin.address)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            sock.connect((origin.address, origin.port))
        raw = sock._sock  # the plain socket under gevent's: our own watcher replaces its waiting
        if origin.tls is None:
            return sock, raw
        stream = TlsStream(raw, origin.tls, origin.server_name)
        stream.handshake(max(timeout_s, 0.001))
    except BaseException:
        sock.close()
        raise
    return sock, stream


def connect_failure(error: OSError, origin: Origin) -> tuple[Outcome, str]:
    if error.errno in OWN_FAULTS:
        return Outcome.connect_error, OWN_FAULTS[error.errno]
    if isinstance(error, TimeoutError):
        return Outcome.timeout, "timeout while waiting for a connection"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"TLS: the certificate of {origin.server_name} is not trusted ({error.verify_message})"
        return Outcome.connect_error, why
    if isinstance(error, ssl.SSLError):
        return Outcome.connect_error, f"TLS: {error.reason or error}"
    return Outcome.connect_error, reason(error)


def reason(error: OSError) -> str:
    return KNOWN.get(error.errno or 0, error.strerror or str(error))
