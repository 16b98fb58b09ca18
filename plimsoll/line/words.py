"""The application and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Load tests, performance gates and capacity plans for services that generate with LLMs and search.",
    epilog="A first step: plimsoll run targets/kakao.toml --start --shape breakpoint",
)

Contract = Annotated[Path | None, typer.Argument(help="contract file (TOML)", show_default=False)]
RunDir = Annotated[Path, typer.Argument(help="a run directory; the newest is runs/latest", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="folder that run directories are made in")]
Json = Annotated[bool, typer.Option("--json", help="print the result document to standard output, nothing else")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
Lang = Annotated[str, typer.Option("--lang", help="en or ko")]


def examples(*lines: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("plimsoll"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def alone(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    if context.invoked_subcommand is None:
        from plimsoll import first_steps

        print("\n".join(first_steps.lines(Path.cwd())))
