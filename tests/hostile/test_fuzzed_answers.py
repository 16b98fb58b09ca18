"""Any bytes as an answer, cut anywhere: one result per request, never an error that escapes; in a process of its own, for
the transport lives on gevent's loop."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "fuzz_transport.py"


def fuzzed(examples: int) -> str:
    done = subprocess.run(
        [sys.executable, str(CHILD), str(examples)], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout


def test_any_answer_ends_as_one_result() -> None:
    assert "80 answers" in fuzzed(80)


@pytest.mark.prove
def test_very_many_answers_end_as_one_result_each() -> None:
    assert "3000 answers" in fuzzed(3_000)
