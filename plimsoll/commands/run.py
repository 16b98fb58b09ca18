"""plimsoll run"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.arrivals import parse_process
from measurements.errors import UsageError
from plimsoll.display import watcher
from plimsoll.measure import measure
from plimsoll.spec import Spec
from reports import wording
from targets.contract_file import load


@dataclass(frozen=True)
class Words:
    """The command line as it was typed."""

    contract: Path | None
    locustfile: Path | None
    host: str | None
    rate: float | None
    users: int | None
    duration: float
    warmup: float
    arrivals: str
    shape: str
    endpoint: str | None
    workers: int
    seed: int | None
    abort_on_slo: bool
    allow_degraded: bool
    start: bool
    replicas: int
    service_workers: int | None
    profile: bool
    ui: bool
    ui_host: str
    master: bool
    join: str | None
    out: Path
    lang: str
    json: bool
    quiet: bool


def run(words: Words) -> None:
    wording.Words(words.lang)  # refuses a language that no report is written in, before anything runs
    spec = spec_from(words)
    finished = measure(spec, watcher(words.quiet or words.json))
    from plimsoll.publish import publish  # with what it imports it would delay the first request

    lines = publish(finished, words.lang, with_plan=len(spec_stages(finished.document)) >= 3)
    if words.json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print("\n".join(lines))
    raise SystemExit(int(finished.exit))


def spec_stages(document: dict) -> list[dict]:
    return [stage for stage in document["schedule"]["stages"] if not stage["warmup"]]


def spec_from(words: Words) -> Spec:
    if words.master or words.join:
        raise UsageError("--master and --join are not built yet; use --workers N on one machine")
    if words.shape in ("failover", "rollout"):
        raise UsageError(f"--shape {words.shape} is not built yet")
    smoke = words.shape == "smoke" and "--duration" not in " ".join(sys.argv)
    return Spec(
        contract=load(words.contract) if words.contract else None,
        contract_path=words.contract,
        locustfile=words.locustfile,
        host=words.host,
        rate_rps=words.rate,
        users=words.users,
        duration_s=10.0 if smoke else words.duration,
        warmup_s=words.warmup,
        process=parse_process(words.arrivals),
        shape=words.shape,
        endpoint=words.endpoint,
        workers=words.workers,
        seed=words.seed,
        abort_on_slo=words.abort_on_slo,
        allow_degraded=words.allow_degraded,
        start=words.start,
        replicas=words.replicas,
        service_workers=words.service_workers,
        profile=words.profile,
        ui_host=words.ui_host if words.ui else None,
        out=words.out,
        command=shlex.join(["plimsoll", *sys.argv[1:]]),
    )
