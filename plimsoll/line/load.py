"""Sending load: a run, the highest rate, a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plimsoll.line.words import Contract, Json, Lang, Out, Quiet, app, examples


@app.command(epilog=examples("plimsoll run targets/kakao.toml --start --shape breakpoint --duration 100",
                             "plimsoll run -f loadtests/scenarios/kakao.py --host http://127.0.0.1:8000 --rate 5"))  # fmt: skip
def run(
    contract: Contract = None,
    locustfile: Annotated[Path | None, typer.Option("-f", "--locustfile", help="an ordinary locustfile")] = None,
    host: Annotated[str | None, typer.Option(help="base URL; overrides the contract's")] = None,
    rate: Annotated[float | None, typer.Option(help="arrivals per second (open loop); absent: probed")] = None,
    users: Annotated[int | None, typer.Option(help="closed loop of so many users")] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            help="seconds, without warm-up and drain; absent: 60, smoke 10, breakpoint up to 120 by what it finds"
        ),
    ] = None,
    warmup: Annotated[float, typer.Option(help="seconds left out of the statistics")] = 0.0,
    arrivals: Annotated[
        str, typer.Option(help="constant, poisson, gamma:CV, or a file of timestamps (FILE@4: four times as fast)")
    ] = "poisson",
    shape: Annotated[
        str, typer.Option(help="smoke, load, stress, spike, soak, breakpoint, ramp, daily, failover, rollout")
    ] = "load",
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    workers: Annotated[
        int, typer.Option(help="load processes; with --master of all hosts, with --join of this one")
    ] = 1,
    seed: Annotated[int | None, typer.Option(help="same seed, same arrivals and payloads")] = None,
    abort_on_slo: Annotated[bool, typer.Option("--abort-on-slo", help="stop when an SLO is missed")] = False,
    allow_degraded: Annotated[bool, typer.Option("--allow-degraded", help="go on without a lost load process")] = False,
    start: Annotated[bool, typer.Option("--start", help="start the service by [target.control] on free ports")] = False,
    replicas: Annotated[int, typer.Option(help="with --start: so many of them")] = 1,
    service_workers: Annotated[int | None, typer.Option("--service-workers", help="with --start: {workers}")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="afterwards, where its CPU goes, in passes apart")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="Locust's web UI while it runs, on 127.0.0.1:8089")] = False,
    ui_host: Annotated[
        str, typer.Option("--ui-host", help="with --ui: another address of this machine; asks for a token then")
    ] = "127.0.0.1",
    master: Annotated[bool, typer.Option("--master", help="lead load processes of hosts that join")] = False,
    bind: Annotated[
        str | None, typer.Option(help="with --master: HOST[:PORT] to listen on; absent: 127.0.0.1:5557")
    ] = None,
    rows_to: Annotated[
        str | None,
        typer.Option(
            "--rows-to",
            help="with --master: where hosts lay their rows, a directory that all have mounted or s3://…; absent: sent to it",
        ),
    ] = None,
    join: Annotated[
        str | None, typer.Option(help="HOST[:PORT] of a master that this machine's load processes work for")
    ] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Drive load at a service and report what it did."""
    from plimsoll.commands import run as command

    command.run(command.Words(**{k: v for k, v in locals().items() if k != "command"}))


@app.command(
    epilog=examples(
        "plimsoll search targets/kakao.toml --start --slo 'p95<2s,errors<1%'",
        "plimsoll search targets/kakao.toml --start --endpoint search --max-rate 200 --budget 60",
    )
)
def search(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    slo: Annotated[
        str | None, typer.Option(help="e.g. 'p95<300ms,errors<1%' or 'generate:p95<5s'; absent: the contract's")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    max_rate: Annotated[float | None, typer.Option("--max-rate", help="arrivals per second, never more")] = None,
    budget: Annotated[float, typer.Option(help="load-seconds")] = 120.0,
    start: Annotated[bool, typer.Option("--start", help="start the service by [target.control] on free ports")] = False,
    workers: Annotated[int, typer.Option(help="load processes")] = 1,
    seed: Annotated[int | None, typer.Option(help="same seed, same arrivals and payloads of each trial")] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the highest rate that meets an SLO, as a bracket with its confidence."""
    from plimsoll.commands import search as command

    command.search(contract, slo, endpoint, max_rate, budget, start, workers, seed, out, lang, json, quiet)


@app.command(
    epilog=examples(
        "plimsoll profile targets/kakao.toml --command 'plimsoll serve kakao --port {port}' --cpu --rate 5 --duration 20",
        "plimsoll profile targets/kakao.toml --pid 4711 --memory --rate 10 --duration 30",
    )
)
def profile(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    pid: Annotated[int | None, typer.Option(help="the running service's process")] = None,
    command: Annotated[str | None, typer.Option(help="or start it so; {port} and {workers} are filled in")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="CPU by function (py-spy)")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="memory by line (memray)")] = False,
    rate: Annotated[float, typer.Option(help="requests per second")] = 5.0,
    duration: Annotated[float, typer.Option(help="seconds per pass")] = 20.0,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    out: Out = Path("runs"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Record where CPU and memory go under load, each in a pass of its own."""
    from plimsoll.commands import profile as work

    work.profile(contract, pid, command, cpu, memory, rate, duration, endpoint, out, json, quiet)
