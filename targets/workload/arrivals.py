"""When requests came: counts per second over days, the busiest stretch, and times to replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

DAY_S = 86_400
MOST_DAYS = 366  # of 338 KiB each
MOST_EXACT = 2_000_000
MOST_WRITTEN = 1_000_000
STRETCHES_S = (86_400, 21_600, 3_600, 600, 60, 10, 1)
SEED = 1


@dataclass(frozen=True)
class Stretch:
    """From `start_s` (UTC) for `length_s`, with `count` arrivals; `whole`: it is all that was logged."""

    start_s: int
    length_s: int
    count: int
    whole: bool


class Arrivals:
    """Counts per second; beside them the exact times, as long as they are few enough and finer than a second."""

    def __init__(self) -> None:
        self._days: dict[int, np.ndarray] = {}
        self._exact_us: list[np.ndarray] | None = []
        self.count = 0
        self.outside = 0  # on days beyond the first 366

    def add(self, second_s: np.ndarray, counts: np.ndarray, exact_us: np.ndarray | None) -> None:
        if not len(second_s):
            return
        days, starts = np.unique(second_s // DAY_S, return_index=True)  # second_s is ascending
        for day, start, end in zip(days.tolist(), starts, np.r_[starts[1:], len(second_s)], strict=True):
            arrived = int(counts[start:end].sum())
            if day not in self._days:
                if len(self._days) == MOST_DAYS:
                    self.outside += arrived
                    self._exact_us = None
                    continue
                self._days[day] = np.zeros(DAY_S, np.uint32)
            self._days[day][second_s[start:end] - day * DAY_S] += counts[start:end].astype(np.uint32)
            self.count += arrived
        if exact_us is None or self.count > MOST_EXACT:
            self._exact_us = None
        elif self._exact_us is not None:
            self._exact_us.append(exact_us)

    @property
    def exact(self) -> bool:
        return bool(self._exact_us)

    def seconds(self) -> tuple[np.ndarray, np.ndarray]:
        """The seconds (UTC) with an arrival, ascending, and how many each had; both int64 (k,)."""
        at, counts = [], []
        for day in sorted(self._days):
            busy = np.flatnonzero(self._days[day])
            at.append(busy + day * DAY_S)
            counts.append(self._days[day][busy].astype(np.int64))
        return (np.concatenate(at), np.concatenate(counts)) if at else (np.empty(0, np.int64),) * 2

    def stretch(self) -> Stretch | None:
        """The longest that can be replayed: all of at most a day, else the busiest stretch within MOST_WRITTEN."""
        at, counts = self.seconds()
        if not len(at):
            return None
        span_s = int(at[-1] - at[0]) + 1
        if span_s <= DAY_S and self.count <= MOST_WRITTEN:
            return Stretch(int(at[0]), span_s, self.count, whole=True)
        for length_s in STRETCHES_S:
            start, count = _busiest(at, counts, min(length_s, span_s))
            if count <= MOST_WRITTEN or length_s == STRETCHES_S[-1]:
                break
        return Stretch(start, min(length_s, span_s), count, whole=False)

    def times_s(self, stretch: Stretch, seed: int = SEED) -> np.ndarray:
        """Arrival times from the stretch's start, ascending, float64: as logged, or spread at random in their second.

        Given their number in a second, the arrivals of a Poisson process are independent and uniform in it.
        """
        if self._exact_us:
            exact = np.concatenate(self._exact_us)
            low, high = stretch.start_s * 1_000_000, (stretch.start_s + stretch.length_s) * 1_000_000
            return np.sort(exact[(exact >= low) & (exact < high)] - low)[:MOST_WRITTEN] / 1e6
        at, counts = self.seconds()
        here = (at >= stretch.start_s) & (at < stretch.start_s + stretch.length_s)
        whole = np.repeat(at[here] - stretch.start_s, counts[here])[:MOST_WRITTEN]
        return np.sort(whole + np.random.default_rng(seed).random(len(whole)))

    def peaks(self) -> list[dict[str, Any]]:
        """The busiest second, minute and hour: {"length_s", "start_s" (UTC), "requests", "rps"}."""
        at, counts = self.seconds()
        found = []
        for length_s in (1, 60, 3600):
            if len(at) and at[-1] - at[0] + 1 >= length_s:
                start, count = _busiest(at, counts, length_s)
                found.append({"length_s": length_s, "start_s": start, "requests": count, "rps": count / length_s})
        return found

    def dispersion(self) -> float | None:
        """Variance over mean of the counts per second within minutes, averaged by their requests: 1 for Poisson.

        The index of dispersion for counts (Cox and Lewis, The Statistical Analysis of Series of Events, 1966, ch. 4);
        within a minute, so that the day's rise and fall stays out. The first and the last minute are not whole and are
        left out. None below 1,000 requests.
        """
        at, _ = self.seconds()
        if self.count < 1_000:
            return None
        weighted = total = 0.0
        for number, day in self._days.items():
            minutes = day.reshape(-1, 60).astype(np.float64)
            mean = minutes.mean(axis=1)
            place = number * 1_440 + np.arange(1_440)
            busy = (mean > 0) & (place > at[0] // 60) & (place < at[-1] // 60)
            weighted += float(minutes[busy].var(axis=1, ddof=1).sum())  # mean · (variance / mean)
            total += float(mean[busy].sum())
        return weighted / total if total else None


def _busiest(at: np.ndarray, counts: np.ndarray, length_s: int) -> tuple[int, int]:
    """(start, arrivals) of the busiest window of that length that starts at an arrival."""
    upto = np.concatenate([[0], np.cumsum(counts)])
    within = upto[np.searchsorted(at, at + length_s)] - upto[:-1]
    k = int(np.argmax(within))
    return int(at[k]), int(within[k])


def daily_times_s(hourly_rps: list[float], seed: int = SEED) -> tuple[np.ndarray, float]:
    """A typical day at its true rates in little time: (times ascending, float64; seconds that stand for an hour).

    Each hour becomes a minute (less, where the file would pass MOST_WRITTEN), with Poisson arrivals at the hour's rate.
    """
    hour_s = min(60.0, MOST_WRITTEN / max(sum(hourly_rps), 1e-9))
    random = np.random.default_rng([seed, 24])
    hours = [
        np.sort(random.random(random.poisson(rate * hour_s))) * hour_s + k * hour_s for k, rate in enumerate(hourly_rps)
    ]
    return np.concatenate(hours), hour_s
