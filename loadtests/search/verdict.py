"""What a trial says: pass, fail, generator_limit or undecided, for the whole mix and for each endpoint. From rows alone.

A fail counts as the target's only where the answers themselves, from when they were sent, missed the limit too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, log, sqrt
from typing import Any

import numpy as np

from loadtests.search.goal import Limits
from loadtests.search.growth import NONE, Growth, growth
from loadtests.search.trial import NEVER, Request, Rows
from measurements.distributions import binomial_above
from measurements.sample import Outcome

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
HOT_CORES = 0.8
OWN_SHARE = 0.01
ONE_SIDED = 0.05
BATCHES = 6
UNSURE, LEAST_ERROR = 0.5, 0.03  # of ln(value): where the sample is too small to tell, and at best
RARE = 0.02  # a few samples fail a trial only where chance gives so many misses in one of fifty
TIMED = (Outcome.ok, Outcome.timeout, Outcome.abandoned)
GENERATORS = (Outcome.lost,)
FIRST_ANSWERS = 0.1  # quantile: of a trial that began idle, those that did not wait
LEAST_ANSWERS = 2  # one after another: a shorter trial has seen none wait for others, and what fills up is no backlog
NO_LIMIT_S = 1.0  # without a limit on times, a wait of a second is what in-flight is held against


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    GENERATOR_LIMIT = "generator_limit"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """`value` against `limit` of the metric that came closest to it or went furthest beyond; `error` is the standard error
    of its logarithm. `rejected`: share of requests that a limit refused (429, 503)."""

    verdict: Verdict
    why: str
    n: int
    metric: str = ""
    value: float | None = None
    limit: float | None = None
    error: float = UNSURE
    growth: Growth = NONE
    errors: float = 0.0
    rejected: float = 0.0

    @property
    def ratio(self) -> float:
        return self.value / self.limit if self.value is not None and self.limit else 0.0


@dataclass(frozen=True)
class _Finding:
    metric: str
    value: float
    limit: float
    missed: bool | None  # None: too few to say
    error: float  # standard error of ln(value)

    @property
    def ratio(self) -> float:
        return self.value / self.limit if self.limit else (NEVER if self.value else 0.0)


def judge(rows: Rows, request: Request, limits: Limits) -> dict[str, Judgement]:
    """ "all" and every endpoint that was asked; an endpoint is held to its own limits and to those of all."""
    begin_s = request.settle_s if rows.elapsed_s > request.settle_s + 0.25 * request.measure_s else rows.elapsed_s / 2
    inside = rows.where((rows.intended_s >= begin_s) & ~np.isin(rows.outcome, GENERATORS))
    parts = [(rows if name == "all" else rows.of(name), name) for name in limits]
    whole = [(mine.where(mine.intended_s >= begin_s), limits[name]) for mine, name in parts]
    grown = {name: _grown(rows.of(name), begin_s) for name in rows.endpoints}
    found = {"all": _judge(rows, inside, whole, begin_s, _of_any(_grown(rows, begin_s), grown))}
    if found["all"].verdict is Verdict.PASS and (slowest_s := _too_slow_to_say(rows, begin_s)):
        why = f"answers took {slowest_s:.2g} s, too long to say in {rows.elapsed_s - begin_s:.2g} s what they wait"
        found["all"] = replace(found["all"], verdict=Verdict.UNDECIDED, why=why)
    for name in rows.endpoints:
        own = inside.of(name)
        if len(own):
            held_to = {**limits.get("all", {}), **limits.get(name, {})}
            mine = rows.of(name)
            if "out of hand" not in rows.cut:
                mine = replace(mine, cut="")  # cut for what another endpoint missed
            found[name] = _judge(mine, own, [(own, held_to)], begin_s, grown[name])
    return found


def _grown(rows: Rows, begin_s: float) -> Growth:
    found = growth(rows.intended_s, rows.done_s, begin_s, rows.elapsed_s)
    return replace(found, grows=found.grows and not _too_slow_to_say(rows, begin_s))


def _too_slow_to_say(rows: Rows, begin_s: float) -> float:
    """What the slowest endpoint's answers take that hardly waited, where the measured time is short beside it; else 0."""
    slowest_s = slowest(rows, FIRST_ANSWERS) or 0.0
    return slowest_s if rows.elapsed_s - begin_s < LEAST_ANSWERS * slowest_s else 0.0


def slowest(rows: Rows, p: float) -> float | None:
    """The p-quantile of the good answers' times in s, of the endpoint that takes longest."""
    times = [(one.done_s - one.intended_s)[one.ok] for one in map(rows.of, rows.endpoints)]
    return max((float(np.quantile(found, p)) for found in times if len(found)), default=None)


def _of_any(whole: Growth, by_endpoint: dict[str, Growth]) -> Growth:
    """What grows is not lost among the requests of other endpoints, which come and go."""
    if whole.grows or not any(one.grows for one in by_endpoint.values()):
        return whole
    worst = max((one for one in by_endpoint.values() if one.grows), key=lambda one: one.z)
    return replace(worst, mean=whole.mean)


def _judge(
    rows: Rows, inside: Rows, parts: list[tuple[Rows, dict[str, float]]], begin_s: float, grown: Growth
) -> Judgement:  # fmt: skip
    n = len(inside)
    errors = float(1 - inside.ok.mean()) if n else 0.0
    rejected = float((inside.outcome == Outcome.rejected).mean()) if n else 0.0

    def said(verdict: Verdict, why: str, finding: _Finding | None = None) -> Judgement:
        if finding is None:
            return Judgement(verdict, why, n, growth=grown, errors=errors, rejected=rejected)
        value = finding.value if np.isfinite(finding.value) else None
        return Judgement(verdict, why, n, finding.metric, value, finding.limit, finding.error, grown, errors, rejected)

    if rows.generator.faults:
        return said(Verdict.GENERATOR_LIMIT, f"the generator's own fault: {rows.generator.faults[0]}")
    if not n:
        return said(Verdict.UNDECIDED, "nothing was due in the measured time")
    findings = _findings(parts, from_sent=False)
    worst = max(findings, key=lambda finding: finding.ratio, default=None)
    missed = any(finding.missed for finding in findings)
    dropped = int((inside.outcome == Outcome.dropped).sum())
    if missed or grown.grows or dropped or rows.cut:
        excuse = _generators_doing(rows, parts, missed, bool(dropped), grown)
        if excuse:
            return said(Verdict.GENERATOR_LIMIT, excuse, worst)
        why = (
            f"{dropped} arrivals found every user busy"
            if dropped
            else f"in-flight grew by {grown.requests:.0f}"
            if grown.grows
            else rows.cut or "a limit was missed"
        )
        return said(Verdict.FAIL, why, worst)
    if any(finding.missed is None for finding in findings):
        return said(Verdict.UNDECIDED, "too few requests to say", worst)
    return said(Verdict.PASS, "every limit was met", worst)


def _generators_doing(
    rows: Rows, parts: list[tuple[Rows, dict[str, float]]], missed: bool, dropped: bool, grown: Growth
) -> str:
    """Why a fail is not the target's, or "". What the generator sent late is in the response and not in the answer."""
    if dropped and rows.generator.pool_too_small:
        return "the pool of users was too small for the rate"
    if rows.generator.cpu_share > HOT_CORES:
        return f"a load process used {rows.generator.cpu_share:.0%} of its core"
    if missed and not grown.grows and not any(f.missed for f in _findings(parts, from_sent=True)):
        return "requests were sent late; from when they were sent, the answers met the limits"
    late = np.nan_to_num(rows.sent_s - rows.intended_s)
    waits = rows.done_s - rows.intended_s
    ended = np.isfinite(waits)
    if grown.grows and ended.any() and float(late[ended].sum()) > 0.5 * float(waits[ended].sum()):
        return "most of the waiting was before the requests were sent"
    return ""


def _findings(parts: list[tuple[Rows, dict[str, float]]], from_sent: bool) -> list[_Finding]:
    found = []
    for rows, limits in parts:
        for metric, limit in limits.items():
            finding = _finding(rows, metric, limit, from_sent)
            if finding is not None:
                found.append(finding)
    return found


def _finding(rows: Rows, metric: str, limit: float, from_sent: bool) -> _Finding | None:
    """None for a metric that says nothing about a rate being too high (min_goodput_rps) or has no samples."""
    if metric == "error_rate":
        return _errors(~rows.ok, limit) if len(rows) else None
    if not metric.endswith("_ms"):
        return None
    name = metric.removesuffix("_ms")
    values = _times_s(rows, name, from_sent)
    if not len(values):
        return _Finding(metric, NEVER, limit, True, UNSURE) if len(rows) else None
    if name == "mean":
        value = float(values.mean()) * 1000
        return _Finding(metric, value, limit, value > limit, _error(values, np.mean, 10))
    p = QUANTILES[name.removeprefix("ttft_").removeprefix("tpot_")]
    value = float(np.quantile(values, p, method="inverted_cdf")) * 1000
    missed = _too_many(int((values > limit / 1000).sum()), len(values), 1 - p)
    error = _error(values, lambda part: np.quantile(part, p, method="inverted_cdf"), _needed(1 - p))
    return _Finding(metric, value, limit, missed, error)


def _times_s(rows: Rows, name: str, from_sent: bool) -> np.ndarray:
    if name.startswith("tpot_"):
        return rows.tpot_s[np.isfinite(rows.tpot_s)]
    timed = rows.where(np.isin(rows.outcome, TIMED))
    begin_s = timed.sent_s if from_sent else timed.intended_s
    if name.startswith("ttft_"):
        ttft = timed.ttft_s - (timed.sent_s - timed.intended_s if from_sent else 0.0)
        return np.where(timed.ok, ttft, NEVER)[~(timed.ok & np.isnan(ttft))]
    return np.where(timed.ok, timed.done_s - begin_s, NEVER)


def _errors(bad: np.ndarray, allowed: float) -> _Finding:
    n, count = len(bad), int(bad.sum())
    missed, value = _too_many(count, n, allowed), count / n
    if not count:  # below 3/n with 95 %: the rule of three
        return _Finding("error_rate", 0.0, allowed, missed, LEAST_ERROR if 3 / n < allowed else UNSURE)
    return _Finding("error_rate", value, allowed, missed, max(_error(bad.astype(float), np.mean, 20), 1 / sqrt(count)))


def _error(ordered: np.ndarray, figure: Callable[[np.ndarray], Any], needed: int) -> float:
    """Standard error of the logarithm of a figure, from the same figure in `BATCHES` consecutive batches (answers that
    wait in one line are alike, so that single ones say little); twice as much, as neighbouring batches are alike."""
    if len(ordered) < needed:
        return UNSURE * sqrt(needed / max(len(ordered), 1))
    batches = np.array([float(figure(part)) for part in np.array_split(ordered, BATCHES)])
    batches = batches[np.isfinite(batches) & (batches > 0)]
    if len(batches) < BATCHES // 2:
        return UNSURE
    return max(LEAST_ERROR, 2 * float(np.log(batches).std(ddof=1)) / sqrt(len(batches)))


def _too_many(count: int, n: int, allowed: float) -> bool | None:
    """More than the allowed share; with few samples only where chance would rarely give so many, else not known."""
    if count <= allowed * n:
        return False
    if n >= _needed(allowed) or binomial_above(count - 1, n, allowed) < RARE:
        return True
    return None


def _needed(allowed: float) -> int:
    """Requests without a miss that show a share of misses below the allowed one with 95 %; 59 for p95, 299 for p99."""
    return ceil(log(ONE_SIDED) / log(1 - allowed)) if allowed > 0 else 300
