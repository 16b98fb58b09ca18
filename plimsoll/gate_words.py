"""A gate as it is typed: which two versions, and what is refused before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gate.rules import FEWEST_BLOCKS
from measurements import host
from measurements.errors import Refused, UsageError
from plimsoll import money
from plimsoll.duets import PILOT_RPS, WARMUP_S, pilot_s
from plimsoll.pair import Version, git
from targets.contract import Contract
from targets.contract_file import load

LEAST_BUDGET_S, LEAST_SEARCH_S = 30.0, 10.0
WORST = 2 * 1.5  # a confirmation, each duet extended by half


@dataclass(frozen=True)
class Words:
    """The command line as it was typed."""

    contract: Path
    baseline: str | None
    candidate: str | None
    baseline_ref: str | None
    candidate_ref: str | None
    baseline_start: str | None
    candidate_start: str | None
    rate: float | None
    budget: float
    endpoint: str | None
    alternate: bool
    search: float
    allocations: bool
    seed: int | None
    store: Path | None
    out: Path
    lang: str
    json: bool
    quiet: bool


def in_bounds(words: Words) -> None:
    """Budgets that can show anything, and a request of each version in every block, at least."""
    if not LEAST_BUDGET_S <= words.budget <= 86_400:
        raise UsageError(
            f"--budget {words.budget:g}: give seconds from {LEAST_BUDGET_S:g} to a day; below, no gate can see anything"
        )
    if words.search and not LEAST_SEARCH_S <= words.search <= 86_400:
        raise UsageError(
            f"--search {words.search:g}: give load-seconds from {LEAST_SEARCH_S:g} up to a day, or leave it out"
        )
    if words.rate is None:
        return
    needed_s = (
        FEWEST_BLOCKS / words.rate * (2 if words.alternate else 1) + pilot_s(min(words.rate, PILOT_RPS)) + WARMUP_S
    )
    if words.budget < needed_s:
        raise UsageError(
            f"--budget {words.budget:g}: {FEWEST_BLOCKS} blocks with a request in each take {needed_s:.0f} s at --rate "
            f"{words.rate:g}; give that much, or a higher rate"
        )


def contract(words: Words) -> Contract:
    from plimsoll.spec import Spec, checked

    whole = load(words.contract)
    narrowed = checked(Spec(whole, rate_rps=words.rate, endpoint=words.endpoint, seed=words.seed)).contract
    if words.endpoint is None or narrowed is None:
        return whole
    kept = [text for text in whole.gate.primaries if text.rpartition(":")[0] in (words.endpoint, "all")]
    changed = narrowed.model_copy(update={"gate": whole.gate.model_copy(update={"primaries": kept})})
    changed._folder = whole.folder
    return changed


def afford(contract: Contract, words: Words) -> None:
    """A gate at a paid upstream needs a cap that holds even when it extends and confirms."""
    if contract.upstream is None or not contract.upstream.paid:
        return
    requests = 2 * (words.rate or PILOT_RPS) * words.budget * WORST
    cost = money.estimate(contract, requests)
    if words.rate is None:
        raise UsageError("the upstream is paid: name the rate with --rate, so that the cost is known before")
    if cost.max_requests is not None and requests > cost.max_requests:
        raise Refused(
            f"this gate may need {cost.sentence} when it extends and confirms; max_usd covers {cost.max_requests:,} requests: "
            "raise it, or lower --rate or --budget"
        )


def version(words: Words, side: str) -> Version:
    """Exactly one of: a URL, a revision, a start command; a candidate without any is the code as it lies here, a
    baseline the newest release tag."""
    named, ref, start = (getattr(words, name) for name in (side, f"{side}_ref", f"{side}_start"))
    if (named and "://" in named) or (named or "").startswith("unix:"):
        if ref or start:
            raise UsageError(f"--{side} is a URL, so it is not started; leave out --{side}-ref and --{side}-start")
        from targets.urls import base_url

        try:
            base_url(named)
        except ValueError as error:
            raise UsageError(f"--{side}: {error}") from error
        return Version(named, url=named)
    if ref and named:
        raise UsageError(f"--{side} {named} and --{side}-ref {ref} both name a version; give one")
    ref = ref or named
    if ref:
        commit = git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return Version(f"{ref} ({commit[:10]})", start=start, ref=ref)
    if start:
        return Version(start, start=start)
    if side == "candidate":
        return Version(f"the files as they are ({(host.git_commit(Path.cwd()) or '')[:10] or 'no revision'})")
    try:
        tag = git("describe", "--tags", "--abbrev=0")
    except UsageError:
        raise UsageError(
            "there is no baseline: this repository has no release tag; name a URL, revision or run directory with --baseline"
        ) from None
    return Version(f"release {tag}", ref=tag)


def told(one: Version) -> dict[str, Any]:
    return {"label": one.label, "url": one.url, "ref": one.ref, "start": one.start}
