"""What an LLM engine costs, so that in virtual time it shows what a run's streams showed.

Not by a straight line: while prompts are read every stream waits, so the gap between tokens grows with the load even where
streams cost each other nothing. Fitted are decoding (α, β per stream) and reading (once per step, per prompt), to the gaps
of all stages, to the first tokens of the calm ones and to what the overloaded ones carried; least squares on logarithms,
each figure simulated with the same arrivals every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from capacity.batching import Engine, generate
from capacity.simulation import poisson

REQUESTS, SEED = 1_000, 7
FILLING = 10  # one in so many requests, the first ones, find an engine that fills
# relative scatter of half a minute's figures from one half minute to the next: what a residual is measured in
GAP, FIRST, CARRIED = 0.03, 0.1, 0.05
NOTHING_ANSWERED = 10.0
# a derivative's step is 3 % of a cost and of its scale together: simulated figures are not smooth
STEP, MOST_TRIES = 0.03, 15
SCALE_MS = np.array([10.0, 1.0, 10.0, 10.0])


@dataclass(frozen=True)
class Seen:
    """A stage of one replica: `gap_s` between tokens on average, `first_s` the first token where nobody waited, `carried_rps`
    where more came than was answered."""

    rate_rps: float
    gap_s: float
    first_s: float | None = None
    carried_rps: float | None = None


@dataclass(frozen=True)
class Costs:
    """Three engines that differ in what is not seen from outside: how much of reading is done once for all prompts of a step.
    As it fits best; all of it; none of it. `off`: half of what was seen is nearer to the fitted one than this share."""

    fitted: Engine
    together: Engine
    apart: Engine
    off: float


def fit(seen: Sequence[Seen], output_tokens: np.ndarray, bare: Engine, replicas: int = 1) -> Costs:
    """`bare`: the engine with its slots and places; `output_tokens` (n,) as streamed. Replicas take turns."""
    lengths = np.random.default_rng(SEED).choice(output_tokens, REQUESTS)
    unit = poisson(1.0, REQUESTS * replicas, SEED)[::replicas] / replicas
    calm_ms, busy_ms = 1000 * min(one.gap_s for one in seen), 1000 * max(one.gap_s for one in seen)
    # gaps grow because prompts are read, or because streams cost each other time
    starts_ms = np.array([[calm_ms, 0.2, 5.0, 5.0], [calm_ms, (busy_ms - calm_ms) / bare.slots, 1.0, 1.0]])

    def best(free: list[int]) -> Engine:
        def engine(scaled: np.ndarray) -> Engine:
            all_ms = np.zeros(4)
            all_ms[free] = (scaled - 1) * SCALE_MS[free]
            alpha_s, beta_s, base_s, prompt_s = (all_ms / 1000).tolist()
            return replace(
                bare, alpha_s=alpha_s, beta_s=beta_s, prefill_base_s=base_s, prefill_s_per_prompt=prompt_s
            )  # fmt: skip

        def residuals(scaled: np.ndarray) -> np.ndarray:
            return np.array([ratio / scatter for ratio, scatter in _compared(seen, engine(scaled), unit, lengths)])

        tries = [
            least_squares(
                residuals, 1 + (start_ms / SCALE_MS)[free], bounds=(1 + 1e-6, np.inf),
                diff_step=[STEP] * len(free), max_nfev=MOST_TRIES,
            )
            for start_ms in starts_ms
        ]  # fmt: skip
        return engine(min(tries, key=lambda found: found.cost).x)

    fitted = best([0, 1, 2, 3])
    off = float(np.median([abs(ratio) for ratio, _ in _compared(seen, fitted, unit, lengths)]))
    return Costs(fitted, best([0, 1, 2]), best([0, 1, 3]), off)


def _compared(
    seen: Sequence[Seen], engine: Engine, unit: np.ndarray, lengths: np.ndarray
) -> list[tuple[float, float]]:  # fmt: skip
    """(logarithm of simulated over seen, its usual scatter) of each figure."""
    found: list[tuple[float, float]] = []
    ones, later = np.ones(len(lengths), dtype=np.int64), np.arange(len(lengths)) >= len(lengths) // FILLING
    for stage in seen:
        arrivals = unit / stage.rate_rps
        ran = generate(arrivals, ones, lengths, engine)
        answered = ~np.isnan(ran.ttft_s)
        counted = answered & later
        gap_s = (ran.response_s - ran.ttft_s)[counted].sum() / max(1, int((lengths[counted] - 1).sum()))
        found.append((_apart(gap_s, stage.gap_s), GAP))
        if stage.first_s is not None:
            found.append((_apart(ran.ttft_s[counted].mean() if counted.any() else 0.0, stage.first_s), FIRST))
        if stage.carried_rps is not None:
            begin, end = arrivals[len(arrivals) // FILLING], arrivals[-1]
            done = (arrivals + ran.response_s)[answered]
            carried = ((done > begin) & (done <= end)).sum() / (end - begin)
            found.append((_apart(carried, stage.carried_rps), CARRIED))
    return found


def _apart(simulated: float, seen: float) -> float:
    return float(np.log(simulated / seen)) if simulated > 0 else NOTHING_ANSWERED
