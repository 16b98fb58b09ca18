"""The plan: from the documents of runs to what to buy, each number with its interval, each "no" with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capacity import appendix, ask, grade, machine, model, options, predictions, words
from capacity.ask import Ask, Demand
from capacity.bottleneck import Bottleneck
from capacity.documents import RunDocuments
from capacity.growth import Growth
from capacity.ledger import Entry
from capacity.machine import Machine
from capacity.model import Model
from capacity.prices import PriceBook
from measurements.interval import Interval, Refusal

__all__ = ["Plan", "RunDocuments", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """`capacity_rps`: arrivals per second of everything measured together, within the SLO. `extra`: more keys."""

    indicative: bool
    evidence_grade: str
    grade_reasons: list[str]
    capacity_rps: Interval | None
    capacity_at_least_rps: float | None
    bottleneck: Bottleneck | None
    binding_rule: str | None
    scale_up: list[dict[str, Any]]
    scale_out: list[dict[str, Any]]
    do_nothing: dict[str, Any] | None
    refusals: list[Refusal]
    expires_when: list[str]
    demand: Demand
    sentence: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def only_refusals(self) -> bool:
        """Nothing to act on: the command ends with exit code 3."""
        return self.capacity_rps is None and not self.scale_up and not self.scale_out

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "sentence": self.sentence,
            "indicative": self.indicative,
            "evidence_grade": self.evidence_grade,
            "grade_reasons": self.grade_reasons,
            "demand_rps": self.demand.today_rps,
            "demand": self.demand.as_json(),
            "capacity_rps": self.capacity_rps.as_json() if self.capacity_rps else None,
            "capacity_at_least_rps": self.capacity_at_least_rps,
            "bottleneck": self.bottleneck.as_json() if self.bottleneck else None,
            "binding_rule": self.binding_rule,
            "scale_up": self.scale_up,
            "scale_out": self.scale_out,
            "do_nothing": self.do_nothing,
            "refusals": [refusal.as_json() for refusal in self.refusals],
            "expires_when": self.expires_when,
            **self.extra,
        }


def make_plan(
    runs: Sequence[RunDocuments],
    demand_rps: float | None,
    growth: Growth | None = None,
    *,
    users: int | None = None,
    think_time_s: float | None = None,
    peak_to_mean: float = 1.0,
    lead_time_days: float = 0.0,
    prices: PriceBook | None = None,
    track_record: Sequence[Entry] = (),
    on: Machine | None = None,
) -> Plan:
    """`demand_rps`: peak arrivals per second today; None plans for `users`, or else for the capacity found and twice
    that. `track_record`: past predictions, by which intervals are scaled. Never raises for what the data cannot
    carry: those fields are None and `refusals` says why. `on`: another machine than the one measured, as calibrated there.
    """
    asked = Ask(demand_rps, users, think_time_s, growth, peak_to_mean, lead_time_days)
    fitted = model.fit(runs, track_record)
    if isinstance(fitted, list):
        return _refused(runs, fitted, demand_rps)
    if on is not None:
        moved = machine.moved(fitted, on)
        if isinstance(moved, Refusal):
            return _refused(runs, [moved], demand_rps)
        fitted = moved
    wanted = ask.demand(asked, fitted)
    bought = options.make(fitted, wanted.planned_rps)
    extra = appendix.of(fitted, asked, tuple(track_record))
    planned = wanted.planned_rps[-1] if wanted.planned_rps else None
    extra["next_best_measurement"] = appendix.narrower(fitted, planned, on)
    if prices is not None:
        extra |= appendix.money(fitted, asked, bought, prices)
    extra["predictions"] = predictions.of(fitted)
    extra["machine"] = on.as_json() if on else None
    grading, reasons = grade.grade(fitted.run)
    if on is not None:
        grading, reasons = "C", [machine.said(fitted, on), *(reasons if grading == "C" else [])]
    plan = Plan(
        indicative=_indicative(fitted) or bool(extra["doubts"]),
        evidence_grade=grading,
        grade_reasons=reasons,
        capacity_rps=fitted.capacity_rps,
        capacity_at_least_rps=fitted.at_least_rps,
        bottleneck=fitted.bottleneck,
        binding_rule=bought.binding_rule,
        scale_up=bought.scale_up,
        scale_out=bought.scale_out,
        do_nothing=_nothing(fitted, asked, wanted),
        refusals=[*fitted.refusals, *bought.refusals],
        expires_when=grade.expires_when(runs),
        demand=wanted,
        extra=extra,
    )
    return _with_sentence(plan)


def _indicative(fitted: Model) -> bool:
    run = fitted.run
    weak = fitted.edge.indicative and not fitted.from_search
    return weak or fitted.facts.disturbed or bool(run.summary.get("indicative")) or bool(run.validity.get("indicative"))


def _nothing(fitted: Model, asked: Ask, wanted: Demand) -> dict[str, Any] | None:
    if not wanted.planned_rps:
        return None
    flat = fitted.plateau.rate_rps if fitted.plateau else None
    found = options.do_nothing(wanted.planned_rps[-1], fitted.capacity_rps, fitted.at_least_rps, flat)
    return found | ask.dates(asked, wanted.today_rps, fitted.at_least_rps)


def _with_sentence(plan: Plan) -> Plan:
    return replace(plan, sentence=words.sentence(plan.as_json()))


def _refused(runs: Sequence[RunDocuments], refusals: list[Refusal], demand_rps: float | None) -> Plan:
    grading, reasons = grade.grade(runs[0]) if runs else ("C", ["no run"])
    expires = grade.expires_when(runs) if runs else []
    wanted = Demand(demand_rps, [], "nothing could be planned")
    plan = Plan(True, grading, reasons, None, None, None, None, [], [], None, refusals, expires, wanted)
    return _with_sentence(plan)
