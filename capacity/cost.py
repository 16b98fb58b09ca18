"""What options cost, per month, per year and per 1,000 requests within the SLO; and what being wrong costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capacity.documents import RunDocuments
from capacity.prices import MachinePrice, PriceBook

SECONDS_PER_MONTH = 365.25 * 24 * 3600 / 12


def of_replicas(
    price: MachinePrice, count: float, cores: float, memory_gib: float, mean_rps: float, share_within_slo: float | None
) -> dict[str, Any]:
    """Machines that run all month; `mean_rps`: demand averaged over the month. Without a share no price per request."""
    month = count * price.per_month(cores, memory_gib)
    within = mean_rps * SECONDS_PER_MONTH * (share_within_slo or 0.0)
    return {
        "machine": price.name,
        "currency": price.currency,
        "per_month": month,
        "per_year": 12 * month,
        "per_1000_requests_within_slo": 1000 * month / within if within else None,
        "share_within_slo": share_within_slo,
        "price_date": price.date,
        "price_source": price.source,
    }


def of_upstream(run: RunDocuments, book: PriceBook, mean_rps: float) -> dict[str, Any] | None:
    """Tokens that the demand will burn, by the contract's estimate per call; None without an upstream or its price."""
    upstream = run.section("upstream")
    price = book.tokens_of(upstream.get("model"))
    tokens_in, tokens_out = float(upstream.get("tokens_in") or 0), float(upstream.get("tokens_out") or 0)
    if price is None or not tokens_in + tokens_out:
        return None
    calls = float(upstream.get("calls_per_request") or 1)
    per_request = calls * price.of(tokens_in, tokens_out)
    month = per_request * mean_rps * SECONDS_PER_MONTH
    return {
        "model": price.model,
        "currency": price.currency,
        "per_month": month,
        "per_year": 12 * month,
        "per_1000_requests": 1000 * per_request,
        "price_date": price.date,
        "price_source": price.source,
        "assumptions": [
            f"{calls:g} calls per request, {tokens_in:g} tokens in and {tokens_out:g} out each, as the contract says"
        ],
    }


def of_option(
    option: Mapping[str, Any],
    book: PriceBook,
    cores: float,
    memory_gib: float,
    peak_to_mean: float,
    share_within_slo: float | None,
) -> list[dict[str, Any]]:
    """One entry per machine price, for a scale-out option (replicas × their size) or a scale-up one (one machine)."""
    mean_rps = option["demand_rps"] / peak_to_mean
    found = []
    for price in book.machine:
        if "recommended" in option:
            one = of_replicas(price, option["recommended"], cores, memory_gib, mean_rps, share_within_slo)
            span = option.get("replicas")
            if span:
                one["per_month_range"] = [price.per_month(cores, memory_gib) * span[end] for end in ("low", "high")]
        elif option.get("what") in ("workers", "memory"):
            size = (option.get("cores") or {}).get("high", cores)
            memory = (option.get("memory_mib") or {}).get("high", memory_gib * 1024) / 1024
            one = of_replicas(price, 1, size, memory, mean_rps, share_within_slo)
        else:
            continue
        found.append(one)
    return found


def load_as_measured_rps(option: Mapping[str, Any], measured: int) -> float:
    """What the deployment that was measured would carry if each replica (worker) of it did as much as each will."""
    demand_rps = float(option["demand_rps"])
    if "recommended" in option:
        return demand_rps / option["recommended"] * measured
    if option.get("what") == "workers":
        return demand_rps / option["workers"]["high"] * option["workers_now"] * measured
    return demand_rps


def of_being_wrong(
    option: Mapping[str, Any], book: PriceBook, cores: float, memory_gib: float
) -> dict[str, Any] | None:
    """Both ways, for a scale-out option whose need is known as an interval.

    too_many: money for replicas beyond what may have been enough. too_few: with the middle number bought where the
    high end was needed, the share of the peak that is beyond the SLO (requests, which only their owner can price).
    """
    span = option.get("replicas")
    if not span:
        return None
    spare = option["recommended"] - span["low"]
    short = 1 - span["mid"] / span["high"] if span["high"] else 0.0
    return {
        "too_many": [
            {
                "machine": price.name,
                "currency": price.currency,
                "replicas": spare,
                "per_month": spare * price.per_month(cores, memory_gib),
                "per_year": 12 * spare * price.per_month(cores, memory_gib),
            }
            for price in book.machine
        ],
        "too_few": {"replicas_short": span["high"] - span["mid"], "peak_share_beyond_slo": max(0.0, short)},
    }
