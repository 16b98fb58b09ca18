"""Results written again or finished; this machine; other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plimsoll.line.words import Json, Lang, RunDir, app, examples


@app.command(epilog=examples("plimsoll report runs/latest --lang ko", "plimsoll report runs --as weekly"))
def report(
    run_dirs: Annotated[
        list[Path], typer.Argument(help="a run directory; for periods several, or a folder of them", show_default=False)
    ],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="review, markdown, junit, totals (out of core); daily, weekly, monthly, quarterly over several runs",
        ),
    ] = "review",
    baseline: Annotated[Path | None, typer.Option(help="pinned run that weekly to quarterly are held against")] = None,
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """Write report.html into a run directory, one file that needs no network; or a check over several runs."""
    from plimsoll.commands import report as command

    command.report(run_dirs, form, baseline, lang, json)


@app.command(epilog=examples("plimsoll recover runs/latest", "plimsoll recover runs/latest --json"))
def recover(
    run_dir: RunDir,
    without_place: Annotated[
        bool,
        typer.Option("--without-place", help="leave what hosts laid at a shared place (run --rows-to) where it is"),
    ] = False,
    json: Json = False,
) -> None:
    """Finish a run whose process was killed: what was measured becomes a run directory, marked INVALID."""
    from plimsoll.commands import recover as command

    command.recover(run_dir, without_place, json)


@app.command(epilog=examples("plimsoll doctor", "plimsoll doctor --json"))
def doctor(
    calibrate: Annotated[bool, typer.Option("--calibrate", help="time a fixed workload on this machine")] = False,
    json: Json = False,
) -> None:
    """What works on this machine, and what to do about the rest."""
    from plimsoll.commands import doctor as command

    command.doctor(calibrate, json)


@app.command(
    epilog=examples("plimsoll allow staging.example.com --max-rate 50", "plimsoll allow 203.0.113.7 --max-rate 5")
)
def allow(
    host: Annotated[str, typer.Argument(help="host name, without scheme")],
    max_rate: Annotated[float, typer.Option("--max-rate", help="requests per second")] = 10.0,
    json: Json = False,
) -> None:
    """Put on record that load may go to a host outside this machine and private networks."""
    from json import dumps

    from plimsoll.permission import allow as record

    entry = record(host, max_rate)
    if json:
        print(dumps(entry))
        return
    print(f"load up to {entry['max_rps']:g} rps may go to {entry['host']} (recorded for {entry['by']}, {entry['at']})")
