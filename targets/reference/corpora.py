"""Corpora that are built once per machine and read by every instance: `$XDG_CACHE_HOME/plimsoll/<name>`."""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def cache_root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plimsoll"


def build_once(name: str, build: Callable[[Path], None], *, rebuild: bool = False) -> Path:
    """The directory `name` of the cache, made by `build(directory)` if it is not there yet.

    Atomic: built beside, then renamed. A second process waits for the first instead of building it again.
    """
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    target = root / name
    if target.exists() and not rebuild:
        return target
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists() and not rebuild:
            return target
        begin_s = time.perf_counter()
        print(f"building {name} (kept in {target}) …", file=sys.stderr, flush=True)
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root))
        try:
            build(fresh)
            if target.exists():
                target.rename(root / f"{fresh.name}.old")
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(root / f"{fresh.name}.old", ignore_errors=True)
        print(f"built {name} in {time.perf_counter() - begin_s:.1f} s", file=sys.stderr, flush=True)
    return target
