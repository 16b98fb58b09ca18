"""`plimsoll`: where it starts. The commands' words are in `plimsoll.line`, their work in `plimsoll.commands`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

from measurements.errors import Exit, PlimsollError, UsageError
from measurements.plain import PlainStream
from plimsoll.line import app


def main(arguments: list[str] | None = None) -> Any:
    """The console script: every mistake of a user is one sentence on standard error and an exit code; with --json it is
    also the document on standard output."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as closed,  # what a shell's >&- leaves is no stream at all
        redirect_stdout(PlainStream(sys.stdout or closed)),
        redirect_stderr(PlainStream(sys.stderr or closed)),
    ):
        return _told(arguments)


def _told(arguments: list[str] | None) -> Any:
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        _stands_somewhere()
        code = app(args=arguments, prog_name="plimsoll", standalone_mode=False)
    except PlimsollError as error:
        raise _failed(str(error), error.exit_code, as_json) from None
    except typer.TyperException as error:  # words that the command line does not know: it shows the usage beside them
        error.show()  # type: ignore[attr-defined]
        raise _failed(error.format_message(), Exit.USAGE, as_json, shown=True) from None
    except (KeyboardInterrupt, typer.Abort):
        raise _failed("interrupted", Exit.INTERRUPTED, as_json) from None
    except Exception as error:
        from plimsoll import defects

        if defects.wants_traceback():
            raise
        raise _failed(*defects.sentence(error), as_json) from None
    if code == Exit.INTERRUPTED:  # typer's own account of Ctrl-C
        raise _failed("interrupted", Exit.INTERRUPTED, as_json)
    if isinstance(code, int) and code:
        raise SystemExit(code)


def _stands_somewhere() -> None:
    try:
        Path.cwd()
    except OSError:
        raise UsageError("the current folder is gone; go to one that is there: cd") from None


def _failed(sentence: str, code: Exit, as_json: bool, shown: bool = False) -> SystemExit:
    with suppress(OSError):  # nothing more can be said to an output that takes nothing
        if not shown:
            print(f"plimsoll: {sentence}", file=sys.stderr)
        if as_json:
            print(json.dumps({"error": sentence, "exit_code": int(code)}, ensure_ascii=False))
    return SystemExit(int(code))


if __name__ == "__main__":
    main()
