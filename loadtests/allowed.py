"""A load process connects where its plan says and to private addresses, and nowhere else, whatever a locustfile asks for."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Any

from targets.urls import is_never, is_private

_addresses: set[str] = set()


class NotAllowed(OSError):
    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"no load goes to {address}: this run is allowed its own target only")


def only(addresses: Sequence[str]) -> None:
    """From now on, for this process: `addresses` were resolved and allowed before the run began. Locust's own clients look
    names up themselves, so the connection is where a name that moved is caught."""
    _addresses.update(addresses)
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        return  # a Unix socket
    host = str(address[0])
    try:
        fine = host in _addresses or (is_private(host) and not is_never(host))
    except ValueError:
        return  # a name that is yet to be looked up by the system
    if not fine:
        raise NotAllowed(host)
