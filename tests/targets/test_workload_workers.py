"""The processes that parse end with the one that reads, even when that one is killed."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

HOLD = """
import os, sys, time
from targets.workload.workers import pool
if __name__ == "__main__":
    print(pool(2).submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_killing_the_reader_leaves_no_process_behind(tmp_path):
    script = tmp_path / "hold.py"
    script.write_text(HOLD)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout is not None
        worker = psutil.Process(int(reader.stdout.readline()))
        reader.kill()
    deadline = time.monotonic() + 15
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlived its reader"
        time.sleep(0.05)
