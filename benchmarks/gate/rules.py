"""What a gate decides by: `[gate]` of the contract, and the looks that are declared before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from benchmarks.gate.metrics import MEDIAN_NEEDS, METRICS, P95_NEEDS
from measurements.errors import ContractError
from targets.contract import Contract, Endpoint

MOST_PRIMARIES = 5
FEWEST_BLOCKS, MOST_BLOCKS = 10, 24
EARLY_FROM = 14  # planned blocks below which there is no early look

Pair = tuple[str, str]  # endpoint (or "all"), metric


@dataclass(frozen=True)
class Look:
    """After so many blocks the differences are looked at, at this share of α; `confidence` of the intervals."""

    blocks: int
    alpha_share: float
    confidence: float
    final: bool


@dataclass(frozen=True)
class Rules:
    """`floor`: smallest change that matters, a share. `declared`: the contract named the primaries itself."""

    floor: float
    alpha: float
    primaries: tuple[Pair, ...]
    on_unsure: str
    declared: bool


def rules_of(contract: Contract) -> Rules:
    """ContractError for primaries that cannot be: an unknown endpoint or metric, more than five."""
    gate = contract.gate
    pairs = tuple(_pair(text, contract) for text in gate.primaries)
    if len(pairs) > MOST_PRIMARIES:
        raise ContractError(
            [f"gate.primaries names {len(pairs)} pairs; {MOST_PRIMARIES} at most, the rest is reported"]
        )
    if gate.floor <= 0:
        raise ContractError([f"gate.floor is {gate.floor:g}; it must be above 0: no measurement can see every change"])
    return Rules(gate.floor, gate.alpha, pairs or default_primaries(contract), gate.on_unsure, bool(pairs))


def default_primaries(contract: Contract, per_block: Mapping[str, float] | None = None) -> tuple[Pair, ...]:
    """Mean, p50 and p95 of the heaviest generation or search endpoint, CPU per request and errors of all; where a block
    holds too few requests for a median, the mean service time instead of the three. `per_block`: endpoint → requests."""
    used = sent_endpoints(contract)
    heaviest = max(used, key=lambda e: (e.kind in ("generation", "search"), e.weight))
    few = per_block is not None and per_block[heaviest.name] < MEDIAN_NEEDS
    times = [(heaviest.name, metric) for metric in (("service_mean_ms",) if few else ("mean_ms", "p50_ms", "p95_ms"))]
    return (*times, ("all", "cpu_s_per_request"), ("all", "error_rate"))


def sent_endpoints(contract: Contract) -> list[Endpoint]:
    return [endpoint for endpoint in contract.endpoint if endpoint.enabled and endpoint.weight > 0]


def looks(planned: int) -> list[Look]:
    """An early one (99 % intervals), the planned one, and one extension by half; their shares of α add up to 1."""
    extended = planned + ceil(planned / 2)
    if planned < EARLY_FROM:
        return [Look(planned, 0.5, 0.95, False), Look(extended, 0.5, 0.95, True)]
    early = Look(max(FEWEST_BLOCKS, ceil(0.6 * planned)), 0.2, 0.99, False)
    return [early, Look(planned, 0.4, 0.95, False), Look(extended, 0.4, 0.95, True)]


def plan_blocks(budget_s: float, requests_rps: float) -> tuple[int, float]:
    """(blocks, seconds each) for the planned look: as many as leave 400 requests each, 10 to 24."""
    wanted_s = 1.02 * P95_NEEDS / requests_rps
    blocks = min(MOST_BLOCKS, max(FEWEST_BLOCKS, int(budget_s / wanted_s)))
    return blocks, budget_s / blocks


def _pair(text: str, contract: Contract) -> Pair:
    endpoint, colon, metric = text.rpartition(":")
    names = [e.name for e in sent_endpoints(contract)]
    if not colon or metric not in METRICS:
        raise ContractError([f"gate.primaries has {text!r}; write endpoint:metric with one of {', '.join(METRICS)}"])
    if endpoint not in [*names, "all"]:
        raise ContractError([f"gate.primaries has {text!r}; endpoints that are sent: {', '.join(names)}, or all"])
    if METRICS[metric].whole and endpoint != "all":
        raise ContractError([f"gate.primaries has {text!r}; {metric} belongs to the whole process: write all:{metric}"])
    return endpoint, metric
