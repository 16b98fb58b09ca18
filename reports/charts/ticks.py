"""Axes in the reports' own number format: logarithmic times, nines, seconds of the run."""

from math import log10

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from reports import quantities
from reports.wording import Words

CLOCK_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
LOG_STEPS: list[tuple[float, tuple[float, ...]]] = [(1.1, (1, 1.5, 2, 3, 4, 5, 7)), (2.5, (1, 2, 5)), (4, (1, 3))]
NINES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


def nines(p: float) -> float:
    """Where a quantile stands on an axis of nines: −log10(1 − p), so p90, p99 and p99.9 are equally far apart."""
    return -log10(1 - p)


def name_of(quantile: str) -> str:
    return quantile.replace("_", ".")


def log_times(axes: Axes, low_ms: float, high_ms: float) -> None:
    """A logarithmic y axis in ms with the marks 1, 2, 5, 10, … (1, 10, 100 where they would be too many)."""
    axes.set_yscale("log")
    axes.set_ylim(low_ms, high_ms)
    decades = log10(high_ms / low_ms)
    steps = next((steps for widest, steps in LOG_STEPS if decades < widest), (1,))
    marks = [
        step * 10**power for power in range(-4, 9) for step in steps if low_ms <= step * 10.0**power <= high_ms * 1.001
    ]
    axes.yaxis.set_major_locator(FixedLocator(marks))
    axes.yaxis.set_major_formatter(FixedFormatter([quantities.limit_ms(mark) for mark in marks]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def clock_unit(span_s: float) -> str:
    """Seconds to two minutes, minutes and seconds to two hours, then hours and minutes."""
    return "s" if span_s <= 120 else "min" if span_s <= 7200 else "h"


def clock_axis(axes: Axes, span_s: float, most: int) -> None:
    """Time since the run's start from 0 to `span_s`, at most `most` round marks, written as its `clock_unit` says."""
    step = next((s for s in CLOCK_STEPS_S if span_s / s <= most), CLOCK_STEPS_S[-1])
    marks = [step * index for index in range(int(span_s / step + 0.001) + 1)]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_major_formatter(FixedFormatter([_clock(mark, clock_unit(span_s)) for mark in marks]))
    axes.set_xlim(0, span_s)


def unmarked(axes: Axes, span_s: float) -> None:
    """The same time without marks, for a panel above others (shared axes would make the marks of each and hide them)."""
    axes.xaxis.set_major_locator(NullLocator())
    axes.set_xlim(0, span_s)


def _clock(value_s: float, unit: str) -> str:
    if unit == "s":
        return quantities.plain(value_s)
    large, small = divmod(round(value_s) if unit == "min" else round(value_s / 60), 60)
    return f"{large}:{small:02d}"


def time_label(words: Words, span_s: float, began: str) -> str:
    """Of an axis of time; `began`: the time of day of its zero, or ""."""
    since = words("axis.clock", time=began) if began else words("axis.start")
    return words(f"axis.time_{clock_unit(span_s)}", since=since)


def value_axis(axes: Axes, most: int = 5) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(most))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantities.plain(value)))
    axes.set_ylim(bottom=0)


def level_axis(axes: Axes, most: int, highest: float) -> None:
    """Loads in requests per second from 0 to a little over `highest`."""
    axes.xaxis.set_major_locator(MaxNLocator(most))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantities.plain(value)))
    axes.set_xlim(0, highest * 1.04 or 1)


def log_levels(axes: Axes, low: float, high: float) -> None:
    """A logarithmic x axis of plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    decades = log10(high / low)
    steps = next((steps for widest, steps in LOG_STEPS if decades < widest), (1,))
    marks = [step * 10**power for power in range(-4, 9) for step in steps if low <= step * 10.0**power <= high * 1.001]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_major_formatter(FixedFormatter([quantities.plain(mark) for mark in marks]))
    axes.xaxis.set_minor_locator(NullLocator())


def nines_axis(axes: Axes) -> None:
    places = {name: nines(p) for name, p in NINES.items()}
    axes.xaxis.set_major_locator(FixedLocator(list(places.values())))
    axes.xaxis.set_major_formatter(
        FixedFormatter([name_of(name).removeprefix("p") if name != "p50" else "p50" for name in places])
    )
    axes.set_xlim(places["p50"] - 0.1, places["p99_9"] + 0.25)


def bounds(values: list[float], least_ratio: float = 4) -> tuple[float, float]:
    """Ends of a logarithmic axis that hold all positive `values` with some air, at least `least_ratio` apart."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive) / 1.35, max(positive) * 1.35
    if high / low < least_ratio:
        middle = (low * high) ** 0.5
        low, high = middle / least_ratio**0.5, middle * least_ratio**0.5
    return low, high
