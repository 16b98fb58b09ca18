"""The last resort of the command line: what nothing else turned into a sentence becomes one here, never a traceback."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path

from measurements.errors import Exit

SHOW = "PLIMSOLL_TRACEBACK"
STORES = ("pyarrow", "duckdb", "_duckdb")
ROOT = Path(__file__).parents[1]


def sentence(error: Exception) -> tuple[str, Exit]:
    """(what is said, the exit code). A defect of ours ends with INVALID: no gate may take it for a finding or a success."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"no space left on the disk{where}; the rows written so far are kept: free some space, then finish the run "
            "with: plimsoll recover runs/latest (or the folder given with --out)",
            Exit.INVALID,
        )
    if isinstance(error, MemoryError):
        return (
            "out of memory; the rows written so far are kept: finish the run with: plimsoll recover runs/latest",
            Exit.INVALID,
        )
    said = str(error).splitlines()[0][:200] if str(error) else ""
    if type(error).__module__.split(".")[0] in STORES:
        return (
            f"a file could not be read: it is damaged or cut off ({said}); restore it from a copy, or run again",
            Exit.USAGE,
        )
    told = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return (
        f"something that Plimsoll does not expect ({told}, at {_place(error)}). If a file of a run was changed or damaged, "
        f"restore it; else it is a defect of ours: please report it with what {SHOW}=1 shows",
        Exit.INVALID,
    )


def _place(error: Exception) -> str:
    """The innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "an unknown place"


def wants_traceback() -> bool:
    return bool(os.environ.get(SHOW))
