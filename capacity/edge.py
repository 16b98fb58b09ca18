"""Where the SLO breaks: the highest rate shown to pass and the lowest shown to fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from capacity.crossing import crossing, ratios, span
from capacity.documents import CONFIDENCE, RunDocuments, Stage, between
from capacity.figures import figure
from measurements import slo
from measurements.distributions import binomial_above
from measurements.interval import Interval, Refusal

Verdict = Literal["pass", "miss", "unclear"]
SURE = 0.95  # one-sided, each end
# One service differs by this much from one half minute to the next: no line is known better.
SPREAD = 0.05
# Response times until a queue has forgotten how it began: a shorter stage has not seen all of its waiting.
FORGETS = 10
ENOUGH = 10
# A figure that grows so many times between two stages jumps: where between them is not in its values.
JUMP = 8.0
# Near its line a service misses and meets its SLO by chance; twice and over a quarter of the rate it has no line.
WAVERING = 1.25


@dataclass(frozen=True)
class Judged:
    """A stage against its SLO. `sure`: the sample itself carries the verdict, not only its point estimate."""

    stage: Stage
    verdict: Verdict
    sure: bool
    why: str


@dataclass(frozen=True)
class Edge:
    """`capacity` is of all replicas measured together, arrivals per second; None with `at_least` or `at_most`."""

    judged: list[Judged]
    capacity: Interval | None
    at_least_rps: float | None
    at_most_rps: float | None
    indicative: bool
    refusals: list[Refusal]

    @property
    def passed(self) -> list[Stage]:
        return [judged.stage for judged in self.judged if judged.verdict == "pass"]


def judge(stage: Stage, above: Sequence[Stage] = ()) -> Judged:
    """pass: every limit met. miss: a limit missed, or a backlog that grew. unclear: too few samples.

    `above`: the stages at higher rates, by rising rate.
    """
    limits = stage.run.slo_limits() or slo.DEFAULT
    findings = slo.evaluate(limits, dict(stage.overall), dict(stage.endpoints))
    missed = [finding for finding in findings if finding["state"] == "missed"]
    if missed:
        sure = any(_surely_missed(finding, stage) for finding in missed)
        return Judged(stage, "miss", sure, "; ".join(_says(finding) for finding in missed))
    if stage.backlog_grew:
        why = f"{stage.dropped} arrivals found no free user" if stage.dropped else "the number in flight kept growing"
        return Judged(stage, "miss", True, why)
    open_findings = [f for f in findings if f["state"] == "unknown" and not _nothing_over(f, [stage, *above])]
    if open_findings:
        return Judged(stage, "unclear", False, "; ".join(_unknown(finding, stage) for finding in open_findings))
    sure = stage.state == "steady" and all(_surely_met(finding, stage) for finding in findings)
    return Judged(
        stage, "pass", sure, "every limit met" if stage.state == "steady" else "met, but it did not stand still"
    )


def _surely_met(finding: Mapping[str, Any], stage: Stage) -> bool:
    """A share of failures: where none was seen, or fewer than chance makes of as many as the limit allows."""
    if finding["metric"] != "error_rate":
        return bool(finding["sure"])
    failed, count = _failures(finding, stage)
    return failed == 0 or binomial_above(failed, count, finding["limit"]) >= SURE


def _surely_missed(finding: Mapping[str, Any], stage: Stage) -> bool:
    if finding["metric"] != "error_rate":
        return bool(finding["sure"])
    failed, count = _failures(finding, stage)
    return binomial_above(failed - 1, count, finding["limit"]) <= 1 - SURE


def _failures(finding: Mapping[str, Any], stage: Stage) -> tuple[int, int]:
    entry = stage.overall if finding["endpoint"] == "all" else stage.endpoints[finding["endpoint"]]
    return entry["count"] - entry["ok"], entry["count"]


def _nothing_over(finding: Mapping[str, Any], stages: Sequence[Stage]) -> bool:
    """Not one of at least 10 requests was over a limit whose quantile is unknown. Where the first of the stages has fewer,
    those at the next higher rates count too: more load makes nobody faster."""
    metric = str(finding["metric"])
    kind = next((f"{name}_ms" for name in ("ttft", "tpot") if metric.startswith(f"{name}_")), "response_ms")
    seen = 0
    for stage in stages:
        times = (_entry(stage, finding) or {}).get(kind) or {}
        if not times.get("n"):
            continue
        if times["max"] > finding["limit"]:
            return False
        seen += times["n"]
        if seen >= ENOUGH:
            return True
    return False


def _entry(stage: Stage, finding: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return stage.overall if finding["endpoint"] == "all" else stage.endpoints.get(finding["endpoint"])


def _unknown(finding: Mapping[str, Any], stage: Stage) -> str:
    if (why := finding.get("why", slo.TOO_FEW)) != slo.TOO_FEW:
        return f"{finding['endpoint']} {_spoken(finding)}: {why}"
    count = (_entry(stage, finding) or {}).get("count") or 0
    return f"{count} requests of {finding['endpoint']} are too few to judge its {_spoken(finding)}"


def _spoken(finding: Mapping[str, Any]) -> str:
    """p95_ms -> p95, error_rate -> error rate, ttft_p95_ms -> ttft p95."""
    return str(finding["metric"]).removesuffix("_ms").replace("_", " ")


def _says(finding: Mapping[str, Any]) -> str:
    value = finding["value"] if finding["value"] is not None else finding.get("at_least")
    if value is None:
        return f"{finding['endpoint']} {_spoken(finding)}: {finding.get('why', 'missed')}"
    unit = " ms" if str(finding["metric"]).endswith("_ms") else ""
    more = "" if finding["value"] is not None else "at least "
    return (
        f"{finding['endpoint']} {_spoken(finding)} {more}{figure(value)}{unit} against {figure(finding['limit'])}{unit}"
    )


def find(stages: Sequence[Stage]) -> Edge:
    """The bracket. Its ends are moved outward to stages whose verdict is sure; where none is, it is indicative. Its middle is
    where the first figure crosses its limit; where the figure's interval crosses it nearer than the stages, so are the ends.

    One run's bracket holds the sampling error inside the run; the spread from run to run is not in it.
    """
    judged = [judge(stage, stages[index + 1 :]) for index, stage in enumerate(stages)]
    run = stages[0].run if stages else None
    passes = [one for one in judged if one.verdict == "pass"]
    misses = [one for one in judged if one.verdict == "miss"]
    if run is None or len(judged) < 3 or not (passes or misses):
        shown = [
            one.stage.rate_rps for one in passes if not any(m.stage.rate_rps <= one.stage.rate_rps for m in misses)
        ]
        return Edge(judged, None, max(shown, default=None), None, True, [_too_few(run, judged)])
    lowest_sure_miss = min((one.stage.rate_rps for one in misses if one.sure), default=float("inf"))
    above = [one for one in passes if one.sure and one.stage.rate_rps > lowest_sure_miss * 1.02]
    if above:
        return Edge(judged, None, None, None, True, [_contradiction(run, lowest_sure_miss, above[-1])])
    first_miss = min((one.stage.rate_rps for one in misses), default=float("inf"))
    last_pass = max((one.stage.rate_rps for one in passes), default=0.0)
    below = [one for one in passes if one.stage.rate_rps < first_miss]
    beyond = [one for one in misses if one.stage.rate_rps > last_pass]
    if not below:
        return Edge(judged, None, None, first_miss, True, [_never_passes(run, judged)])
    if not any(one.stage.state == "steady" for one in below):
        return Edge(judged, None, None, None, True, [_not_steady(run, judged, below)])
    if _returns(judged) >= 2 and last_pass > WAVERING * first_miss:
        held = max((one.stage.rate_rps for one in below if one.sure), default=None)
        return Edge(judged, None, held, None, True, [_up_and_down(run, judged)])
    low = max([one.stage.rate_rps for one in below if one.sure] or [one.stage.rate_rps for one in below])
    if not beyond:
        return Edge(judged, None, low, None, True, [_never_fails(run, last_pass, low, bool(misses))])
    high = min([one.stage.rate_rps for one in beyond if one.sure] or [one.stage.rate_rps for one in beyond])
    last, first = max(one.stage.rate_rps for one in below), min(one.stage.rate_rps for one in beyond)
    every, jumped = [one.stage for one in judged], _jumped(below, beyond)
    crossed = crossing(every)
    middle = crossed if crossed is not None and last < crossed < first and not jumped else (last * first) ** 0.5
    below_it, above_it = (None, None) if jumped else span(every)
    spread = _spread([one.stage for one in below if one.stage.rate_rps == last][-1])
    low = min(max(low, below_it or low), middle * (1 - spread))
    high = max(min(high, above_it or high), middle * (1 + spread))
    unsure = not (any(one.sure for one in below) and any(one.sure for one in beyond))
    return Edge(judged, between(low, middle, high, CONFIDENCE), low, high, unsure, [])


def _jumped(below: Sequence[Judged], beyond: Sequence[Judged]) -> bool:
    """Whether what misses the SLO first was so far from its limit before that no line leads there: a collapse, or losses that
    begin at once. Failures are counted as half a one where there were none, which is no distance."""
    last = ratios(max((one.stage for one in below), key=lambda stage: stage.rate_rps))
    first = ratios(min((one.stage for one in beyond), key=lambda stage: stage.rate_rps))
    missed = [metric for metric, ratio in first.items() if ratio > 1]
    return bool(missed) and all(first[metric] > JUMP * last.get(metric, 0.0) for metric in missed)


def _returns(judged: Sequence[Judged]) -> int:
    """How often a stage met the SLO right after one, at a lower rate, that had missed it."""
    verdicts = [one.verdict for one in judged if one.verdict != "unclear"]
    return sum(before == "miss" and after == "pass" for before, after in pairwise(verdicts))


def _spread(stage: Stage) -> float:
    """The least relative half-width of a line: of the service itself, and of a stage too short for its queue to settle."""
    return min(0.5, max(SPREAD, FORGETS * (stage.response_mean_ms or 0.0) / 1000 / stage.duration_s))


def _again(run: RunDocuments | None, rate: float, duration_s: float = 300) -> str:
    contract = run.contract_path if run else "CONTRACT"
    return f"plimsoll run {contract} --shape breakpoint --rate {_round_up(rate)} --duration {duration_s:.0f}"


def _round_up(rate: float) -> str:
    return f"{rate:.2g}" if rate < 10 else f"{rate:.0f}"


def _too_few(run: RunDocuments | None, judged: list[Judged]) -> Refusal:
    top = max((one.stage.rate_rps for one in judged), default=10.0)
    usable = sum(one.verdict != "unclear" for one in judged)
    return Refusal(
        "capacity_rps",
        f"a line needs at least 3 stages at different rates, one of which can be judged; "
        f"there are {len(judged)}, of which {usable} can",
        _again(run, top * 2),
    )


def _never_passes(run: RunDocuments, judged: list[Judged]) -> Refusal:
    lowest = judged[0]
    missed = next(one for one in judged if one.verdict == "miss")
    if missed is lowest:
        reason = f"no stage met the SLO; even at {figure(lowest.stage.rate_rps)} rps: {lowest.why}"
        return Refusal(
            "capacity_rps", reason, _again(run, max(lowest.stage.rate_rps, 0.1)) + " (or reconsider the SLO)"
        )
    reason = (
        f"no stage was shown to meet the SLO: at {figure(lowest.stage.rate_rps)} rps {lowest.why}; "
        f"at {figure(missed.stage.rate_rps)} rps {missed.why}"
    )
    return Refusal("capacity_rps", reason, _again(run, missed.stage.rate_rps * 1.5, 600))


def _never_fails(run: RunDocuments, top: float, low: float, noisy: bool) -> Refusal:
    beside = "a miss below it was not repeated; " if noisy else ""
    return Refusal(
        "capacity_rps",
        f"the SLO held up to the highest rate tried, {figure(top)} rps: {beside}capacity is at least "
        f"{'that' if low == top else f'{figure(low)} rps, the highest where that is beyond chance'}, its upper end unknown",
        _again(run, top * 3),
    )


def _contradiction(run: RunDocuments, missed_at: float, passed: Judged) -> Refusal:
    return Refusal(
        "capacity_rps",
        f"the stages contradict each other: the SLO was missed at {figure(missed_at)} rps and met at "
        f"{figure(passed.stage.rate_rps)} rps, both beyond chance (cold caches, a disturbance, a restart?)",
        _again(run, passed.stage.rate_rps * 1.5, 600) + " --warmup 30",
    )


def _not_steady(run: RunDocuments, judged: Sequence[Judged], below: Sequence[Judged]) -> Refusal:
    again = _again(run, max(one.stage.rate_rps for one in judged), _twice_s(judged))
    return Refusal(
        "capacity_rps",
        f"the SLO was met up to {figure(below[-1].stage.rate_rps)} rps, but the service did not stand still in any of those "
        "stages (the number in flight or the response time went on changing): longer ones may miss it",
        f"{again} --warmup 60",
    )


def _up_and_down(run: RunDocuments, judged: Sequence[Judged]) -> Refusal:
    missed = ", ".join(figure(one.stage.rate_rps) for one in judged if one.verdict == "miss")
    met = ", ".join(figure(one.stage.rate_rps) for one in judged if one.verdict == "pass")
    return Refusal(
        "capacity_rps",
        f"the verdicts go up and down with the rate: the SLO was missed at {missed} rps and met at {met} rps, "
        "so no line lies between them (too few requests a stage, or something else that comes and goes)",
        _again(run, max(one.stage.rate_rps for one in judged), _twice_s(judged)),
    )


def _twice_s(judged: Sequence[Judged]) -> float:
    return 2 * sum(one.stage.duration_s for one in judged)
