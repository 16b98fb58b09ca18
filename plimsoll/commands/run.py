"""plimsoll run"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.arrivals import parse_process
from loadtests.hosts import shared
from measurements.errors import Exit, UsageError
from plimsoll.display import watcher
from plimsoll.first_steps import behind
from plimsoll.measure import measure
from plimsoll.spec import USUAL_S, Spec
from reports import wording
from targets.contract_file import load

SMOKE_S = 10.0
UI_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Words:
    """The command line as it was typed."""

    contract: Path | None
    locustfile: Path | None
    host: str | None
    rate: float | None
    users: int | None
    duration: float | None
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
    bind: str | None
    rows_to: str | None
    join: str | None
    out: Path
    lang: str
    json: bool
    quiet: bool


def run(words: Words) -> None:
    wording.Words(words.lang)  # refuses a language that no report is written in, before anything runs
    if words.join:
        _join(words)
    spec = spec_from(words)
    finished = measure(spec, watcher(words.quiet or words.json))
    from plimsoll.publish import publish  # with what it imports it would delay the first request

    lines = publish(finished, words.lang, with_plan=len(spec_stages(finished.document)) >= 3)
    if words.json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        if finished.exit is Exit.OK:
            lines += behind(finished.directory, words.contract, words.start, wording.Words(words.lang))
        print("\n".join(lines))
    raise SystemExit(int(finished.exit))


def _join(words: Words) -> None:
    """What is measured, the master says; here only how many load processes this machine gives."""
    from plimsoll.joining import join

    if words.contract or words.locustfile or words.master or words.rows_to:
        raise UsageError("--join takes contract, rate, seed and place of rows from the master; give --workers alone")
    assert words.join is not None
    part = join(words.join, words.workers, words.out, watcher(words.quiet or words.json))
    if words.json:
        print(
            json.dumps({"rows": part.rows, "kept_in": str(part.folder) if part.folder else None, "said": part.sentence})
        )
    else:
        print(part.sentence)
    raise SystemExit(int(part.exit))


def spec_stages(document: dict) -> list[dict]:
    return [stage for stage in document["schedule"]["stages"] if not stage["warmup"]]


def spec_from(words: Words) -> Spec:
    if words.bind and not words.master:
        raise UsageError(f"--bind {words.bind} says where a master listens; add --master")
    if words.rows_to and not words.master:
        raise UsageError("--rows-to says where hosts that join lay their rows; add --master")
    if words.ui_host != UI_HOST and not words.ui:
        raise UsageError(f"--ui-host {words.ui_host} says where the web UI listens; add --ui")
    if not words.start and (words.replicas != 1 or words.service_workers is not None):
        option = "--replicas" if words.replicas != 1 else "--service-workers"
        raise UsageError(f"{option} says how many are started; add --start")
    return Spec(
        contract=load(words.contract) if words.contract else None,
        contract_path=words.contract,
        locustfile=words.locustfile,
        host=words.host,
        rate_rps=words.rate,
        users=words.users,
        duration_s=words.duration if words.duration is not None else SMOKE_S if words.shape == "smoke" else USUAL_S,
        stretch=words.duration is None and words.shape == "breakpoint",
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
        bind=(words.bind or "127.0.0.1") if words.master else None,
        rows_to=shared.parse(words.rows_to) if words.rows_to else None,
        out=words.out,
        command=shlex.join(["plimsoll", *sys.argv[1:]]),
    )
