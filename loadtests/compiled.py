"""Whether the hot path runs compiled (setup.py) or from its sources. Both are one text; what differs is CPU per request."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES_ONLY = "PLIMSOLL_SOURCES"
MAKE_IT = "with a C compiler and Python's headers (Debian: gcc python3-dev), make -B setup compiles it"


def why_not() -> str:
    """Why the sources run, as a sentence's end; empty where the compiled form does. All of it or nothing: compiled modules
    know each other's types."""
    if os.environ.get(SOURCES_ONLY):
        return f"{SOURCES_ONLY} is set"
    hot = sorted(path.stem for path in FOLDER.glob("*.pxd"))
    built = {name: FOLDER / f"{name}{EXTENSION_SUFFIXES[0]}" for name in hot}
    if not all(path.is_file() for path in built.values()):
        return "it is not compiled here"
    if (FOLDER.parent / "setup.py").is_file():  # a working tree, whose sources somebody changes
        changed = [name for name, path in built.items() if _newest_s(name) > path.stat().st_mtime]
        if changed:
            return f"{changed[0]} has changed since it was compiled"
    return ""


def _newest_s(name: str) -> float:
    return max((FOLDER / f"{name}{kind}").stat().st_mtime for kind in (".py", ".pxd"))


def choose() -> None:
    """Called before any module of this package is imported: imports from this folder take the sources where `why_not`."""
    if why_not():
        folder = str(FOLDER)
        sys.path_importer_cache[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
