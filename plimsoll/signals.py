"""Ctrl-C and SIGTERM while a measurement goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from measurements.errors import Interrupted


class Signals:
    """First SIGINT or SIGTERM: stop gracefully; second SIGINT: at once."""

    def __init__(self) -> None:
        self.count = 0
        self.name = ""
        self.at_once = True  # until the load runs there are no rows to lose

    @property
    def interrupted(self) -> bool:
        return self.count > 0

    def reason(self) -> str | None:
        return f"interrupted ({self.name})" if self.count else None

    def hurry(self) -> bool:
        return self.count > 1

    def take(self, number: int, _: object) -> None:
        self.count += 1
        self.name = signal.Signals(number).name
        if self.at_once:
            raise Interrupted("interrupted before the load began; nothing was measured, what was started is stopped")


@contextmanager
def taking_signals() -> Iterator[Signals]:
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
