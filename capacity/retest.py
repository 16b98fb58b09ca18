"""Reading a re-test: stages at factors of the predicted capacity, and where the SLO really broke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from capacity import plateau
from capacity.crossing import crossing, of_repeats
from capacity.documents import RunDocuments, Stage, objections, stages_of
from capacity.edge import SPREAD, judge
from capacity.figures import figure
from capacity.judgement import Retest
from capacity.ledger import decided
from measurements.interval import Interval

NAME = "x{factor:.2f}-{round}"
UNSURE = "that decides nothing about the prediction: give verify a larger --budget"
GAVE_UP = 0.05  # of a stage's clients
# Where no crossing was found: times the highest rate met, times the lowest missed (nearest first), and of the way between.
ABOVE, BELOW, BETWEEN = (1.15, 1.4), (0.85, 0.67), (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Driven:
    """A stage of a re-test: which factor of the prediction it drove, in which round, and how it was judged."""

    factor: float
    round: int
    stage: Stage
    verdict: str


def stage_name(factor: float, turn: int) -> str:
    return NAME.format(factor=factor, round=turn)


def read(runs: Sequence[RunDocuments]) -> list[Driven]:
    """The factors' stages of valid runs; what led up to them is left out."""
    found = []
    for stage in stages_of(runs):
        label, _, turn = stage.name.partition("-")
        if label.startswith("x") and turn.isdigit():
            found.append(Driven(float(label[1:]), int(turn), stage, judge(stage).verdict))
    return found


def spoiled(driven: Sequence[Driven]) -> list[Driven]:
    """Of one run, the stages after the first whose clients gave up in numbers: the service may still have worked for them, so
    what these show is that stage's doing. (Who is refused leaves no work behind.)"""
    in_time = sorted(driven, key=lambda one: one.stage.start_s)
    for place, one in enumerate(in_time):
        if one.stage.outcome("timeout", "abandoned") > GAVE_UP * max(one.stage.count, 1):
            return in_time[place + 1 :]
    return []


def invalid(runs: Sequence[RunDocuments]) -> str:
    """Why these runs carry no answer; empty where they do."""
    return "; ".join(refusal.reason for run in runs for refusal in objections([run]))


@dataclass(frozen=True)
class Line:
    """`rps`: where the SLO broke. None where no figure crossed its limit: then the line is only known to lie above
    `at_least_rps`, the highest rate met below every miss, and below `at_most_rps`, the lowest missed above every one met
    (a censored observation: a bound is no measurement). Neither is there where the stages contradict each other.
    """

    rps: float | None
    repeats: tuple[float, ...] = ()
    at_least_rps: float | None = None
    at_most_rps: float | None = None

    def further(self) -> tuple[float, ...]:
        """The rates to drive next, for a crossing: beyond an open end, between two ends; none where it is known."""
        low, high = self.at_least_rps, self.at_most_rps
        if self.rps is not None:
            return ()
        if low is not None and high is not None:
            if high / low <= 1 + SPREAD:
                return ()
            return tuple(low * (high / low) ** share for share in BETWEEN)
        if low is not None:
            return tuple(low * times for times in ABOVE)
        return tuple(high * times for times in BELOW) if high is not None else ()


def line(driven: Sequence[Driven]) -> Line | None:
    """From all stages together; each round by itself gives a repeat. None without a stage that could be judged."""
    if all(one.verdict == "unclear" for one in driven):
        return None
    rounds = sorted({one.round for one in driven})
    single = [crossing([one.stage for one in driven if one.round == turn]) for turn in rounds]
    repeats = tuple(value for value in single if value is not None)
    factors = sorted({one.factor for one in driven})
    crossed = of_repeats([[one.stage for one in driven if one.factor == factor] for factor in factors])
    if crossed is not None:
        return Line(_sustained(crossed, driven), tuple(_sustained(value, driven) for value in repeats))
    met = [one.stage.rate_rps for one in driven if one.verdict == "pass"]
    missed = [one.stage.rate_rps for one in driven if one.verdict == "miss"]
    at_least = max((rate for rate in met if rate < min(missed, default=inf)), default=None)
    at_most = min((rate for rate in missed if rate > max(met, default=0.0)), default=None)
    return Line(None, repeats, at_least, at_most)


def _sustained(rps: float, driven: Sequence[Driven]) -> float:
    """No more than overloaded stages completed, as with the line that a plan reads (`model`): one that was met before its wait
    had grown shows no rate that can be kept up. What was shown to hold stays."""
    flat = plateau.find(sorted((one.stage for one in driven), key=lambda stage: stage.rate_rps))
    if flat is None or not flat.is_end:
        return rps
    held = max(
        (one.stage.rate_rps for one in driven if one.verdict == "pass" and one.stage.rate_rps < rps), default=0.0
    )
    return min(rps, max(held, flat.rate_rps.mid))


def tests(what: str, predicted: Interval, driven: Sequence[Driven], found: Line) -> list[Retest]:
    """The capacity, then each factor: met above the interval or missed below it speaks against the prediction."""
    return [
        Retest(
            what, None, predicted, found.rps, found.repeats, _bounded(predicted, found), at_least=found.at_least_rps,
            at_most=found.at_most_rps,
        ),
        *(
            Retest(
                f"{what}, driven at {one.factor:g} times that", one.factor, predicted, one.stage.rate_rps,
                slo={"pass": "met", "miss": "missed"}.get(one.verdict, "unclear"),
            )
            for one in driven
        ),
    ]  # fmt: skip


def _bounded(predicted: Interval, found: Line) -> str:
    """What a line without a crossing says; empty where there is one."""
    low, high = found.at_least_rps, found.at_most_rps
    if found.rps is not None:
        return ""
    if low is None and high is None:
        return "the stages contradict each other: the SLO was missed at rates below others that met it; verify again"
    if low is not None and high is not None:
        known = f"it lies between {figure(low)} rps, which met the SLO, and {figure(high)} rps, which missed it"
    elif low is not None:
        known = f"it is at least {figure(low)} rps: the SLO was met as far as it was driven"
    else:
        known = f"it is at most {figure(high or 0.0)} rps: the SLO was missed wherever it was driven"
    return known if decided(predicted, None, low, high) is not None else f"{known}; {UNSURE}"
