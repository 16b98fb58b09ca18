"""What to buy, tried, and how often that came true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plimsoll.line.words import Json, Lang, Quiet, app, examples


@app.command(
    epilog=examples(
        "plimsoll plan runs/latest --demand 20",
        "plimsoll plan runs/latest --demand 20 --growth 10%/month --horizon 12m",
    )
)
def plan(
    run_dirs: Annotated[list[Path], typer.Argument(help="run directories of one contract on one host")],
    demand: Annotated[
        float | None, typer.Option(help="peak requests per second to plan for; with a locustfile, journeys")
    ] = None,
    users: Annotated[int | None, typer.Option(help="or concurrent users")] = None,
    growth: Annotated[str | None, typer.Option(help="e.g. 10%/month")] = None,
    horizon: Annotated[
        str | None, typer.Option(help="how far to plan: 12m (the default with --growth), 90d, 1y")
    ] = None,
    peak_to_mean: Annotated[
        float, typer.Option("--peak-to-mean", help="peak demand over the month's average, for money per request")
    ] = 1.0,
    lead_time: Annotated[float, typer.Option("--lead-time", help="days from an order to its use")] = 0.0,
    prices: Annotated[
        Path | None, typer.Option(help="prices file (TOML); absent: the examples that come along")
    ] = None,
    machine: Annotated[
        Path | None, typer.Option(help="plan for another machine: what plimsoll doctor --calibrate --json said there")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for plan.json, report and deployment files as well")
    ] = None,
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """From measurements to what to buy, as intervals, with deployment files; or a refusal with the missing measurement."""
    from plimsoll.commands import plan as command
    from plimsoll.planning import Wish

    wish = Wish(demand, users, growth, horizon, peak_to_mean, lead_time, prices, machine)
    command.plan(run_dirs, wish, out, lang, json)


@app.command(epilog=examples("plimsoll verify runs/latest", "plimsoll verify review --budget 400"))
def verify(
    plan_dir: Annotated[Path, typer.Argument(help="a folder with plan.json: a run directory, or plan's --out")],
    budget: Annotated[float, typer.Option(help="seconds of load for all trials together")] = 240.0,
    seed: Annotated[int, typer.Option(help="order of the trials' loads, and their arrivals")] = 1,
    only: Annotated[
        str | None, typer.Option(help="only predictions with this in their name, e.g. '2 replicas'")
    ] = None,
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Freeze a plan, apply what can be applied here, re-test it, and put predicted against measured on record."""
    from plimsoll.commands import verify as command

    command.verify(plan_dir, budget, seed, only, lang, json, quiet)


@app.command(epilog=examples("plimsoll ledger", "plimsoll ledger observe review targets/data/kakao_access.log.gz"))
def ledger(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[observe PLAN_DIR LOG…]", help="absent: show the record")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="folder that run directories and ledger.jsonl lie in")] = Path(
        "runs"
    ),
    window: Annotated[float, typer.Option(help="with observe: seconds that production is judged over")] = 300.0,
    replicas: Annotated[
        int | None, typer.Option(help="with observe: how many production runs; absent: as many as were measured")
    ] = None,
    json: Json = False,
) -> None:
    """How often past predictions held, here and in production; or judge one by what production did since."""
    from plimsoll.commands import ledger as command

    command.ledger(words or [], runs, window, replicas, json)
