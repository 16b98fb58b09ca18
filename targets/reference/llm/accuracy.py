"""How near the emulator comes to an engine that nobody wrote for it: record a real one, fit, serve the fit, compare.

The engine has a core of its own, recorder and clients another. What others took of either core meanwhile is read from
the kernel; a level in which that was more than a twentieth of the time is repeated, then marked.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from targets.reference.llm import transformers_engine
from targets.reference.llm.fit import Fitted, fit_recording
from targets.reference.llm.probe import Level, closed_loop
from targets.reference.llm.recording import Recording, read
from targets.reference.llm.server import refuse

LEVELS = (1, 2, 4, 8, 12, 16, 24, 32)
TOKENS = 64
TRIES = 3
QUIET_S = 20
MAX_STOLEN_SHARE = 0.05
_MARKS = ("<!-- prove-llm -->", "<!-- /prove-llm -->")
_LISTENING = re.compile(r"listening on (http://\S+)")


@dataclass(frozen=True)
class Row:
    """One number of streams: what the engine gave, what the emulator gave."""

    engine: Level
    emulator: Level
    stolen_share: float  # of the time, how long processes that are not part of this took one of the two cores

    @property
    def disturbed(self) -> bool:
        return self.stolen_share > MAX_STOLEN_SHARE


@dataclass(frozen=True)
class Accuracy:
    """The comparison, and the parameters that the emulator ran with."""

    rows: list[Row]
    fitted: Fitted

    def table(self) -> str:
        """Truth against emulator as Markdown."""
        lines = [
            "| streams | TTFT ms engine / emulator | ITL ms engine / emulator | tokens/s engine / emulator | note |",
            "|---|---|---|---|---|",
        ]
        for row in self.rows:
            real, made = row.engine, row.emulator
            note = f"disturbed: others took {row.stolen_share:.0%} of a core" if row.disturbed else ""
            lines.append(
                f"| {real.streams} | {_pair(real.ttft_ms, made.ttft_ms)} | {_pair(real.itl_ms, made.itl_ms)} "
                f"| {_pair(real.tokens_per_s, made.tokens_per_s)} | {note} |"
            )
        engine_knee, emulator_knee = self.knees()
        lines += ["", f"Most tokens/s: the engine at {engine_knee} streams, the emulator at {emulator_knee}."]
        return "\n".join(lines)

    def knees(self) -> tuple[int, int]:
        """Streams at which engine and emulator write the most tokens per second."""
        return (
            max(self.rows, key=lambda row: row.engine.tokens_per_s).engine.streams,
            max(self.rows, key=lambda row: row.emulator.tokens_per_s).emulator.streams,
        )

    def worst(self) -> str:
        """The largest error of each figure, as a share of the engine's."""
        found = []
        for name, of in (("TTFT", "ttft_ms"), ("ITL", "itl_ms"), ("tokens/s", "tokens_per_s")):
            row = max(self.rows, key=lambda row: abs(getattr(row.emulator, of) / getattr(row.engine, of) - 1))
            error = getattr(row.emulator, of) / getattr(row.engine, of) - 1
            found.append(f"{name} {error:+.0%} at {row.engine.streams} streams")
        return f"Largest errors: {', '.join(found)}."

    def section(self, machine: str) -> str:
        """What stands between the marks in docs/accuracy.md."""
        disturbed = sum(row.disturbed for row in self.rows)
        quiet = f" {disturbed} of {len(self.rows)} levels were disturbed by other work." if disturbed else ""
        return (
            f"One run. Engine: Hugging Face `transformers serve --continuous-batching` on one core "
            f"({', '.join(transformers_engine.REQUIREMENTS)}), a Llama of 7 million random parameters. Load: closed "
            f"loop, {TOKENS} tokens out on average, prompts of three lengths, recorder and clients on another core. "
            f"Machine: {machine}.{quiet}\n\n"
            f"{self.table()}\n\n{self.worst()}\n\nThe fitted parameters:\n\n```\n{self.fitted.summary()}\n```\n"
        )

    def publish(self, doc: Path, machine: str) -> None:
        """Replace what stands between the marks of `doc`."""
        head, _, rest = doc.read_text(encoding="utf-8").partition(_MARKS[0])
        _, _, tail = rest.partition(_MARKS[1])
        doc.write_text(f"{head}{_MARKS[0]}\n{self.section(machine)}{_MARKS[1]}{tail}", encoding="utf-8")


def prove(doc: Path | None = None) -> Accuracy:
    """Run it all (two to four minutes), print the table, publish it in `doc` if given. SystemExit(2) without the engine."""
    if not transformers_engine.is_ready():
        raise refuse(f"llm: the real engine is not set up; set it up once with: {transformers_engine.SETUP}", 2)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise refuse("llm: engine and clients need a core each; this machine gives one, so nothing was measured.", 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.sched_setaffinity(0, {cores[-1]})
        try:
            truth, fitted = _engine(folder, (cores[0], cores[-1]))
            (folder / "fitted.toml").write_text(fitted.toml("the engine's recording"), encoding="utf-8")
            emulated = _emulator(folder, (cores[0], cores[-1]))
        finally:
            os.sched_setaffinity(0, cores)
    rows = [Row(level, emulated[level.streams][0], max(share, emulated[level.streams][1])) for level, share in truth]
    accuracy = Accuracy(rows, fitted)
    print(accuracy.section(_machine(len(cores))))
    if doc:
        accuracy.publish(doc, _machine(len(cores)))
    return accuracy


def _engine(folder: Path, cores: tuple[int, int]) -> tuple[list[tuple[Level, float]], Fitted]:
    """Each level through a recorder, and the fit of what the least disturbed try of each recorded."""
    levels, kept = [], []
    with transformers_engine.running(cores={cores[0]}) as (address, _):
        model = str(transformers_engine.model())
        closed_loop(address, 4, 2, _prompts(), TOKENS, model)  # the first requests allocate
        for streams in LEVELS:
            level, share, out = _least_disturbed(folder, "engine", address, streams, model, set(cores))
            levels.append((level, share))
            kept.append(read(out))
    end_ns = 0
    for recording in kept:  # one after another, a second apart
        for exchange in recording.exchanges:
            exchange.received_ns += end_ns
        end_ns = max(exchange.received_ns + exchange.done_ns for exchange in recording.exchanges) + 10**9
    return levels, fit_recording(Recording("", [exchange for recording in kept for exchange in recording.exchanges]))


def _emulator(folder: Path, cores: tuple[int, int]) -> dict[int, tuple[Level, float]]:
    with _serving("--config", str(folder / "fitted.toml"), core=cores[0]) as address:
        return {
            streams: _least_disturbed(folder, "emulator", address, streams, "any", set(cores))[:2] for streams in LEVELS
        }


def _least_disturbed(
    folder: Path, who: str, address: str, streams: int, model: str, cores: set[int]
) -> tuple[Level, float, Path]:
    """A level through a recorder, again if others were busy; the try that they disturbed least."""
    tries = []
    for attempt in range(TRIES):
        _await_quiet(cores)
        out = folder / f"{who}-{streams}-{attempt}.jsonl"
        with _serving("--record", address, "--record-to", str(out)) as proxy:
            before = _Usage.now(cores)
            level = closed_loop(proxy, streams, _requests(streams), _prompts(), TOKENS, model)
            share = _Usage.now(cores).stolen_share(before)
        tries.append((level, share, out))
        _say(who, level, share)
        if share <= MAX_STOLEN_SHARE:
            break
    return min(tries, key=lambda tried: tried[1])


@contextmanager
def _serving(*options: str, core: int | None = None) -> Iterator[str]:
    """Our own server in a process of its own, on a core of its own if one is named."""
    process = subprocess.Popen(
        [sys.executable, "-m", "targets.reference.llm", "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        line = process.stderr.readline()
        found = _LISTENING.search(line)
        if not found:
            raise refuse(line.strip(), 1)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


def _prompts() -> list[str]:
    """Of three lengths, from the corpus that the engine's tokenizer was trained on."""
    lines = (transformers_engine.CORPUS / "kakao_requests.jsonl").read_text(encoding="utf-8").splitlines()[:12]
    texts = [json.loads(line)["user_request"] for line in lines]
    return [" ".join(texts[:count]) for count in (1, 4, 12)]


def _requests(streams: int) -> int:
    """Requests of each client: more where there are few."""
    return max(3, 24 // streams)


@dataclass(frozen=True)
class _Usage:
    """Seconds that cores were busy, and seconds of it that were ours."""

    at_s: float
    busy_s: dict[int, float]
    ours_s: float

    @classmethod
    def now(cls, cores: set[int]) -> Self:
        per_core = psutil.cpu_times(percpu=True)
        busy_s = {core: per_core[core].user + per_core[core].nice + per_core[core].system for core in cores}
        mine = psutil.Process()
        ours_s = 0.0
        for process in (mine, *mine.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                ours_s += times.user + times.system
        return cls(time.monotonic(), busy_s, ours_s)

    def stolen_share(self, since: Self) -> float:
        """What others took since then, as a share of one core; children that ended meanwhile count as others."""
        busy_s = sum(self.busy_s.values()) - sum(since.busy_s.values())
        return max(0.0, (busy_s - (self.ours_s - since.ours_s)) / (self.at_s - since.at_s))


def _await_quiet(cores: set[int]) -> None:
    """Wait until others leave the cores alone for a second, at most QUIET_S."""
    until = time.monotonic() + QUIET_S
    while time.monotonic() < until:
        before = _Usage.now(cores)
        time.sleep(1)
        if _Usage.now(cores).stolen_share(before) <= MAX_STOLEN_SHARE:
            return


def _say(who: str, level: Level, stolen_share: float) -> None:
    print(
        f"{who}: {level.streams} streams, TTFT {level.ttft_ms:.1f} ms, ITL {level.itl_ms:.2f} ms, "
        f"{level.tokens_per_s:.0f} tokens/s; others took {stolen_share:.1%} of a core",
        file=sys.stderr,
        flush=True,
    )


def _pair(real: float, made: float) -> str:
    return (
        f"{real:.3g} / {made:.3g} ({made / real - 1:+.0%})"
        if real < 1000
        else f"{real:.0f} / {made:.0f} ({made / real - 1:+.0%})"
    )


def _machine(cores: int) -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {cores} cores"


if __name__ == "__main__":
    transformers_engine.set_up()
    prove(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
