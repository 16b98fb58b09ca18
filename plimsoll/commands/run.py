"""plimsoll run"""

from __future__ import annotations

import json
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.arrivals import parse_process
from measurements.errors import UsageError
from plimsoll.display import watcher
from plimsoll.measure import measure
from plimsoll.publish import publish
from plimsoll.spec import Spec
from reports import wording
from targets.contract_file import load

UI_PORT = 8089


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
    if words.ui:
        _check_ui(words.workers)
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
        ui_port=UI_PORT if words.ui else None,
        out=words.out,
        command=shlex.join(["plimsoll", *sys.argv[1:]]),
    )


def _check_ui(workers: int) -> None:
    """Refused before anything starts; else said where it is."""
    if workers > 1:
        raise UsageError(f"--ui shows one load process, and --workers {workers} asks for more; leave one of them out")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", UI_PORT))
        except OSError as error:
            raise UsageError(
                f"--ui: port {UI_PORT} of 127.0.0.1 is taken ({error.strerror}); end what listens there, or leave --ui out"
            ) from error
    print(f"web UI: http://127.0.0.1:{UI_PORT} while the load runs", file=sys.stderr)
