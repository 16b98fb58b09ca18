"""The services to be tested: a contract for one's own, the embedded ones, what an access log says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plimsoll.line.words import Json, Quiet, app, examples


@app.command(
    epilog=examples("plimsoll init http://127.0.0.1:8000", "plimsoll init localhost:8080 -o orders.toml --force")
)
def init(
    url: Annotated[str, typer.Argument(help="where the service listens", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="contract file to write")] = Path("plimsoll.toml"),
    force: Annotated[bool, typer.Option("--force", help="write over a file that is there")] = False,
    json: Json = False,
) -> None:
    """Write a contract from a running service's /openapi.json; enables only what cannot do harm."""
    from plimsoll.commands import init as command

    command.init(url, output, force, json)


@app.command(epilog=examples("plimsoll check targets/kakao.toml", "plimsoll check targets/encar.toml --rate 50"))
def check(
    contract: Annotated[Path, typer.Argument(help="contract file (TOML)")],
    rate: Annotated[
        float | None, typer.Option(help="requests per second that you mean to send: how many clients the limits need")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="seconds that you mean to run; absent: what run takes")] = None,
    json: Json = False,
) -> None:
    """Preflight: the contract, one request per endpoint, limits, this machine, how long a run takes and what it costs."""
    from plimsoll.commands import check as command

    command.check(contract, as_json=json, rate_rps=rate, duration_s=duration)


@app.command(
    epilog=examples(
        "plimsoll serve kakao --port 8000 --upstream http://127.0.0.1:9000",
        "plimsoll serve llm --port 9000 --config llama-8b-h100",
    )
)
def serve(
    name: Annotated[str, typer.Argument(help="kakao, alaw, encar, saju or llm")],
    port: Annotated[int, typer.Option(help="0: a free one")] = 0,
    workers: Annotated[int, typer.Option(help="processes")] = 1,
    upstream: Annotated[str | None, typer.Option(help="URL of the LLM that it calls")] = None,
    front: Annotated[str | None, typer.Option(help="nginx: put the team's proxy in front")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, may be repeated; --list shows which there are")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="show what --set can change, and the traps built in")] = False,
    config: Annotated[str | None, typer.Option(help="llm: a shape by its name, or a file of parameters")] = None,
    record: Annotated[
        str | None, typer.Option(metavar="URL", help="llm: stand before a provider and record it")
    ] = None,
    record_to: Annotated[Path | None, typer.Option(help="llm: where to; default llm-recording.jsonl")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="llm: USD per 1,000 tokens of the provider")
    ] = None,
    max_usd: Annotated[float | None, typer.Option(help="llm: the most that recording may cost")] = None,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="llm: serve a recording with its timings")] = None,
    emulate_unrecorded: Annotated[
        bool, typer.Option("--emulate-unrecorded", help="llm: emulate what the recording does not have")
    ] = False,
    fit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="llm: write the parameters behind a recording")
    ] = None,
    fit_to: Annotated[Path | None, typer.Option(help="llm: where to; default FILE with .toml")] = None,
    engine: Annotated[str | None, typer.Option(help="llm: emulator, or transformers for a real one")] = None,
    setup: Annotated[bool, typer.Option("--setup", help="llm: make the real engine's environment first")] = False,
    json: Annotated[bool, typer.Option("--json", help="with --list: as a document on standard output")] = False,
) -> None:
    """Start an embedded reference service, until Ctrl-C."""
    from plimsoll.commands import serve as command

    words = {
        k: v for k, v in locals().items() if k not in ("command", "name", "port", "workers", "option", "list_", "json")
    }
    if list_ or json:
        command.show(name, list_, json)
    else:
        command.serve(name, port, workers, words, option or [])


@app.command(
    epilog=examples(
        "plimsoll workload targets/data/kakao_access.log.gz -o workload.toml",
        "plimsoll workload targets/data/kakao_access.log.gz --json",
    )
)
def workload(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG…", help="access logs or public LLM traces, plain or .gz")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="contract mix to write (.toml), arrivals and daily shape beside it"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read access logs: requests, errors and response times by hour and endpoint; a contract mix and arrivals."""
    from plimsoll.commands import workload as command

    command.workload(logs, output, json, quiet)
