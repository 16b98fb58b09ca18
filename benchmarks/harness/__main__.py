"""`make bench`: times every bench, then takes the memory of each in a pass of its own; prints, saves, compares.

    python -P -m benchmarks.harness [--only WORDS] [--save NAME] [--against NAME]

Everything is kept in .benchmarks/NAME: results.json (with every round), pytest-benchmark's own JSON, memray's captures.
Exit code 0; 1 where a row takes longer or more memory than in the saved set, or cannot be compared; 2 where a bench failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import comparison, results, table
from measurements.errors import PlimsollError

HERE = Path(__file__).parent
STORE = Path(".benchmarks")
TIMED = ["--benchmark-max-time=0.5", "--benchmark-min-rounds=5", "--benchmark-quiet", "--benchmark-warmup=on",
         "--benchmark-warmup-iterations=3"]  # fmt: skip
SERVED = (
    "not (kakao or alaw or llm)"  # the client's memory says nothing about the service's: that is plimsoll profile's
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="what single requests and hot pieces cost")
    parser.add_argument("--only", default="", help="words of pytest's -k, such as: bm25 or quantiles")
    parser.add_argument("--save", default="latest", help="name that the set is kept under in .benchmarks")
    parser.add_argument("--against", default="", help="name of a saved set to compare with")
    arguments = parser.parse_args()
    saved = None
    if arguments.against:
        path = STORE / arguments.against / "results.json"
        try:
            saved = results.load(path)
        except (OSError, PlimsollError) as error:
            print(f"there is nothing to compare with ({error}); make it with: make bench SAVE={arguments.against}",
                  file=sys.stderr)  # fmt: skip
            return 1
    if arguments.save == arguments.against:
        parser.error("--save and --against name the same set; comparing would replace it")
    kept = STORE / arguments.save
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.resolve()) as fresh:
        timings, memory = Path(fresh) / "pytest-benchmark.json", Path(fresh) / "memory"
        memory.mkdir()
        if _pytest([*TIMED, f"--benchmark-json={timings}"], arguments.only):
            return 2
        words = f"({arguments.only}) and {SERVED}" if arguments.only else SERVED
        if _pytest(["--benchmark-disable", "--memray", f"--memray-bin-path={memory}", "--hide-memray-summary"], words):
            return 2
        found = results.read(timings, memory)
        timings.replace(kept / timings.name)
        for old in kept.glob("*.bin"):
            old.unlink()
        for capture in memory.glob("*.bin"):
            capture.replace(kept / capture.name)
    found.save(kept / "results.json")
    parts = [
        ["times in ms", *table.rows(found.rows)],
        table.tokens(found.rows),
        table.growth(results.growth(found.rows)),
    ]
    print("\n" + "\n\n".join("\n".join(part) for part in [*parts, [f"kept in {kept}"]] if part))
    if saved is None:
        return 0
    whole, saved = len(saved.rows), comparison.chosen(saved, found, arguments.only)
    compared = comparison.compare(found, saved)
    against = comparison.objections(found, saved, compared)
    print("\n".join(["", *table.compared(compared), ""]))
    if len(saved.rows) < whole:
        print(f"left out: {whole - len(saved.rows)} rows of the saved set that '{arguments.only}' does not choose")
    print(
        "\n".join(f"NOT PASSED: {sentence}" for sentence in against)
        or "nothing takes longer or more memory than in the saved set"
    )
    return 1 if against else 0


def _pytest(options: list[str], words: str) -> int:
    """One pass over the bench files; their failures are pytest's to tell. 5 (nothing chosen) is none of the memory's."""
    command = [sys.executable, "-P", "-m", "pytest", str(HERE), "-q", "-p", "no:cacheprovider", "-o",
               "python_files=bench_*.py", "-o", "python_functions=bench_*", "-o", "addopts=--strict-markers -ra"]  # fmt: skip
    chosen = [*command, *options, *(["-k", words] if words else [])]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MEMRAY_", "PYTEST_"))}
    code = subprocess.run(chosen, cwd=HERE.parents[1], env=env, check=False).returncode  # captures are named from there
    return 0 if code == 5 and "--memray" in options else code


if __name__ == "__main__":
    sys.exit(main())
