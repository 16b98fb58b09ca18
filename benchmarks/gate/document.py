"""`verdict.json`: the outcome of a gate as a document, with everything its report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from benchmarks.gate.accepted import Accepted
from benchmarks.gate.blocks import Block
from benchmarks.gate.course import Duet, Outcome
from benchmarks.gate.judging import UNSURE, Comparison, Verdict, worst
from benchmarks.gate.metrics import METRICS, as_change, floor_of
from benchmarks.gate.paired import Paired, compare
from benchmarks.gate.rules import Rules
from measurements.errors import Exit

SCHEMA = 1
SLO_METRICS = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "ttft_p95_ms", "error_rate")

EXITS = {
    Verdict.PASS: Exit.OK, Verdict.WARN: Exit.OK, Verdict.FAIL: Exit.SLO_MISSED, Verdict.INVALID: Exit.INVALID,
    Verdict.BLIND: Exit.UNSURE, Verdict.INCONCLUSIVE: Exit.UNSURE,
}  # fmt: skip


def verdict_document(
    outcome: Outcome, rules: Rules, accepted: Sequence[Accepted], limits: Mapping[str, Mapping[str, float]],
    around: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """`around`: what the caller knows beside (run, target, versions, rate, …), taken over as it is."""
    first = outcome.duets[0] if outcome.duets else Duet(1)
    judged = first.judgements[-1].comparisons if first.judgements else []
    confirmed = _confirmed(outcome.duets)
    comparisons = [comparison(one, rules, confirmed.get((one.endpoint, one.metric))) for one in judged]
    findings = _slo(limits, judged)
    verdict, reasons = outcome.verdict, list(outcome.reasons)
    if verdict is Verdict.FAIL and outcome.agreed:
        verdict, reasons = _with_accepted(verdict, reasons, comparisons, accepted)
    missed = [
        f"{f['endpoint']} {f['metric']}"
        for f in findings
        if f["candidate_state"] == "missed" and f["baseline_state"] == "met"
    ]
    if missed and verdict is Verdict.PASS:
        verdict, reasons = Verdict.WARN, [f"the candidate misses a limit that the baseline keeps: {', '.join(missed)}"]
    return {
        "schema": SCHEMA,
        "verdict": str(verdict),
        "exit_code": int(exit_code(verdict, rules.on_unsure)),
        "reasons": reasons,
        **around,
        "paired": True,
        "floor": rules.floor,
        "alpha": rules.alpha,
        "on_unsure": rules.on_unsure,
        "comparisons": comparisons,
        "slo": findings,
        "accepted": [one.as_json() for one in accepted],
        "duets": [_duet(duet, rules) for duet in outcome.duets],
    }


def exit_code(verdict: Verdict, on_unsure: str = "neutral") -> Exit:
    """`on_unsure` fail: an unsure verdict counts as a failure."""
    return Exit.SLO_MISSED if verdict in UNSURE and on_unsure == "fail" else EXITS[verdict]


def comparison(one: Comparison, rules: Rules, again: Paired | None = None) -> dict[str, Any]:
    """`ratio` and `ci95` as candidate / baseline; for shares of failures `difference` and its `ci95`."""
    paired = compare(one.series.differences) if one.paired else None
    metric, is_ratio = one.metric, METRICS[one.metric].ratio
    document: dict[str, Any] = {
        "endpoint": one.endpoint,
        "metric": metric,
        "primary": one.primary,
        "verdict": str(one.verdict) if one.verdict else None,
        "why": one.why,
        "baseline": one.series.baseline,
        "candidate": one.series.candidate,
        "ratio": None,
        "difference": None,
        "ci95": None,
        "p_value": one.p_adjusted,
        "minimum_detectable": None,
        "floor": as_change(metric, floor_of(metric, rules.floor)),
        "blocks": paired.blocks if paired else 0,
    }
    if paired:
        shift = 1.0 if is_ratio else 0.0
        document["ratio" if is_ratio else "difference"] = as_change(metric, paired.theta) + shift
        document["ci95"] = [as_change(metric, end) + shift for end in (paired.low, paired.high)]
        document["minimum_detectable"] = as_change(metric, paired.minimum_detectable)
        document["at_most"] = as_change(metric, paired.at_most) + shift
        if again:
            document["confirmation"] = {
                "change": as_change(metric, again.theta) + shift,
                "ci95": [as_change(metric, end) + shift for end in (again.low, again.high)],
            }
    return document


def _confirmed(duets: Sequence[Duet]) -> dict[tuple[str, str], Paired]:
    if len(duets) < 2 or not duets[1].judgements:
        return {}
    return {c.pair: again for c in duets[1].judgements[-1].comparisons if (again := compare(c.series.differences))}


def _with_accepted(
    verdict: Verdict, reasons: list[str], comparisons: list[dict[str, Any]], accepted: Sequence[Accepted]
) -> tuple[Verdict, list[str]]:
    """A slowdown that was accepted, no larger than it was accepted, is a WARN until it expires."""
    for entry in comparisons:
        covering = next((one for one in accepted if one.covers(entry)), None)
        if entry["verdict"] == Verdict.FAIL and covering:
            entry["verdict"], entry["why"] = str(Verdict.WARN), f"accepted until {covering.until}: {covering.reason}"
    left = worst([Verdict(entry["verdict"]) for entry in comparisons if entry["verdict"]])
    if left is Verdict.FAIL:
        return verdict, reasons
    return left, [f"{e['endpoint']} {e['metric']}: {e['why']}" for e in comparisons if e["why"] and e["primary"]]


def _slo(limits: Mapping[str, Mapping[str, float]], judged: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Absolute limits beside the relative test, by each version's median block at the gate's rate."""
    typical = {(c.endpoint, c.metric): c.series for c in judged}
    names = {endpoint for endpoint, _ in typical} - {"all"}
    alone = next(iter(names)) if len(names) == 1 else ""
    findings = []
    for endpoint, metrics in limits.items():
        for metric, limit in metrics.items():
            found = typical.get((endpoint, metric)) or (typical.get((alone, metric)) if endpoint == "all" else None)
            found = found if metric in SLO_METRICS else None
            values = (found.baseline, found.candidate) if found else (None, None)
            states = ["unknown" if v is None else "met" if v <= limit else "missed" for v in values]
            findings.append(
                {"endpoint": endpoint, "metric": metric, "limit": limit, "baseline": values[0], "candidate": values[1],
                 "baseline_state": states[0], "candidate_state": states[1]}
            )  # fmt: skip
    return findings


def _duet(duet: Duet, rules: Rules) -> dict[str, Any]:
    return {
        "number": duet.number,
        "runs": [run for one in duet.recorded for run in one.runs],
        "doubts": next((one.doubts for one in reversed(duet.recorded) if one.doubts), {}),
        "looks": [
            {"blocks": j.look.blocks, "alpha_share": j.look.alpha_share, "confidence": j.look.confidence,
             "verdict": str(j.verdict)}
            for j in duet.judgements
        ],
        "blocks": [_block(block, rules) for block in duet.blocks],
    }  # fmt: skip


def _block(block: Block, rules: Rules) -> dict[str, Any]:
    shown = sorted({pair for figures in block.figures for pair in figures})
    differences = {f"{e}:{m}": block.difference((e, m)) for e, m in shown}
    return {
        "name": block.name,
        "first": ("baseline", "candidate")[block.order],
        "voided": block.voided,
        "requests": [counts.get("all", 0) for counts in block.counts],
        "changes": {
            name: as_change(name.rpartition(":")[2], value) for name, value in differences.items() if isfinite(value)
        },
        **({"beside": block.beside} if block.beside else {}),
    }
