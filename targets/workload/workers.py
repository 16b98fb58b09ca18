"""Processes that parse blocks beside the one that reads. They end with it, however it ends."""

from __future__ import annotations

import gc
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

WORTH_PROCESSES_BYTES = 24 << 20  # below that, starting processes takes longer than parsing
GZIP_RATIO = 8
MOST_PROCESSES = 4  # of about 100 MB each


def suggested(paths: list[Path]) -> int:
    """How many processes these files are worth on this machine."""
    size = sum(path.stat().st_size * (GZIP_RATIO if path.suffix == ".gz" else 1) for path in paths if path.is_file())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES) if size > WORTH_PROCESSES_BYTES else 1


def pool(processes: int) -> ProcessPoolExecutor | None:
    """None for one process: the reader parses itself. Started afresh, not forked: the caller may have threads."""
    return ProcessPoolExecutor(processes, get_context("spawn"), _prepare) if processes > 1 else None


def _prepare() -> None:
    gc.disable()  # parsing makes millions of tuples and no cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the reader decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
