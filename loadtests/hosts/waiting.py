"""Calls that wait for a shared place, in threads beside gevent's loop: heartbeats go on meanwhile. Imported only by `hub` and
`link`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool

ANSWER_S = 20.0
MOST_AT_ONCE = 4

P = ParamSpec("P")
T = TypeVar("T")


class Waiting:
    """`call` gives what `work` gives or raises; TimeoutError, an OSError, where the place does not answer."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._pool, self._answer_s = ThreadPool(MOST_AT_ONCE), answer_s

    def call(self, work: Callable[P, T], *words: P.args, **named: P.kwargs) -> T:
        def caught() -> tuple[T | None, Exception | None]:
            try:
                return work(*words, **named), None
            except Exception as error:  # else gevent prints its stack as well
                return None, error

        try:
            found, error = self._pool.spawn(caught).get(timeout=self._answer_s)
        except gevent.Timeout:
            raise TimeoutError(f"no answer within {self._answer_s:g} s") from None
        if error is not None:
            raise error
        return cast(T, found)
