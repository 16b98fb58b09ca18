"""What a search has done so far, and what that says: trials, posterior, the guess of a cliff.

Load-seconds are what it costs, so lengths are declared before each trial: short where the rate is far from the edge,
long at the ends that are published. A trial may be cut short only where its verdict cannot change (`watching.Watch`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

import numpy as np

from loadtests.search.goal import Limits
from loadtests.search.let_through import Bucket, LetThrough, bucket, let_through
from loadtests.search.posterior import FAR, Posterior, Seen, blur, seen
from loadtests.search.served import Served, served_of_the_mix
from loadtests.search.trial import Request, Rows
from loadtests.search.verdict import (
    FIRST_ANSWERS,
    LEAST_ERROR,
    NO_LIMIT_S,
    QUANTILES,
    UNSURE,
    Judgement,
    Verdict,
    judge,
    slowest,
)
from measurements.sample import Outcome

LEAST_MEASURE_S = 3.0


@dataclass(frozen=True)
class Wishes:
    """`first_rps` overrides where doubling begins; `max_rps` is never exceeded; `budget_s` are load-seconds."""

    budget_s: float = 120.0
    max_rps: float = float("inf")
    seed: int = 0


@dataclass(frozen=True)
class Done:
    """A trial that was run: its seconds under load, and what it said of the mix and of each endpoint. `slowest_p50_s`: the
    median of the endpoint whose answers take longest, `slowest_first_s`: of those of its answers that hardly waited."""

    request: Request
    seconds: float
    requests: int
    cut: str
    judgements: dict[str, Judgement]
    statuses: dict[int, int]
    served: Served | None
    let_through: LetThrough | None
    cpu_share: float
    slowest_p50_s: float | None
    slowest_first_s: float | None

    @property
    def rate_rps(self) -> float:
        return self.request.rate_rps

    def share_deciding(self, name: str = "all") -> float:
        """Of all requests, those of the endpoint that came closest to its limit or went furthest beyond."""
        of = [self.judgements[name]] if name != "all" else [j for n, j in self.judgements.items() if n != "all"]
        closest = max(of, key=lambda one: one.ratio, default=self.judgements["all"])
        return closest.n / max(self.judgements["all"].n, 1)

    def verdict(self, name: str = "all") -> Verdict:
        found = self.judgements.get(name)
        return found.verdict if found else Verdict.UNDECIDED


@dataclass
class Course:
    """Everything that was done; `ended` says why it went no further."""

    limits: Limits
    wishes: Wishes
    trials: list[Done] = field(default_factory=list)
    ended: str = ""
    stopped: str = ""
    ceiling_rps: float | None = None  # where the generator itself came to its limit

    @property
    def load_seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)

    @property
    def left_s(self) -> float:
        return self.wishes.budget_s - self.load_seconds

    def error_1s(self, name: str = "all") -> float:
        """The error of ln(figure) that a second of trial has, typically; it falls as 1/√seconds."""
        errors = [
            t.judgements[name].error * t.seconds**0.5
            for t in self.trials
            if t.verdict(name) in (Verdict.PASS, Verdict.FAIL) and 0.2 < t.judgements[name].ratio < 5
            and not t.cut and t.seconds >= LEAST_MEASURE_S
        ]  # fmt: skip
        return float(np.median(errors)) if errors else 1.0

    def seen(self, name: str = "all") -> list[Seen]:
        """The trials that passed or failed. Their errors are pooled: one's own is small where its figure happens to be
        small, and to weigh by it would draw the edge upwards."""
        told = [t for t in self.trials if t.verdict(name) in (Verdict.PASS, Verdict.FAIL)]
        error_1s = self.error_1s(name)
        stored_s = self.bucket.burst / self.bucket.rate_rps if self.bucket else 0.0  # for so long it hides the edge
        found = []
        for trial in told:
            judged, seconds = trial.judgements[name], trial.request.duration_s
            failed = judged.verdict is Verdict.FAIL
            wait_s = 0.0 if failed else max(self.limit_s * min(judged.ratio, 1.0), stored_s)
            log_ratio, error = None, max(error_1s / seconds**0.5, UNSURE if judged.error >= UNSURE else LEAST_ERROR)
            if not trial.cut and judged.value is not None:
                log_ratio, error = self._of_waiting(name, judged, error)
            blurred = blur(trial.rate_rps * trial.share_deciding(name), seconds, wait_s)
            found.append(seen(trial.rate_rps, failed, log_ratio, error, seconds, blurred))
        return found

    def _of_waiting(self, name: str, judged: Judgement, error: float) -> tuple[float, float]:
        """ln(figure / limit) and its error, both less what the figure is where hardly anything waits: only what waiting adds
        rises as a power of the rate."""
        assert judged.value is not None and judged.limit is not None
        alike = [t.judgements[name] for t in self.trials if t.verdict(name) is Verdict.PASS]
        idle = [
            one.value
            for one in alike
            if one.value is not None and (one.metric, one.limit) == (judged.metric, judged.limit)
        ]
        least = min([*idle, judged.value], default=0.0)
        if least >= judged.limit:
            return log(max(judged.ratio, 1e-9)), error
        room = judged.limit - least
        added = max(judged.value - least, 1e-9 * room)
        told = max(added, room * exp(-FAR))  # further below only the side counts
        return log(added / room), error * (least + told) / told

    @property
    def limit_s(self) -> float:
        """The longest limit on a time; without one, a wait of a second is what a trial is held against."""
        times = [v for metrics in self.limits.values() for metric, v in metrics.items() if metric.endswith("_ms")]
        return max(times) / 1000 if times else NO_LIMIT_S

    @property
    def _served(self) -> Served | None:
        return self._least_behind.served if self._least_behind else None

    @property
    def _least_behind(self) -> Done | None:
        behind = [t for t in self.trials if t.served and t.verdict() is Verdict.FAIL]
        return min(behind, key=lambda trial: trial.rate_rps, default=None)

    def _served_fails(self, name: str) -> bool:
        """Whether it was this endpoint that failed where the service was behind."""
        return self._least_behind is not None and self._least_behind.verdict(name) is Verdict.FAIL

    @property
    def served_rps(self) -> float:
        return self._served.rate_rps if self._served else 0.0

    @property
    def bucket(self) -> Bucket | None:
        """What lets through so many and refuses the rest, where it is not the service itself that falls behind."""
        kept_up = [t for t in self.trials if not t.judgements["all"].growth.grows and "out of hand" not in t.cut]
        return bucket(t.let_through for t in kept_up if t.let_through)

    @property
    def guess(self) -> tuple[float, float] | None:
        """Where the edge would be (a rate, its relative standard deviation): of a bucket, where it refuses as many as are
        allowed; of a cliff, below what a saturated service completed by as much as the limit needs. In heavy traffic a
        wait is exponential with the mean (c_a² + c_s²)/(2μ(1 − ρ)) (Kingman 1962), so that
        1 − ρ = ln(1/(1 − p)) (1 + c_s²) / (2 μ L) at a limit L on the p-quantile."""
        allowed = self.limits.get("all", {}).get("error_rate")
        if self.bucket and allowed:
            edge, error = self.bucket.edge_rps(allowed)
            return edge, (0.005**2 + (error / edge) ** 2) ** 0.5
        found = self._served
        if found is None:
            return None
        below = self._quantile_logs * (1 + min(found.dispersion, 3.0)) / (2 * found.rate_rps * self.limit_s)
        below = min(below, 0.3)
        return found.rate_rps * (1 - below), (0.008**2 + found.relative_error**2 + (0.35 * below) ** 2) ** 0.5

    @property
    def _quantile_logs(self) -> float:
        metrics = {metric.removesuffix("_ms").split("_p")[-1] for limits in self.limits.values() for metric in limits}
        logs = [log(1 / (1 - QUANTILES[name])) for name in metrics if name in QUANTILES]
        return max(logs, default=1.0 if "mean" in metrics else 0.0)

    def posterior(self, name: str = "all") -> Posterior:
        rates = [trial.rate_rps for trial in self.trials if trial.request.purpose != "warm_up"] or [1.0]
        return Posterior(
            min(rates) / 2, max(rates) * 2, self.seen(name), self.guess if self._served_fails(name) else None
        )

    def of(self, verdict: Verdict, name: str = "all") -> list[float]:
        return sorted(t.rate_rps for t in self.trials if t.verdict(name) is verdict and t.request.purpose != "warm_up")


def finished(rows: Rows, request: Request, limits: Limits) -> Done:
    """A finished trial, judged."""
    found = judge(rows, request, limits)
    refused = rows.status[rows.outcome == Outcome.rejected]
    codes, counts = np.unique(refused, return_counts=True)
    behind = found["all"].growth.grows or "out of hand" in rows.cut or found["all"].rejected > 0
    return Done(
        request=request,
        seconds=min(rows.elapsed_s, request.duration_s),
        requests=len(rows),
        cut=rows.cut,
        judgements=found,
        statuses={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
        served=served_of_the_mix(rows, found) if behind else None,
        let_through=let_through(rows),
        cpu_share=rows.generator.cpu_share,
        slowest_p50_s=slowest(rows, 0.5),
        slowest_first_s=slowest(rows, FIRST_ANSWERS),
    )
