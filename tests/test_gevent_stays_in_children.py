"""gevent patches what it meets, so it lives in load processes alone; and a help text waits for no heavy import."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "gevent",
    "locust",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "duckdb",
    "matplotlib",
    "pydantic",
    "httpx",
    "fastapi",
}

LOADED = "; import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


RUN = """
import sys, tempfile
from pathlib import Path
sys.path[:0] = ["tests", "tests/loadtests"]
from real_runs import contract, run
from servers import Scripted, answer
with Scripted({"/": answer()}) as server:
    made = run(contract(server.url, [{"name": "e", "path": "/"}]), Path(tempfile.mkdtemp()), rate_rps=20.0, duration_s=0.3)
assert made.summary["all"]["ok"] > 0
from plimsoll.publish import publish
publish(made, "en", with_plan=False)
pass"""


def test_after_a_whole_run_and_its_report_the_parent_has_never_seen_gevent() -> None:
    assert not {"gevent", "locust", "geventhttpclient"} & modules_after(RUN)


FIRST_REQUEST = """
import sys, tempfile
from pathlib import Path
import plimsoll.commands.run
from plimsoll.measure import measure
from plimsoll.watcher import Watcher
from plimsoll.spec import Spec
sys.path[:0] = ["tests", "tests/loadtests"]
from real_runs import contract
from servers import Scripted, answer
class Look(Watcher):
    def begin(self, plan, run):
        global before
        before = set(sys.modules)
with Scripted({"/": answer()}) as server:
    described = contract(server.url, [{"name": "e", "path": "/"}])
    measure(Spec(contract=described, out=Path(tempfile.mkdtemp()), rate_rps=20.0, duration_s=0.3, seed=1), Look())
after = set(sys.modules)
assert {"pandas", "scipy"} <= after, "else this test could not fail"
assert not {"pandas", "scipy", "scipy.stats", "matplotlib", "duckdb"} & before, before & after
pass"""


def test_nothing_heavy_is_imported_before_the_first_request() -> None:
    modules_after(FIRST_REQUEST)


def test_importing_every_room_but_the_engines_own_files_brings_no_gevent() -> None:
    rooms = "import plimsoll.cli, plimsoll.measure, plimsoll.commands.run, measurements.validity, targets.control, capacity.plan"
    more = "profiles.observer, reports.render, loadtests.runner, loadtests.plan, loadtests.judge, loadtests.tokens"
    assert not {"gevent", "locust"} & modules_after(f"{rooms}, {more}")


def test_the_engine_does_have_gevent_so_that_these_tests_can_fail() -> None:
    assert {"gevent", "locust"} <= modules_after("import loadtests.worker")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["plan", "--help"]])
def test_a_help_text_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, plimsoll.cli\n"
        f"try: plimsoll.cli.main({words!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "pass"
    )
    typers_own = {"pydantic"} if len(words) > 1 else set()  # it reads a command's parameters with it
    assert not (HEAVY - typers_own) & modules_after(code)


def test_help_answers_within_a_third_of_a_second_on_an_idle_machine() -> None:
    """CPU time, not the clock: other work on the machine is not ours to fail for."""
    import resource

    best_s = 9.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "plimsoll.cli", "--help"], capture_output=True, cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best_s = min(best_s, cpu_s, time.monotonic() - began)
    assert best_s < 0.45
