"""plimsoll gate: two versions compared in one paired run, or a run against a stored one."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from dataclasses import asdict, replace
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
from measurements.errors import UsageError
from measurements.rundir import RunDirectory
from measurements.sample import SCHEMA_VERSION
from plimsoll import gate_words
from plimsoll.display import watcher
from plimsoll.duets import PILOT_RPS, WARMUP_S, LiveDuets, choose_rate, pilot_s, requests_per_block
from plimsoll.gate_words import WORST, Words
from plimsoll.pair import SIDES, Version, reachable
from plimsoll.placement import place
from plimsoll.watcher import Watcher
from reports import wording
from targets.contract import Contract
from targets.contract_file import without_credentials


def gate(words: Words) -> None:
    wording.Words(words.lang)
    contract = gate_words.contract(words)
    gate_words.in_bounds(words)
    rules = rules_of(contract)
    stored = [name for name in (words.baseline, words.candidate) if name and (Path(name) / "run.json").is_file()]
    accepted = acceptance.in_force(acceptance.path_beside(words.contract), datetime.now(UTC).date())
    look = watcher(words.quiet or words.json)
    versions = [] if stored else [gate_words.version(words, side) for side in SIDES]
    for side, version in zip(SIDES, versions, strict=False):
        if version.url is not None:
            reachable(side, version.url)
    if versions and versions[0].url is not None and versions[0].url == versions[1].url:
        raise UsageError(
            f"baseline and candidate are both {versions[0].url}; start two versions, on ports of their own"
        )
    gate_words.afford(contract, words)
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
        "baseline": gate_words.told(versions[0]),
        "candidate": gate_words.told(versions[1]),
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


def _with_errors(rules: Rules) -> Rules:
    """Errors are always judged: a candidate that answers fast because it fails is not faster."""
    errors = ("all", "error_rate")
    return rules if errors in rules.primaries else replace(rules, primaries=(*rules.primaries, errors))


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
