"""What a course of trials amounts to: `search.json`, a bracket per endpoint and for the whole mix, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

from loadtests.search.course import Course, Done
from loadtests.search.narrowing import SURE
from loadtests.search.posterior import Posterior
from loadtests.search.trying import WIDTH
from loadtests.search.verdict import Verdict

NEARLY_SURE = 0.8


@dataclass(frozen=True)
class Bracket:
    """`lower_rps` passed and `upper_rps` failed, both as trials; `confidence`: that the edge lies between them. `edge_rps`:
    (low, middle, high), between whose ends it lies with 90 % whatever rates were tried."""

    lower_rps: float | None
    upper_rps: float | None
    confidence: float | None
    shape: str | None
    seconds_for_5_percent: float | None
    confirmed: bool = False
    refusals: tuple[dict[str, str], ...] = ()
    edge_rps: tuple[float, float, float] | None = None

    @property
    def width(self) -> float | None:
        """(upper − lower) / lower."""
        if self.lower_rps is None or self.upper_rps is None:
            return None
        return self.upper_rps / self.lower_rps - 1

    def as_json(self) -> dict[str, Any]:
        return {
            "lower_rps": self.lower_rps,
            "upper_rps": self.upper_rps,
            "confidence": self.confidence,
            "shape": self.shape,
            "seconds_for_5_percent": self.seconds_for_5_percent,
            "width": self.width,
            "confirmed": self.confirmed,
            "refusals": list(self.refusals),
            "edge_rps": dict(zip(("low", "mid", "high"), self.edge_rps, strict=True)) | {"confidence": SURE}
            if self.edge_rps
            else None,
        }


def bracket(course: Course, name: str = "all") -> Bracket:
    """The narrowest pair of tested rates that holds the edge with 90 %, or one half as wide that does with 80 %; without
    either, the pair that holds it best."""
    passed, failed = _rates(course, Verdict.PASS, name), _rates(course, Verdict.FAIL, name)
    if name == "all" and course.ended == "never_passes":
        return _never_passes(course, failed)
    if not failed:
        return _never_fails(course, name, passed)
    posterior = course.posterior(name)
    if not passed:
        return Bracket(None, min(failed), None, None, None, refusals=(_refusal(
            "lower_rps", f"no trial passed; the lowest that failed was {min(failed):.3g} rps",
            f"give it more load-seconds: --budget {2 * course.wishes.budget_s:.0f}"),))  # fmt: skip
    lower, upper = _pair(posterior, passed, failed)
    edge_rps = (posterior.quantile((1 - SURE) / 2), posterior.quantile(0.5), posterior.quantile((1 + SURE) / 2))
    if posterior.below(lower) > SURE:
        return Bracket(
            None,
            min(failed),
            None,
            None,
            None,
            refusals=(_refuted(course, name, lower, Verdict.PASS),),
            edge_rps=edge_rps,
        )
    if posterior.below(upper) < 1 - SURE:
        return Bracket(
            max(passed),
            None,
            None,
            None,
            None,
            refusals=(_refuted(course, name, upper, Verdict.FAIL),),
            edge_rps=edge_rps,
        )
    sure = posterior.between(lower, upper)
    width = upper / lower - 1
    more = 0.0 if width <= WIDTH and sure >= SURE else posterior.seconds_for(WIDTH)
    ends = {(t.rate_rps, t.verdict(name)) for t in course.trials if t.request.purpose == "classification"}
    confirmed = (lower, Verdict.PASS) in ends and (upper, Verdict.FAIL) in ends
    return Bracket(
        lower,
        upper,
        round(sure, 3),
        "cliff" if posterior.steep >= 0.5 and course.bucket is None else "slope",  # a bucket refuses ever more
        round(course.load_seconds + more, 1),
        confirmed,
        edge_rps=edge_rps,
    )


def _refuted(course: Course, name: str, rate_rps: float, verdict: Verdict) -> dict[str, str]:
    """An end that its own trial showed, and the others refute: a short one, or one that met a disturbance."""
    passed = verdict is Verdict.PASS
    field = "lower_rps" if passed else "upper_rps"
    budget = f"give it more load-seconds: --budget {2 * course.wishes.budget_s:.0f}"
    trial = next((t for t in course.trials if t.rate_rps == rate_rps and t.verdict(name) is verdict), None)
    if trial is None:  # the widest that contradictory trials span
        return _refusal(field, "the trials contradict each other: lower rates failed and higher ones passed", budget)
    against = [
        t for t in course.trials
        if t.verdict(name) is (Verdict.FAIL if passed else Verdict.PASS) and (t.rate_rps < rate_rps) is passed
    ]  # fmt: skip
    rates = ", ".join(f"{rate:.3g}" for rate in sorted({t.rate_rps for t in against})) or "other rates"
    met, missed, sure = ("met", "missed", "passes") if passed else ("missed", "met", "fails")
    return _refusal(
        field,
        f"{rate_rps:.3g} rps {met} the limits for {trial.seconds:.2g} s, and {rates} rps then {missed} them: what {sure} "
        "for sure was not found",
        budget,
    )


def _pair(posterior: Posterior, passed: list[float], failed: list[float]) -> tuple[float, float]:
    pairs = [(a, b) for a in passed for b in failed if a < b]
    if not pairs:  # every pass lies above every fail: contradictory; the widest that the trials span
        return min(passed + failed) / (1 + WIDTH), max(passed + failed)

    def narrowest(least: float) -> tuple[float, float] | None:
        sure = [pair for pair in pairs if posterior.between(*pair) >= least]
        return min(sure, key=lambda pair: pair[1] / pair[0], default=None)

    best, near = narrowest(SURE), narrowest(NEARLY_SURE)
    if near and (best is None or log(near[1] / near[0]) <= log(best[1] / best[0]) / 2):
        return near
    return best or max(pairs, key=lambda pair: (round(posterior.between(*pair), 3), -log(pair[1] / pair[0])))


def _rates(course: Course, verdict: Verdict, name: str) -> list[float]:
    return course.of(verdict, name)


def _never_passes(course: Course, failed: list[float]) -> Bracket:
    last = [t for t in course.trials if t.rate_rps == min(failed)][-1] if failed else course.trials[-1]
    judged = last.judgements["all"]
    said = figure(judged.metric, judged.value)
    limit = figure(judged.metric, judged.limit)
    reason = (
        f"at {last.rate_rps:.3g} rps, with {judged.growth.mean:.2g} requests in flight on average, {judged.metric} was "
        f"{said} where the limit is {limit}: waiting is not what it fails by, so that no rate passes"
    )
    remedy = "make the service faster, or more reliable, when it is idle; or set a limit that it can meet"
    return Bracket(None, min(failed, default=None), None, "never_passes", None, True,
                   (_refusal("lower_rps", reason, remedy),))  # fmt: skip


def _never_fails(course: Course, name: str, passed: list[float]) -> Bracket:
    if not passed:
        reason = course.stopped or course.ended or "no trial could be judged"
        generator = [t for t in course.trials if t.verdict(name) is Verdict.GENERATOR_LIMIT]
        remedy = "give it more load-seconds with --budget"
        if generator:
            reason, remedy = (
                generator[-1].judgements[name].why,
                "leave the generator a core of its own, or use --workers",
            )
        return Bracket(None, None, None, None, None, refusals=(_refusal("lower_rps, upper_rps", reason, remedy),))
    shown = [t.rate_rps for t in course.trials
             if t.request.purpose == "classification" and t.verdict(name) is Verdict.PASS]  # fmt: skip
    top, confirmed = max(shown or passed), bool(shown)
    if course.ceiling_rps is not None:
        reason = f"it did not fail up to {top:.3g} rps; at {course.ceiling_rps:.3g} rps the generator was the limit"
        remedy = "send from more load processes with --workers, or from another machine"
    elif top >= 0.999 * course.wishes.max_rps:
        reason, remedy = f"it did not fail up to {top:.3g} rps, the highest rate that was allowed", "raise --max-rate"
    elif name != "all":
        reason = f"it met its limits at every rate that was tried, up to {top:.3g} rps of the whole mix"
        remedy = f"search for it alone: --endpoint {name}"
    else:
        reason = f"it did not fail up to {top:.3g} rps, where the search ended ({course.stopped or course.ended})"
        remedy = f"give it more load-seconds: --budget {2 * course.wishes.budget_s:.0f}"
    shape = "never_fails" if not course.stopped or name != "all" else None
    return Bracket(top, None, None, shape, None, confirmed, (_refusal("upper_rps", reason, remedy),))


def _refusal(field: str, reason: str, remedy: str) -> dict[str, str]:
    return {"field": field, "reason": reason, "remedy": remedy}


def figure(metric: str, value: float | None) -> str:
    if value is None:
        return "beyond what was waited for"
    return f"{value:.1%}" if metric == "error_rate" else f"{value:.0f} ms"


def policy(course: Course) -> dict[str, Any] | None:
    """Where refusals made the trials above the edge fail: by which status, and what share of those trials' requests."""
    failed = [t for t in course.trials if t.verdict() is Verdict.FAIL]
    refused = [t for t in failed if t.judgements["all"].rejected > 0.5 * t.judgements["all"].errors > 0]
    if not failed or 2 * len(refused) <= len(failed):
        return None
    statuses: dict[int, int] = {}
    for trial in refused:
        for status, count in trial.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    most = max(statuses, key=lambda status: statuses[status])
    kind = "rate_limit" if most == 429 else "refused"
    found = course.bucket
    lets = {"rate_rps": found.rate_rps, "rate_error_rps": found.error_rps, "burst": found.burst} if found else {}
    return {"kind": kind, "status": most, "requests": statuses[most], **lets}


def document(course: Course, slo: Any) -> dict[str, Any]:
    """`search.json` without what a run adds."""
    names = ["all", *sorted({name for t in course.trials for name in t.judgements if name != "all"})]
    brackets = {name: bracket(course, name) for name in names}
    whole = brackets["all"]
    judged = [t for t in course.trials if t.verdict() in (Verdict.PASS, Verdict.FAIL)]
    return {
        "schema": 1,
        "valid": bool(judged) and (whole.lower_rps is not None or whole.upper_rps is not None),
        "slo": slo,
        "endpoints": {name: found.as_json() for name, found in brackets.items()},
        "lower_rps": whole.lower_rps,
        "upper_rps": whole.upper_rps,
        "confidence": whole.confidence,
        "shape": whole.shape,
        "load_seconds": round(course.load_seconds, 3),
        "budget_s": course.wishes.budget_s,
        "max_rps": course.wishes.max_rps if course.wishes.max_rps != float("inf") else None,
        "seed": course.wishes.seed,
        "ended": course.stopped or course.ended,
        "limit": policy(course),
        "generator_ceiling_rps": course.ceiling_rps,
        "trials": [_trial(t) for t in course.trials],
    }


def _trial(done: Done) -> dict[str, Any]:
    judged = done.judgements["all"]
    return {
        "name": stage_name(done.request.number),
        "purpose": done.request.purpose,
        "rate_rps": done.rate_rps,
        "settle_s": done.request.settle_s,
        "measure_s": done.request.measure_s,
        "seconds": round(done.seconds, 3),
        "cut": done.cut or None,
        "requests": done.requests,
        "verdict": str(judged.verdict),
        "why": judged.why,
        "metric": judged.metric or None,
        "value": judged.value,
        "limit": judged.limit,
        "log_error": round(judged.error, 3),
        "error_rate": judged.errors,
        "rejected_share": judged.rejected,
        "in_flight_mean": judged.growth.mean,
        "in_flight_growth": judged.growth.requests,
        "growth_z": round(judged.growth.z, 2),
        "generator_cpu_share": done.cpu_share,
        "served_rps": done.served.rate_rps if done.served else None,
        "seed": done.request.seed,
        "endpoints": {n: str(j.verdict) for n, j in done.judgements.items() if n != "all"},
    }


def stage_name(number: int) -> str:
    return f"t{number:02d}"
