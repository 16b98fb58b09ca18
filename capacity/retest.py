"""Reading a re-test: stages at factors of the predicted capacity, and where the SLO really broke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capacity.crossing import crossing
from capacity.documents import RunDocuments, Stage, objections, stages_of
from capacity.edge import judge
from capacity.judgement import Retest
from measurements.interval import Interval

NAME = "x{factor:.2f}-{round}"


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


def invalid(runs: Sequence[RunDocuments]) -> str:
    """Why these runs carry no answer; empty where they do."""
    return "; ".join(refusal.reason for run in runs for refusal in objections([run]))


@dataclass(frozen=True)
class Line:
    """`rps`: where the SLO broke; `bound`: what it means where nothing broke ("at least") or everything did ("at most")."""

    rps: float
    repeats: tuple[float, ...]
    bound: str = ""


def line(driven: Sequence[Driven]) -> Line | None:
    """From all stages together; each round by itself gives a repeat."""
    if not driven:
        return None
    rounds = sorted({one.round for one in driven})
    single = [crossing([one.stage for one in driven if one.round == turn]) for turn in rounds]
    repeats = tuple(value for value in single if value is not None)
    crossed = crossing([one.stage for one in driven])
    if crossed is not None:
        return Line(crossed, repeats)
    rates = [one.stage.rate_rps for one in driven]
    if all(one.verdict == "miss" for one in driven):
        return Line(min(rates), repeats, "at most")
    if any(one.verdict == "miss" for one in driven):
        best = max((one.stage.rate_rps for one in driven if one.verdict != "miss"), default=min(rates))
        return Line(best, repeats)
    return Line(max(rates), repeats, "at least")


def tests(what: str, predicted: Interval, driven: Sequence[Driven], found: Line) -> list[Retest]:
    """The capacity, then each factor: met above the interval or missed below it speaks against the prediction."""
    note = f"{found.bound} this: it was not driven further" if found.bound else ""
    return [
        Retest(what, None, predicted, found.rps, found.repeats, note),
        *(
            Retest(
                f"{what}, driven at {one.factor:g} times that", one.factor, predicted, one.stage.rate_rps,
                slo={"pass": "met", "miss": "missed"}.get(one.verdict, "unclear"),
            )
            for one in driven
        ),
    ]  # fmt: skip
