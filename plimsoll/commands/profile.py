"""plimsoll profile: where CPU and memory go, in passes of their own."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from measurements import host
from measurements.errors import Interrupted, UsageError
from measurements.rundir import RunDirectory
from measurements.sample import SCHEMA_VERSION
from plimsoll import money, permission
from plimsoll.spec import Spec, checked
from targets.contract_file import load
from targets.urls import resolve


def profile(
    contract_path: Path, pid: int | None, command: str | None, cpu: bool, memory: bool, rate: float, duration: float,
    endpoint: str | None, out: Path, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Neither --cpu nor --memory means both."""
    from profiles import passes, sentences
    from reports.render import render

    if pid is not None and command is not None:
        raise UsageError("--pid and --command exclude each other; give one, or none to find the service by its port")
    contract = load(contract_path)
    checked(Spec(contract, rate_rps=rate, duration_s=duration, endpoint=endpoint))
    url = contract.target.base_urls[0]
    permission.check(url, resolve(url), rate)
    money.estimate(contract, rate * duration * 3)
    run = RunDirectory.create(out, f"{contract.target.name}-profile")
    written = {
        "schema": SCHEMA_VERSION,
        "run": run.identity,
        "kind": "profile",
        "name": contract.target.name,
        "command": shlex.join(["plimsoll", *sys.argv[1:]]),
        "host": host.fingerprint(),
        "versions": host.versions(),
    }
    with ExitStack() as stack:
        stack.callback(run.discard_if_empty)
        stack.enter_context(_terminated_as_interrupted())
        document = passes.profile(
            contract, run.path, rate_rps=rate, duration_s=duration, pid=pid, command=command,
            want_cpu=cpu or not memory, want_memory=memory or not cpu, endpoint=endpoint,
            begin=lambda: run.write_json("run.json", written),
            say=(lambda line: None) if quiet or as_json else (lambda line: print(line, file=sys.stderr, flush=True)),
        )  # fmt: skip
        if not run.has("run.json"):
            raise Interrupted("interrupted before the load began; nothing was measured, what was started is stopped")
    run.write_json("profiles/profiles.json", document)
    report = render(run)
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(
            "\n".join([*sentences.lines(document), f"report: {report}", f"flame graphs, captures: {run.path}/profiles"])
        )
    if document["interrupted"]:
        raise Interrupted(f"interrupted; what was measured is kept in {run.path}, what was started is stopped")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a profile as Ctrl-C does: what it started is stopped, what it has is kept."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
