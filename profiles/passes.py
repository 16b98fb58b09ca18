"""The passes of `plimsoll profile`, each apart, so that no profiler touches the figures of another.

    plain    nothing attached: response times, CPU per request, memory over requests, hold and drain
    repeat   only where memory grew: the same requests again, which a leak minds and a cache does not
    frames   ten snapshots of every thread while loaded
    cpu      py-spy while loaded
    memory   memray while loaded, in an instance of its own where we start the service

What each profiler cost is its pass against the plain one. A pass that cannot run says why, and the others still do.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measurements.errors import PlimsollError, UsageError
from profiles import allocations, cpu, frames, growth, ports, processes, stacks
from profiles.measured import Pass, Service, grown, memory_over_time, observed
from profiles.memory import Agents, attached, tracing_environment
from profiles.rights import no_python
from profiles.service import running, wait_until_calm
from profiles.traffic import ContractLoad, Done, Load
from targets.contract import Contract

HOLD_S = 3.0  # uvicorn closes an idle connection after 5 s
DRAIN_S = 3.0
FRAMES_S = 5.0
Say = Callable[[str], None]


def profile(
    contract: Contract,
    run: Path,
    *,
    rate_rps: float,
    duration_s: float,
    pid: int | None = None,
    command: str | None = None,
    want_cpu: bool = True,
    want_memory: bool = True,
    endpoint: str | None = None,
    load: Load | None = None,
    begin: Callable[[], object] = lambda: None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Runs the passes and returns the document for profiles.json; graphs and captures go to `run`/profiles.

    Without `pid` and `command` the service is found by the port of its base_url. `endpoint`: load only that one
    (absent: the contract's mix). `load`: another load than the simple one. `begin` is called when the service stands,
    before the first request. UsageError and TargetUnreachable are
    sentences; what a profiler may not do becomes `why_not` and `notes` in its part of the document. KeyboardInterrupt
    ends what was started and returns what there is, with `interrupted`.
    """
    if endpoint is not None and endpoint not in {e.name for e in contract.endpoint}:
        names = ", ".join(e.name for e in contract.endpoint)
        raise UsageError(f"the contract has no endpoint {endpoint!r}; it has {names}")
    folder = run / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(contract, folder, load or ContractLoad(contract, endpoint), rate_rps, duration_s, say)
    document: dict[str, Any] = {"schema": 1, "rate_rps": rate_rps, "duration_s": duration_s, "endpoint": endpoint}
    document |= {"passes": [], "interrupted": False}
    try:
        with bench.service(command, pid, tracing_environment(folder)) as service:
            begin()
            plain = bench.plain(service, document)
            if want_cpu:
                _tried(document, "frames", lambda: bench.frames(service, document, plain))
                _tried(document, "cpu", lambda: bench.cpu(service, document, plain))
            if want_memory and command is None:
                _tried(document, "memory", lambda: bench.memory_attached(service, document, plain))
        if want_memory and command is not None:
            _tried(document, "memory", lambda: bench.memory_from_start(command, document, plain))
    except KeyboardInterrupt:
        document["interrupted"] = True
    return document


def _tried(document: dict[str, Any], part: str, work: Callable[[], None]) -> None:
    """What stops one pass takes nothing from the others."""
    try:
        work()
    except PlimsollError as error:
        document[part] = {"why_not": str(error), "notes": []}


class _Bench:
    """The passes over one contract and load; each adds its part to the document."""

    def __init__(
        self, contract: Contract, folder: Path, load: Load, rate_rps: float, duration_s: float, say: Say
    ) -> None:
        self.contract, self.folder, self.load, self.say = contract, folder, load, say
        self.rate_rps, self.duration_s = rate_rps, duration_s
        self._short_s = min(5.0, max(1.0, duration_s / 5))

    @contextlib.contextmanager
    def service(self, command: str | None, pid: int | None, environment: dict[str, str]) -> Iterator[Service]:
        url = self.contract.target.base_urls[0]
        if command is not None:
            with running(command, self.contract, self.folder / "service.log", environment) as root:
                yield Service([root], ports.dependencies(root, url))
            return
        if pid is not None:
            if not processes.tree([pid]):
                raise UsageError(
                    f"there is no process {pid}; look it up again, or let plimsoll start the service with --command"
                )
            yield Service([pid], ports.dependencies(pid, url))
            return
        found = ports.of_service(self.contract.target.observe, url)
        if found.why_not:
            raise UsageError(found.why_not)
        if found.note:
            self.say(found.note)
        yield Service(list(found.roots), [pid for root in found.roots for pid in ports.dependencies(root, url)])

    def plain(self, service: Service, document: dict[str, Any]) -> Pass:
        self.say(f"warm-up: {self._short_s:g} s at {self.rate_rps:g} requests/s")
        self._warm_up(service)
        self.say(f"plain pass: {self.duration_s:g} s at {self.rate_rps:g} requests/s, no profiler attached")
        plain = observed("plain", service, lambda: self._loaded(HOLD_S), self.folder, DRAIN_S)
        document["passes"].append(plain.as_json(None))
        document |= memory_over_time(plain)
        document["growth"] = grown(plain, self.contract.resources.memory_mib)
        if document["growth"]["verdict"] == "leak":
            self.say("memory grew: the same requests once more, to tell a leak from a cache that fills")
            again = observed("repeat", service, lambda: self._loaded(again=True), self.folder)
            document["passes"].append(again.as_json(None))
            repeated = grown(again, self.contract.resources.memory_mib)
            document["growth"] = growth.told_from_cache(document["growth"], repeated)
        if plain.done.sent < 0.95 * self.rate_rps * self.duration_s:
            self.say(
                f"the service took {plain.done.sent / plain.seconds:.3g} requests/s of the {self.rate_rps:g} asked for"
            )
        if plain.done.sent and plain.done.ok < plain.done.sent / 2:
            problem = plain.done.problems.most_common(1)[0][0]
            self.say(f"only {plain.done.ok} of {plain.done.sent} requests were answered as expected ({problem})")
        return plain

    def frames(self, service: Service, document: dict[str, Any], plain: Pass) -> None:
        spread_s = min(self.duration_s, FRAMES_S)
        self.say(f"blocked frames: {frames.SNAPSHOTS} snapshots over {spread_s:g} s")
        found: dict[str, Any] = {}

        def snapshots() -> None:
            found.update(frames.capture(service.roots, spread_s, skip=service.aside))

        look = threading.Thread(target=snapshots)

        def work() -> Done:
            look.start()
            done = self.load(self.rate_rps, spread_s)
            look.join()
            return done

        looked = observed("frames", service, work, self.folder)
        document["passes"].append(looked.as_json(plain))
        document["frames"] = found

    def cpu(self, service: Service, document: dict[str, Any], plain: Pass) -> None:
        self.say(f"CPU pass: {self.duration_s:g} s under py-spy at {cpu.RATE_HZ} samples a second")
        recordings: list[cpu.Recording] = []

        def work() -> Done:
            done: list[Done] = []
            recordings.append(cpu.record(service.roots, self.folder, lambda: done.append(self._loaded())))
            return done[0]

        sampled = observed("cpu", service, work, self.folder)
        (recording,) = recordings
        document["passes"].append(sampled.as_json(plain))
        capture = recording.capture.without(processes.tree(service.aside))
        each_ms = plain.cpu_ms_per_request
        table = stacks.functions(capture)
        for row in table:
            row["cpu_ms_per_request"] = None if each_ms is None else row["self_share"] * each_ms
        packages = stacks.packages(capture)
        title = f"{self.contract.target.name}: CPU at {self.rate_rps:g} requests/s"
        (self.folder / "cpu.svg").write_text(cpu.flame_graph(capture, title), encoding="utf-8")
        stacks.write_speedscope(capture, self.folder / "cpu.speedscope.json", title)
        document["cpu"] = {
            "why_not": recording.why_not,
            "notes": recording.notes,
            "native": recording.native,
            "seconds": recording.seconds,
            "sampled_s": recording.sampled_s,
            "cpu_s": capture.total_s,
            "profiler_cores": recording.profiler_cpu_s / recording.seconds if recording.seconds else None,
            "cpu_ms_per_request": each_ms,
            "processes": [{"pid": pid, "cpu_s": cpu_s} for pid, cpu_s in sorted(capture.by_process().items())],
            "functions": table,
            "packages": packages,
            "sentence": ", ".join(f"{row['share']:.0%} {row['package']}" for row in packages[:4]),
            "tree": cpu.tree(capture),
            "flame_graph": "profiles/cpu.svg",
            "speedscope": "profiles/cpu.speedscope.json",
        }

    def memory_from_start(self, command: str, document: dict[str, Any], plain: Pass) -> None:
        self.say(f"memory pass: a second instance under memray, {self.duration_s:g} s")
        agents = Agents(self.folder / "memory")
        with self.service(command, None, agents.environment()) as service:
            self._warm_up(service)
            agents.enter("load")
            loaded = observed("memory", service, self._loaded, self.folder)
            from_s = agents.enter("window")
            done = self.load(self.rate_rps, self._short_s)
            to_s = time.monotonic()
            agents.enter("end")
            notes = agents.notes(cpu.python_roots(service.roots))
            skip = processes.tree(service.aside)
        window = allocations.Window(from_s, to_s, sum(from_s <= moment_s <= to_s for moment_s in done.done_s))
        self._memory(document, (plain, loaded), notes, window, skip)

    def memory_attached(self, service: Service, document: dict[str, Any], plain: Pass) -> None:
        self.say(f"memory pass: memray attached for {self.duration_s:g} s; start-up is not seen (it is with --command)")
        where = self.folder / "memory"
        where.mkdir(exist_ok=True)
        pids = [pid for pid in service.pids() if cpu.is_python(pid)]
        files, notes = attached(pids, where, self.duration_s)
        if not files:
            document["memory"] = {"why_not": "; ".join(notes) or no_python(service.pids()), "notes": notes}
            return
        began_s = time.monotonic()
        short_s = max(1.0, self.duration_s - 1.0)
        loaded = observed("memory", service, lambda: self.load(self.rate_rps, short_s), self.folder)
        time.sleep(max(0.0, began_s + self.duration_s + 2.0 - time.monotonic()))
        notes.append("what a request allocates is told only of a service that plimsoll starts (--command)")
        self._memory(document, (plain, loaded), notes, None, [])

    def _memory(
        self, document: dict[str, Any], compared: tuple[Pass, Pass], notes: list[str],
        window: allocations.Window | None, skip: list[int],
    ) -> None:  # fmt: skip
        plain, loaded = compared
        document["passes"].append(loaded.as_json(plain))
        found = allocations.summarise(self.folder / "memory", loaded.done.sent, window, skip)
        page = allocations.flame_graph(found.pop("allocations"), f"{self.contract.target.name}: memory at its peak")
        (self.folder / "memory.html").write_text(page, encoding="utf-8")
        why_not = None if found["processes"] else "; ".join(notes) or "memray wrote nothing"
        document["memory"] = {"why_not": why_not, "notes": notes, "flame_graph": "profiles/memory.html", **found}

    def _warm_up(self, service: Service) -> None:
        self.load(self.rate_rps, self._short_s)
        wait_until_calm(service.roots)

    def _loaded(self, hold_s: float = 0.0, again: bool = False) -> Done:
        return self.load(self.rate_rps, self.duration_s, hold_s, again)
