"""What a request of each endpoint costs: CPU by regression on the mix, the rest as counted; by block bootstrap.

CPU-seconds are known per process and second only. Within one stage the rate stands still, and chance makes one second
richer in this endpoint, the next in that one: what the seconds differ by tells the endpoints apart. The level, what an
average arrival costs, comes from the stages (`demand`), because a line that bends with the rate would otherwise pass for
a dear endpoint. Bytes, tokens and seconds at the upstream were counted request by request.

Intervals: moving blocks of consecutive seconds, drawn with replacement (Künsch, Annals of Statistics 17, 1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from capacity.documents import CONFIDENCE, between
from measurements.interval import Interval, Refusal

BLOCK = 5  # windows: longer than what a queue remembers at moderate load
DRAWS = 400
LEAST = 30  # windows
VAGUE = 1.0  # a half-width as large as the figure itself says nothing


@dataclass(frozen=True)
class Windows:
    """A run cut into n windows of `length_s`. `stage` (n,): number of the stage. `work` (n, e): requests of each of the e
    endpoints that were worked on in the window, a request over two windows counting in part for each; `done` (n, e):
    those that ended in it. `used`: what → (n,), such as CPU-seconds of the service; `counted`: what → (n, e), summed over
    the requests that ended there.
    """

    length_s: float
    endpoints: list[str]
    stage: np.ndarray
    work: np.ndarray
    done: np.ndarray
    used: Mapping[str, np.ndarray]
    counted: Mapping[str, np.ndarray]


def of(windows: Windows | None, per_arrival_cpu_s: Interval | None, contract: str) -> dict[str, dict[str, Any]]:
    """endpoint → what → {"per_request": Interval} or {"refusal": …}; {} where the run's rows are not at hand."""
    if windows is None:
        return {}
    found: dict[str, dict[str, Any]] = {name: {} for name in windows.endpoints}
    for what, sums in windows.counted.items():
        for name, one in zip(windows.endpoints, _ratios(windows.done, sums), strict=True):
            if one is not None:
                found[name][what] = {"per_request": one.as_json()}
    for what, used in windows.used.items():
        level = per_arrival_cpu_s if what == "cpu_s" else None
        for name, figure in per_endpoint(windows, used, level, contract).items():
            key = "refusal" if isinstance(figure, Refusal) else "per_request"
            found[name][what] = {key: figure.as_json()}
    return found


def per_endpoint(
    windows: Windows, used: np.ndarray, level: Interval | None, contract: str
) -> dict[str, Interval | Refusal]:
    """`used` (n,) per request of each endpoint. `level`: what an average request uses, where that is known better."""
    counts = windows.work.sum(axis=0)
    if len(used) < LEAST or not counts.all():
        why = f"needs {LEAST} windows of load, and requests of every endpoint; has {len(used)}"
        return {name: _refusal(name, why, contract) for name in windows.endpoints}
    shares = counts / counts.sum()
    x, y = _within(windows.work, windows.stage), _within(used[:, None], windows.stage)[:, 0]
    middle = _costs(x, y, shares, _level(windows, used, level))
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(DRAWS):
        chosen = _blocks(len(y), rng)
        drawn = _level(windows, used, level, chosen, rng)
        draws.append(_costs(x[chosen], y[chosen], shares, drawn))
    found: dict[str, Interval | Refusal] = {}
    for k, name in enumerate(windows.endpoints):
        one = _interval(np.array([draw[k] for draw in draws]), float(middle[k]))
        if one.mid <= 0 or one.relative_half_width > VAGUE:
            why = f"the mix did not vary enough to tell {name}'s part ({one.mid:.3g}, {one.low:.3g} to {one.high:.3g})"
            found[name] = _refusal(name, why, contract)
        else:
            found[name] = one
    return found


def line(windows: Windows, used: np.ndarray) -> tuple[Interval, Interval] | None:
    """(base, slope) of `used` per second on requests per second, from the stages' means; None under 3 stages. Blocks are
    drawn within their stage, so that every draw has every rate."""
    numbers = np.unique(windows.stage)
    if len(numbers) < 3:
        return None
    rate, load = windows.work.sum(axis=1) / windows.length_s, used / windows.length_s
    rng = np.random.default_rng(1)
    x, y = np.empty((DRAWS + 1, len(numbers))), np.empty((DRAWS + 1, len(numbers)))
    for k, number in enumerate(numbers):
        own = np.flatnonzero(windows.stage == number)
        picks = own[np.array([_blocks(len(own), rng) for _ in range(DRAWS)])]
        x[:, k] = np.append(rate[own].mean(), rate[picks].mean(axis=1))
        y[:, k] = np.append(load[own].mean(), load[picks].mean(axis=1))
    weight = 1 / np.maximum(x, 1e-9)  # the variance of a stage's cores grows with its rate
    total, mean_x, mean_y = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * y).sum(axis=1)
    spread = total * (weight * x * x).sum(axis=1) - mean_x**2
    slope = (total * (weight * x * y).sum(axis=1) - mean_x * mean_y) / np.maximum(spread, 1e-12)
    base = (mean_y - slope * mean_x) / total
    return _interval(np.maximum(base[1:], 0), max(0.0, float(base[0]))), _interval(slope[1:], float(slope[0]))


def _level(
    windows: Windows, used: np.ndarray, level: Interval | None, chosen: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> float:  # fmt: skip
    """What an average request uses: drawn from the stages' interval, or of the (chosen) windows themselves."""
    if level is not None:
        sd = (level.high - level.low) / 2 / 1.645
        return level.mid if rng is None else float(max(0.0, rng.normal(level.mid, sd)))
    rows = slice(None) if chosen is None else chosen
    return float(used[rows].sum() / max(windows.work[rows].sum(), 1e-9))


def _costs(x: np.ndarray, y: np.ndarray, shares: np.ndarray, level: float) -> np.ndarray:
    """Least squares of y − level·Σx on x under Σ share·difference = 0; no cost below nothing."""
    if len(shares) == 1:
        return np.array([level])
    # differences span the plane on which the shares weigh up: column k against the last endpoint
    plane = np.eye(len(shares))[:, :-1]
    plane[-1, :] = -shares[:-1] / shares[-1]
    solution, *_ = np.linalg.lstsq(x @ plane, y - level * x.sum(axis=1), rcond=None)
    return np.maximum(level + plane @ solution, 0.0)


def _within(columns: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """Each column less its mean in the same stage."""
    found = columns.astype(float).copy()
    for number in np.unique(stage):
        found[stage == number] -= found[stage == number].mean(axis=0)
    return found


def _blocks(n: int, rng: np.random.Generator) -> np.ndarray:
    """n rows made of blocks of consecutive ones; a short stretch is cut into four at least."""
    length = max(1, min(BLOCK, n // 4))
    starts = rng.integers(0, n - length + 1, -(-n // length))
    return (starts[:, None] + np.arange(length)).ravel()[:n]


def _ratios(done: np.ndarray, sums: np.ndarray) -> list[Interval | None]:
    """Per endpoint: sum over count, with the interval of the same ratio over drawn blocks; None where nothing was seen."""
    rng = np.random.default_rng(1)
    picks = [_blocks(len(done), rng) for _ in range(DRAWS)]
    found: list[Interval | None] = []
    for k in range(done.shape[1]):
        count, total = done[:, k], sums[:, k]
        if count.sum() < LEAST or total.sum() <= 0:
            found.append(None)
            continue
        draws = [total[pick].sum() / count[pick].sum() for pick in picks if count[pick].sum()]
        found.append(_interval(np.array(draws), float(total.sum() / count.sum())))
    return found


def _interval(draws: np.ndarray, middle: float) -> Interval:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return between(min(low, middle), middle, max(high, middle))


def _refusal(name: str, why: str, contract: str) -> Refusal:
    return Refusal(
        f"demand.{name}", why, f"plimsoll run {contract} --endpoint {name} --shape breakpoint --duration 120"
    )
