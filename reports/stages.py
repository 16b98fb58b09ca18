"""A stage against the SLOs, by the same rule that judged the run."""

from collections.abc import Sequence
from typing import Literal

from measurements import slo as rules
from reports.documents import Document, listed, section

State = Literal["met", "missed", "unknown"]


def limits_of(slo: Sequence[Document]) -> rules.Limits:
    """The limits that a summary's findings were judged by."""
    limits: rules.Limits = {}
    for finding in slo:
        if isinstance(finding.get("limit"), int | float):
            limits.setdefault(str(finding.get("endpoint")), {})[str(finding.get("metric"))] = float(finding["limit"])
    return limits


def limit_of(slo: Sequence[Document], endpoint: str, metric: str) -> float | None:
    """The endpoint's own limit, or the one for the whole mix."""
    limits = limits_of(slo)
    return limits.get(endpoint, {}).get(metric, limits.get("all", {}).get(metric))


def of_endpoint(slo: Sequence[Document], endpoint: str) -> list[Document]:
    """The findings that concern one endpoint, those for the whole mix included."""
    return [finding for finding in slo if finding.get("endpoint") in (endpoint, "all")]


def within_slo(stage: Document, slo: Sequence[Document]) -> State:
    """`missed` where any limit was or the stage was overloaded, else `met` where any could be judged."""
    limits = limits_of(slo)
    if not limits:
        return "unknown"
    if stage.get("state") == "saturated":
        return "missed"
    findings = rules.evaluate(limits, section(stage, "all"), section(stage, "endpoints"))
    states = {finding["state"] for finding in findings}
    if "missed" in states:
        return "missed"
    return "met" if "met" in states else "unknown"


def state_of(stage: Document, slo: Sequence[Document], plan: Document) -> State:
    """As the plan judged it, which tells a backlog from what a step in the rate fills; without a plan by the summary."""
    verdicts = {judged.get("stage"): judged.get("verdict") for judged in listed(plan, "stages")}
    known: dict[object, State] = {"pass": "met", "miss": "missed", "unclear": "unknown"}
    return known.get(verdicts.get(stage.get("name"))) or within_slo(stage, slo)


def last_within(stages: Sequence[Document], slo: Sequence[Document], plan: Document) -> Document | None:
    """The highest stage before the first that missed an SLO; None where already the first did, or nothing is known."""
    best: Document | None = None
    for stage in stages:
        state = state_of(stage, slo, plan)
        if state == "missed":
            break
        if state == "met":
            best = stage
    return best
