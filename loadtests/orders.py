"""A child's side of its line to the parent: orders come and news go as JSON lines."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import gevent.socket
import orjson
from gevent.lock import BoundedSemaphore


class Orders:
    """`next` blocks on gevent's loop; None when the parent is gone."""

    def __init__(self, fd: int) -> None:
        self._socket = gevent.socket.socket(fileno=fd)
        self._reader = self._socket.makefile("r", encoding="utf-8")
        self._whole = BoundedSemaphore()  # one message after the other, whichever greenlet tells it

    def next(self) -> dict[str, Any] | None:
        try:
            line = self._reader.readline()
        except OSError:
            return None
        return json.loads(line) if line else None

    def tell(self, **news: Any) -> None:
        with self._whole, contextlib.suppress(OSError):  # the parent is gone; `next` will say so
            self._socket.sendall(
                orjson.dumps(news, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY) + b"\n"
            )
