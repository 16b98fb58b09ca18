"""Prints what one row costs from the hot path to the journal on disk, in microseconds of CPU: the best of five rounds.

python -P -m benchmarks.engine.journal_cost FOLDER, on the core that it is given.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from loadtests.evidence import Evidence, Redactor
from loadtests.recorder import Recorder
from measurements.rundir import RunDirectory
from measurements.sample import NULL

ROWS, ROUNDS = 200_000, 5


def round_us(folder: Path) -> float:
    run = RunDirectory.create(folder, "cost")
    recorder = Recorder(
        run, 0, 0, ["steady"], Evidence(run.path / "errors.jsonl", run.path / "examples.jsonl", Redactor())
    )
    recorder.endpoint("ask")
    row = recorder.row
    begun_s = time.process_time()
    for k in range(ROWS):
        row(k, 0, 0, 0, 1, 0, k, k, NULL, k, NULL, k, 200, 0, NULL, 190, 250, NULL, NULL, 0, 1)
    recorder.close()
    return (time.process_time() - begun_s) / ROWS * 1e6


if __name__ == "__main__":
    print(min(round_us(Path(sys.argv[1])) for _ in range(ROUNDS)))
