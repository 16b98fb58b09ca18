"""`plimsoll`: where it starts. The commands' words are in `plimsoll.line`, their work in `plimsoll.commands`."""

from __future__ import annotations

import errno
import sys
from typing import Any

from measurements.errors import Exit, PlimsollError
from plimsoll.line import app


def main(arguments: list[str] | None = None) -> Any:
    """The console script: every mistake of a user is one sentence on standard error and an exit code."""
    try:
        return app(args=arguments, prog_name="plimsoll")
    except PlimsollError as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"plimsoll: no space left on the disk{where}; the rows written so far are kept: free some space, then finish "
            "the run with: plimsoll recover runs/latest (or the folder given with --out)",
            file=sys.stderr,
        )
        raise SystemExit(int(Exit.INVALID)) from None
    except KeyboardInterrupt:
        print("plimsoll: interrupted", file=sys.stderr)
        raise SystemExit(int(Exit.INTERRUPTED)) from None


if __name__ == "__main__":
    main()
