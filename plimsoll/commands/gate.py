"""plimsoll gate: two versions compared in one paired run, or a run against a stored one."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gate import accepted as acceptance
from benchmarks.gate import course
from benchmarks.gate.accuracy import accuracy
from benchmarks.gate.document import verdict_document
from benchmarks.gate.rules import FEWEST_BLOCKS, Rules, default_primaries, plan_blocks, rules_of, sent_endpoints
from benchmarks.gate.sight import Sight, judged, sight
from measurements import host
from measurements.errors import Refused, UsageError
from measurements.rundir import RunDirectory
from measurements.sample import SCHEMA_VERSION
from plimsoll import money
from plimsoll.display import watcher
from plimsoll.duets import PILOT_RPS, WARMUP_S, LiveDuets, choose_rate, pilot_s, requests_per_block
from plimsoll.pair import SIDES, Version, git, reachable
from plimsoll.placement import place
from plimsoll.watcher import Watcher
from reports import wording
from targets.contract import Contract
from targets.contract_file import load, without_credentials

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


def gate(words: Words) -> None:
    wording.Words(words.lang)
    if not LEAST_BUDGET_S <= words.budget <= 86_400:
        raise UsageError(
            f"--budget {words.budget:g}: give seconds from {LEAST_BUDGET_S:g} to a day; below, no gate can see anything"
        )
    if words.search and not LEAST_SEARCH_S <= words.search <= 86_400:
        raise UsageError(
            f"--search {words.search:g}: give load-seconds from {LEAST_SEARCH_S:g} up to a day, or leave it out"
        )
    contract = _contract(words)
    _long_enough(words)
    rules = rules_of(contract)
    stored = [name for name in (words.baseline, words.candidate) if name and (Path(name) / "run.json").is_file()]
    accepted = acceptance.in_force(acceptance.path_beside(words.contract), datetime.now(UTC).date())
    look = watcher(words.quiet or words.json)
    versions = [] if stored else [_version(words, side) for side in SIDES]
    for side, version in zip(SIDES, versions, strict=False):
        if version.url is not None:
            reachable(side, version.url)
    if versions and versions[0].url is not None and versions[0].url == versions[1].url:
        raise UsageError(
            f"baseline and candidate are both {versions[0].url}; start two versions, on ports of their own"
        )
    _afford(contract, words)
    if stored:
        from plimsoll import stored_gate

        known = stored_gate.opened(words)
        run = _directory(words, contract)
        document = stored_gate.against_stored(words, contract, rules, run, look, *known)
    else:
        run = _directory(words, contract)
        document = _paired(words, contract, rules, accepted, run, look, versions)
    run.write_json("verdict.json", document)
    if words.allocations and not stored and document["verdict"] != "INVALID":
        _allocations(words, contract, versions, run, look, document)
    if words.search and not stored and document["verdict"] != "INVALID":
        from plimsoll import gate_search

        found = gate_search.highest_rates(contract, versions, run, words.search, document["seed"], look)
        document["max_rate"] = found
        document["notes"] = [*document["notes"], gate_search.sentence(found)]
    slower = any(one["verdict"] == "FAIL" for one in document["comparisons"])  # a version that died has no profile
    if document["verdict"] == "FAIL" and slower and not stored:
        from plimsoll.gate_profile import profiled

        document["profile"] = profiled(contract, versions, run, document["rate_rps"], look)
    from plimsoll.gate_output import publish

    lines = publish(run, document, contract, words.store or words.out / "history.duckdb", words.lang)
    if words.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines))
    raise SystemExit(document["exit_code"])


def _allocations(
    words: Words, contract: Contract, versions: list[Version], run: RunDirectory, look: Watcher, document: dict[str, Any]
) -> None:  # fmt: skip
    """What a request allocates, into the document: counted once in each version, so that more is a WARN, never a FAIL."""
    from plimsoll import gate_memory

    found = document["allocations"] = gate_memory.allocated(contract, versions, run, document["rate_rps"], look)
    said, too_much = gate_memory.sentence(found)
    document["notes"] = [*document["notes"], said]
    if too_much and document["verdict"] == "PASS":
        document |= {"verdict": "WARN", "reasons": [said]}


def accept(run_dir: Path | None, reason: str | None, until: str | None, as_json: bool = False) -> None:
    """plimsoll gate accept RUN_DIR --reason TEXT --until DATE"""
    if run_dir is None or reason is None or until is None:
        raise UsageError("write: plimsoll gate accept RUN_DIR --reason TEXT --until YYYY-MM-DD")
    run = RunDirectory.open(run_dir)
    contract = run.read_json("run.json").get("contract_path")
    if not contract or not run.has("verdict.json"):
        raise UsageError(f"{run_dir} is no gate's run directory; name the one whose verdict was FAIL")
    path = acceptance.path_beside(Path(contract))
    made = acceptance.accept(run.read_json("verdict.json"), path, reason, until, datetime.now(UTC).date())
    if as_json:
        print(
            json.dumps(
                {"written": str(path), "accepted": [asdict(one) for one in made]}, default=str, ensure_ascii=False
            )
        )
        return
    for one in made:
        print(f"{one.endpoint} {one.metric} may be up to × {one.up_to:g} until {one.until}: {one.reason}")
    print(f"written to {path}; commit it with the change")


def _contract(words: Words) -> Contract:
    from plimsoll.spec import Spec, checked

    contract = load(words.contract)
    narrowed = checked(Spec(contract, rate_rps=words.rate, endpoint=words.endpoint, seed=words.seed)).contract
    if words.endpoint is None or narrowed is None:
        return contract
    kept = [text for text in contract.gate.primaries if text.rpartition(":")[0] in (words.endpoint, "all")]
    changed = narrowed.model_copy(update={"gate": contract.gate.model_copy(update={"primaries": kept})})
    changed._folder = contract.folder
    return changed


def _directory(words: Words, contract: Contract) -> RunDirectory:
    run = RunDirectory.create(words.out, f"{contract.target.name}-gate")
    run.write_json(
        "run.json",
        {
            "schema": SCHEMA_VERSION,
            "run": run.identity,
            "kind": "gate",
            "name": contract.target.name,
            "command": shlex.join(["plimsoll", *sys.argv[1:]]),
            "contract": without_credentials(contract.model_dump(mode="json", by_alias=True, exclude_unset=True)),
            "contract_path": str(words.contract),
            "host": host.fingerprint(),
            "versions": host.versions(),
            "git_commit": host.git_commit(Path.cwd()),
        },
    )
    return run


def _paired(
    words: Words, contract: Contract, rules: Rules, accepted: list[acceptance.Accepted], run: RunDirectory, look: Watcher,
    versions: list[Version],
) -> dict[str, Any]:  # fmt: skip
    seed = words.seed if words.seed is not None else secrets.randbelow(2**31)
    pilot_rps = min(words.rate or PILOT_RPS, PILOT_RPS)
    before_s = pilot_s(pilot_rps) + WARMUP_S
    duets = LiveDuets(contract, versions, run.path, seed, look, pilot_rps)
    duets.alternate = words.alternate
    try:
        pilot = duets.pilot()
        duets.rate_rps = words.rate or choose_rate(pilot, len(place(1, True).target))
        heaviest = max(
            requests_per_block(contract, duets.rate_rps, 1.0).items(), key=lambda kv: (kv[0] != "all", kv[1])
        )
        load_s = (words.budget - before_s) / (2 if words.alternate else 1)
        planned, duets.block_s = plan_blocks(load_s, heaviest[1])
        if words.alternate:
            planned, duets.block_s = FEWEST_BLOCKS, load_s / FEWEST_BLOCKS
        per_block = requests_per_block(contract, duets.rate_rps, duets.block_s)
        if not rules.declared:
            rules = replace(rules, primaries=default_primaries(contract, per_block))
        seen = sight(pilot.times, per_block, planned, rules, seed)
        rules = _with_errors(replace(rules, primaries=judged(seen, rules)))
        for line in _announce(duets, planned, seen):
            look.phase(line)
        names = [endpoint.name for endpoint in sent_endpoints(contract)]
        outcome = course.run(duets.fresh, rules, names, planned, look.phase)
    finally:
        duets.close()
        look.end()
    alerts = _alerts(duets, outcome, contract)
    around = {
        "run": run.identity,
        "target": contract.target.name,
        "command": shlex.join(["plimsoll", *sys.argv[1:]]),
        "git_commit": host.git_commit(Path.cwd()),
        "accuracy": accuracy(),
        "notes": [f"{one['sentence']} (alert, {one['severity']})" for one in alerts],
        "alerts": alerts,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "baseline": _told(versions[0]),
        "candidate": _told(versions[1]),
        "rate_rps": duets.rate_rps,
        "block_s": duets.block_s,
        "planned_blocks": planned,
        "budget_s": words.budget,
        "seed": seed,
        "primaries": [":".join(pair) for pair in rules.primaries],
        "sight": [one.as_json() for one in seen],
        "services": duets.services.get(1, []),
        "host": host.fingerprint(),
        "placement": place(1, True).reason,
    }
    limits = {name: slo.limits() for name, slo in contract.slo.items()}
    return verdict_document(outcome, rules, accepted, limits, around)


def _alerts(duets: LiveDuets, outcome: course.Outcome, contract: Contract) -> list[dict[str, str]]:
    """The candidate against the contract's alert rules, over the recordings of the first duet."""
    from plimsoll import alerting

    if not contract.alert.rule or not outcome.duets:
        return []
    runs = [RunDirectory(duets.folder / name) for one in outcome.duets[0].recorded for name in one.runs]
    return [
        {"severity": str(breach.rule.severity), "sentence": f"{run.identity}: candidate: {breach.sentence}"}
        for run in runs
        for breach in alerting.found(run, contract, role="candidate", replica=1)
    ]


def _long_enough(words: Words) -> None:
    """A request of each version in every block, at least."""
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


def _with_errors(rules: Rules) -> Rules:
    """Errors are always judged: a candidate that answers fast because it fails is not faster."""
    errors = ("all", "error_rate")
    return rules if errors in rules.primaries else replace(rules, primaries=(*rules.primaries, errors))


def _afford(contract: Contract, words: Words) -> None:
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


def _version(words: Words, side: str) -> Version:
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


def _told(version: Version) -> dict[str, Any]:
    return {"label": version.label, "url": version.url, "ref": version.ref, "start": version.start}


def _announce(duets: LiveDuets, planned: int, seen: list[Sight]) -> list[str]:
    """What it can see, before it looks."""
    blocks = f"{planned} blocks of {duets.block_s:.1f} s at {duets.rate_rps:g} requests/s for each version"
    lines = [f"{blocks}; at most {planned * duets.block_s * WORST:.0f} s if it extends and has to confirm"]
    for one in seen:
        what = f"{one.endpoint} {one.metric}" + (" (primary)" if one.primary else "")
        if one.why_not:
            lines.append(f"  {what}: {'BLIND' if one.primary else 'report only'}, {one.why_not}")
        elif one.primary:
            lines.append(
                f"  {what}: "
                + (f"notices {one.smallest:.1%} at best" if one.smallest else "known from the first blocks")
            )
    return lines
