"""Starts a service and what it needs as `[target.control]` says, on free ports, and stops it all again."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Formatter
from types import TracebackType

import httpx

from measurements.errors import ContractError, TargetUnreachable, UsageError
from targets import pinned
from targets.confinement import Confinement, confine
from targets.contract import Contract
from targets.process import STOP_PATIENCE_S, Process, describe_exit

UNSAFE = re.compile(r"[^\w.-]+")  # in a file's name
NOT_A_NAME = re.compile(r"\W+")

Say = Callable[[str], None]


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_ready(process: Process, url: str, path: str, timeout_s: float) -> None:
    """Until `path` answers 2xx. TargetUnreachable says whether it died, answers otherwise, or stays silent."""
    until = time.monotonic() + timeout_s
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        while True:
            if process.exit_code is not None:
                raise TargetUnreachable(
                    f"{process.name} {describe_exit(process.exit_code)} before it was ready; it said: "
                    f"{process.last_words() or 'nothing'} (all of it: {process.log})"
                )
            try:
                status = client.get(url + path).status_code
                if 200 <= status < 300:
                    return
                last = f"status {status}"
            except httpx.HTTPError as error:
                last = f"no answer ({pinned.in_words(error)})"
            if time.monotonic() > until:
                break
            time.sleep(0.05)
    raise TargetUnreachable(
        f"{process.name} was not ready within {timeout_s:g} s: {url}{path} gave {last}; see {process.log}, "
        "or raise ready_timeout_s in [target.control]"
    )


class Deployment:
    """A context: inside it the service runs. `base_urls` has one URL per replica; `roots` the pids by role."""

    def __init__(
        self, contract: Contract, logs: Path, *, replicas: int = 1, workers: int | None = None, cpus: Sequence[int] = (),
        say: Say = lambda _: None, folder: Path | None = None,
    ) -> None:  # fmt: skip
        """`folder`: where its commands run, and where its Python modules are looked for first; absent: the current one."""
        if contract.target.control is None:
            raise ContractError([f"{contract.target.name} has no [target.control]; say there how to start it"])
        self._contract, self._control = contract, contract.target.control
        self._logs, self._replicas, self._cpus, self._say = logs, replicas, list(cpus), say
        self._workers = workers or contract.resources.workers
        self._folder = folder
        self.base_urls: list[str] = []
        self.processes: dict[str, list[Process]] = {}
        self.urls: dict[str, str] = {}
        self._values: dict[int, dict[str, str]] = {}
        self._of: dict[str, Process] = {}
        self.confined: dict[int, Confinement] = {}

    @property
    def roots(self) -> dict[str, list[int]]:
        return {role: [process.pid for process in processes] for role, processes in self.processes.items()}

    @property
    def needs(self) -> dict[str, str]:
        """The base URL of each process that was started because the service needs it, by its name."""
        return {name.removesuffix("_url"): url for name, url in self.urls.items()}

    def __enter__(self) -> Deployment:
        try:
            for need in self._control.needs:
                self._say(f"starting {need.name}")
                url = self._start(need.name, need.name, need.start, need.ready, need.env, {})
                self.urls[f"{need.name}_url"] = url
            for _ in range(self._replicas):
                self._say(f"starting {self._contract.target.name}")
                self.add()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def add(self) -> str:
        """One more replica; its URL, once it is ready."""
        control = self._control
        url = self._start("target", self._contract.target.name, control.start, control.ready, control.env, self.urls)
        self.base_urls.append(url)
        self._of[url] = self.processes["target"][-1]
        return url

    def remove(self, url: str, *, at_once: bool = False) -> None:
        """Stops one replica as the contract says, or kills it; nobody counts it as dead from then on."""
        process = self._of.pop(url)
        self.base_urls.remove(url)
        self.processes["target"].remove(process)
        self._stop_one(process, at_once)

    def died(self) -> str | None:
        """A sentence when one of the processes is gone that nobody has stopped."""
        for processes in list(self.processes.values()):
            for process in list(processes):
                if process.exit_code is not None:
                    return f"{process.name} {describe_exit(process.exit_code)}; it said: {process.last_words() or 'nothing'}"
        return None

    def _start(self, role: str, name: str, start: str, ready: str, env: dict[str, str], urls: dict[str, str]) -> str:
        port = free_port()
        values = {"port": str(port), "workers": str(self._workers), **queue_values(self._contract), **urls}
        state = self._logs / f"{UNSAFE.sub('-', name)}-{port}.state"
        values["state"] = str(state.absolute())
        if "{state}" in start or any("{state}" in value for value in env.values()):
            state.mkdir(parents=True, exist_ok=True)
        if self._folder is not None:
            paths = [str(self._folder), env.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))]
            env = {**env, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        if role == "target" and self._control.stop:
            fill(self._control.stop, {**values, "pid": ""})
        process = Process(
            name, fill(start, values), {k: fill(v, values) for k, v in env.items()}, self._folder or Path.cwd(),
            self._logs / f"{UNSAFE.sub('-', name)}-{port}.log", self._cpus,
        )  # fmt: skip
        self.processes.setdefault(role, []).append(process)
        confined = self._confine(process) if role == "target" else None
        self._values[process.pid] = {**values, "pid": str(process.pid)}
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, url, ready, self._control.ready_timeout_s)
        if confined is not None:
            confined.begin()
        return url

    def _confine(self, process: Process) -> Confinement | None:
        """[resources] cpu and memory_mib, put on a replica where this system lets us; `confined` says what holds."""
        resources = self._contract.resources
        if resources.cpu is None and resources.memory_mib is None:
            return None
        confined = confine(resources.cpu, resources.memory_mib, len(self._cpus) or os.cpu_count() or 1)
        confined.take(process.pid)
        self.confined[process.pid] = confined
        return confined

    def _stop(self) -> None:
        for role, processes in reversed(list(self.processes.items())):
            for process in processes:
                if role == "target":
                    self._stop_one(process)
                else:
                    process.stop()
        for confined in self.confined.values():
            confined.remove()

    def _stop_one(self, process: Process, at_once: bool = False) -> None:
        if not at_once and self._control.stop and process.exit_code is None:
            self._ask_to_stop(process, fill(self._control.stop, self._values[process.pid]))
        process.stop(patience_s=0.0 if at_once else STOP_PATIENCE_S)

    def _ask_to_stop(self, process: Process, command: str) -> None:
        """The contract's stop command, and patience until it has helped; signals come after it."""
        try:
            asking = Process(f"{process.name} stop", command, {}, Path.cwd(), process.log)
        except UsageError as error:
            self._say(str(error))
            return
        until = time.monotonic() + STOP_PATIENCE_S
        while process.exit_code is None and asking.exit_code in (None, 0) and time.monotonic() < until:
            time.sleep(0.02)
        asking.stop(patience_s=0.0)


def queue_values(contract: Contract) -> dict[str, str]:
    """{queue_<name>_max_concurrent} and its kin: the queue limits as the contract states them, for a start command that
    passes them on; a contract with other limits then starts a service with other limits."""
    return {
        f"queue_{NOT_A_NAME.sub('_', name)}_{field}": f"{value:g}"
        for name, queue in contract.limits.queue.items()
        for field, value in queue.model_dump().items()
    }


def fill(template: str, values: dict[str, str]) -> str:
    """{port} and its kin in a command; ContractError names what is unknown."""
    known = ", ".join(f"{{{key}}}" for key in values)
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
        unknown = next((field for field in fields if field not in values), None)
        if unknown is None:
            return template.format(**values)
        why = f"uses {{{unknown}}}"
    except ValueError as error:
        why = f"has braces that are no field ({error}); double those that are meant as braces"
    raise ContractError([f"[target.control]: {template!r} {why}; known here are {known}"])
