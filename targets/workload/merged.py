"""All blocks' tallies as one, within bounds: endpoints by hour and status, response times, arrivals, tokens."""

from __future__ import annotations

from collections import Counter

from targets.workload.arrivals import Arrivals
from targets.workload.latency import ResponseTimes
from targets.workload.paths import NO_SUCH_PATH, OTHER, folded
from targets.workload.tally import MOST_DAYS, Tally
from targets.workload.tokens import TokenCounts

MOST_ENDPOINTS = 4_000  # while reading; each costs 11 KiB where times are logged
MOST_SHOWN = 100


class Merged:
    """`counts[endpoint][(hour of day or 24, status)]`; `times[endpoint]`, `hour_times[hour]`; see `tally.Tally`."""

    def __init__(self) -> None:
        self.lines = self.requests = self.skipped = 0
        self.counts: dict[str, Counter[tuple[int, int]]] = {}
        self.times: dict[str, ResponseTimes] = {}
        self.hour_times: dict[int, ResponseTimes] = {}
        self.arrivals = Arrivals()
        self.days: set[int] = set()
        self.first_local_s: int | None = None
        self.last_local_s: int | None = None
        self.offsets_s: Counter[int] = Counter()
        self.tokens_in, self.tokens_out = TokenCounts(), TokenCounts()

    def add(self, made: Tally) -> None:
        self.lines += made.lines
        self.requests += made.requests
        self.skipped += made.skipped
        for (endpoint, hour, status), count in made.counts.items():
            self.counts.setdefault(endpoint, Counter())[hour, status] += count
        for endpoint, times in made.endpoint_times.items():
            self.times.setdefault(endpoint, ResponseTimes()).add(times.index, times.counts, times.sum_s, times.max_s)
        for hour, times in made.hour_times.items():
            self.hour_times.setdefault(hour, ResponseTimes()).add(times.index, times.counts, times.sum_s, times.max_s)
        self.arrivals.add(made.second_s, made.second_counts, made.exact_us)
        self.days |= set(made.days[: MOST_DAYS - len(self.days)])
        if made.first_local_s is not None and made.last_local_s is not None:
            first, last = self.first_local_s, self.last_local_s
            self.first_local_s = made.first_local_s if first is None else min(first, made.first_local_s)
            self.last_local_s = made.last_local_s if last is None else max(last, made.last_local_s)
        for offset_s, count in made.offsets_s.items():
            if offset_s in self.offsets_s or len(self.offsets_s) < MOST_SHOWN:
                self.offsets_s[offset_s] += count
        if made.tokens is not None:
            self.tokens_in.add(made.tokens[0])
            self.tokens_out.add(made.tokens[1])
        if len(self.counts) > MOST_ENDPOINTS:
            self._rename(folded(self._seen()))
            self.keep(MOST_ENDPOINTS // 2)

    def fold(self) -> None:
        """The final names: crowded positions folded, and at most MOST_SHOWN endpoints with (other) among them."""
        self._rename(folded(self._seen()))
        self.keep(MOST_SHOWN)

    def keep(self, most: int) -> None:
        """The endpoints with the most requests; all others become (other)."""
        if len(self.counts) > most:
            ranked = sorted(self.counts, key=lambda name: (-self.counts[name].total(), name))
            self._rename(dict.fromkeys(ranked[most - 1 :], OTHER))

    def _seen(self) -> dict[str, tuple[int, int]]:
        return {
            name: (counts.total(), sum(n for (_, status), n in counts.items() if status not in NO_SUCH_PATH))
            for name, counts in self.counts.items()
        }

    def _rename(self, names: dict[str, str]) -> None:
        for old, new in names.items():
            if old != new:
                self.counts.setdefault(new, Counter()).update(self.counts.pop(old))
                if old in self.times:
                    self.times.setdefault(new, ResponseTimes()).merge(self.times.pop(old))
