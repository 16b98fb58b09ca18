"""One version beside another: two runs, a gate, the history of gates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plimsoll.line.words import Json, Lang, Out, Quiet, app, examples


@app.command(
    epilog=examples(
        "plimsoll gate targets/kakao.toml --endpoint search --baseline-start 'plimsoll serve kakao --port {port}' "
        "--candidate-start 'plimsoll serve kakao --port {port} --set planted_delay_ms=10'",
        "plimsoll gate accept runs/latest --reason 'a larger index, agreed on' --until 2027-06-30",
    )
)
def gate(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML); or the word accept")],
    run_dir: Annotated[Path | None, typer.Argument(help="after accept: the gate's run directory")] = None,
    baseline: Annotated[str | None, typer.Option(help="URL, run directory or git revision; absent: last tag")] = None,
    candidate: Annotated[str | None, typer.Option(help="the same; absent: the files as they are")] = None,
    baseline_ref: Annotated[str | None, typer.Option("--baseline-ref", help="git revision to start")] = None,
    candidate_ref: Annotated[str | None, typer.Option("--candidate-ref", help="git revision to start")] = None,
    baseline_start: Annotated[
        str | None, typer.Option("--baseline-start", help="command instead of the contract's")
    ] = None,
    candidate_start: Annotated[
        str | None, typer.Option("--candidate-start", help="{port}, {workers}, {state} are filled in")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="requests per second and version; absent: by a pilot")] = None,
    budget: Annotated[
        float, typer.Option(help="seconds of the first duet, without extension and confirmation")
    ] = 180.0,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint of the contract")] = None,
    alternate: Annotated[
        bool,
        typer.Option("--alternate", help="never both at once: slower and blunter, for what cannot run side by side"),
    ] = False,
    allocations: Annotated[
        bool, typer.Option("--allocations", help="also what memory a request allocates, by a pass of each under memray")
    ] = False,
    search: Annotated[
        float, typer.Option(help="load-seconds to search each version's highest rate within the SLO, afterwards")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(help="same seed, same requests")] = None,
    store: Annotated[Path | None, typer.Option(help="history file; absent: history.duckdb in --out")] = None,
    reason: Annotated[str | None, typer.Option(help="with accept: why the slowdown is intended")] = None,
    until: Annotated[str | None, typer.Option(help="with accept: date on which that ends")] = None,
    out: Out = Path("runs"),
    lang: Lang = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two versions in one paired run: PASS, WARN, FAIL, or why it cannot tell."""
    from plimsoll.commands import gate as command

    if str(contract) == "accept":
        command.accept(run_dir, reason, until, json)
        return
    words = {k: v for k, v in locals().items() if k not in ("command", "run_dir", "reason", "until")}
    if run_dir is not None or reason or until:
        from measurements.errors import UsageError

        raise UsageError("a run directory, --reason and --until belong to: plimsoll gate accept RUN_DIR")
    command.gate(command.Words(**words))


@app.command(
    epilog=examples("plimsoll compare runs/OLDER runs/latest", "plimsoll compare runs/OLDER runs/latest --json")
)
def compare(
    run_a: Annotated[Path, typer.Argument(help="the older run directory")],
    run_b: Annotated[Path, typer.Argument(help="the newer one")],
    lang: Lang = "en",
    json: Json = False,
) -> None:
    """Set two runs side by side: what differs, and which figures can be told apart. It never judges."""
    from plimsoll.commands import compare as command

    command.compare(run_a, run_b, lang, json)


@app.command(epilog=examples("plimsoll history", "plimsoll history --weekly --target kakao"))
def history(
    store: Annotated[Path, typer.Option(help="history file, as gates write it")] = Path("runs/history.duckdb"),
    target: Annotated[str | None, typer.Option(help="which service, where it holds several")] = None,
    kind: Annotated[str, typer.Option(help="gate or run")] = "gate",
    weekly: Annotated[bool, typer.Option("--weekly", help="this week as Markdown")] = False,
    add: Annotated[Path | None, typer.Option(help="put a run directory into it")] = None,
    pin: Annotated[str | None, typer.Option(help="entry that later ones are shown against: the release")] = None,
    export: Annotated[Path | None, typer.Option(help="write every figure as Parquet")] = None,
    unsure_streak: Annotated[
        bool, typer.Option("--unsure-streak", help="print how many of the newest gates running were unsure")
    ] = False,
    json: Json = False,
) -> None:
    """Show trends of past gates and runs, and where they changed."""
    from plimsoll.commands import history as command

    command.history(store, target, kind, weekly, add, pin, export, unsure_streak, json)
