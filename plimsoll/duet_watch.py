"""Looks on while a duet is recorded: both process trees at the blocks' ends, their metrics pages, nothing one-sided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadtests.arrivals import Stage
from plimsoll.pair import SIDES, Pair
from plimsoll.watch import Watch
from profiles.block_clock import BlockClock, pin
from profiles.scrape import Scraper
from targets.contract import Contract


class DuetWatch(Watch):
    """No health checks: they would load one version and not the other."""

    def __init__(self, contract: Contract, pair: Pair, stages: Sequence[Stage]) -> None:
        super().__init__(None, pair.urls, pair.all_roots, {}, [])
        self._pair = pair
        page = contract.target.observe.prometheus
        if page and "://" not in page:
            urls = [url.rstrip("/") + page for url in pair.urls]
            self._scrapers = [Scraper(url, url, {}, 0, verify_tls=contract.target.verify_tls) for url in urls]
        ends_s, at_s = [], 0.0
        for stage in stages:
            at_s += stage.duration_s
            ends_s.append(at_s)
        self._clock = BlockClock(pair.roots, [stage.name for stage in stages], ends_s, self._swap_cores)

    def start(self, start_ns: int, generator: Sequence[int], load_s: float) -> None:
        super().start(start_ns, generator, load_s)
        self._clock.start(start_ns)

    def stop(self) -> None:
        self._clock.stop()
        super().stop()

    def readings(self) -> dict[str, Any]:
        """`duet.json`: what each version had used at the end of each block."""
        return {"schema": 1, "readings": self._clock.readings, "halves": self._pair.halves}

    def _swap_cores(self, block: int) -> None:
        if self._pair.halves is None:
            return
        for number, side in enumerate(SIDES):
            pin(self._pair.roots.get(side, []), self._pair.halves[(number + block) % 2])
