"""What a measurement is asked to do, from command-line words to a checked plan; no clock, no network but one look-up."""

from __future__ import annotations

import os
import resource
import secrets
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from loadtests.arrivals import Process, Stage
from loadtests.plan import LoadPlan
from loadtests.shapes import INCIDENTS, SHAPES, STAGED, stages
from measurements.errors import UsageError
from plimsoll.pair import Pair
from targets.contract import Contract, Slo
from targets.urls import base_url, is_loopback, resolve

MAX_WORKERS = 256
MAX_USERS = 1_000_000
SPARE_FDS = 200
USUAL_S = 60.0
STEPS, LONGEST_S = 10, 120.0  # of a breakpoint whose length nobody gave
SAMPLES = 72  # that an interval of p95 takes (order statistics; measurements/quantiles)
PORTS = 28_000  # the usual ephemeral range, per destination and source address


@dataclass(frozen=True)
class Spec:
    """One measurement. Exactly one of `contract` and (`locustfile` with `host`) leads; both together are fine."""

    contract: Contract | None = None
    contract_path: Path | None = None
    locustfile: Path | None = None
    host: str | None = None
    rate_rps: float | None = None
    users: int | None = None
    duration_s: float = USUAL_S
    stretch: bool = False  # nobody gave a length: where the rate is found by a probe, `stretched` may give more
    warmup_s: float = 0.0
    process: Process = field(default_factory=Process)
    shape: str = "load"
    planned: tuple[Stage, ...] = ()  # stages of one's own instead of the shape's
    endpoint: str | None = None
    workers: int = 1
    seed: int | None = None
    abort_on_slo: bool = False
    allow_degraded: bool = False
    start: bool = False
    replicas: int = 1
    service_workers: int | None = None
    profile: bool = False
    ui_host: str | None = None
    out: Path = Path("runs")
    name: str | None = None
    command: str = ""
    bind: str | None = None  # lead load processes of other hosts, which join at HOST[:PORT]
    rows_to: str | None = None  # and have them lay their rows at this shared place: a directory, or a URI for pyarrow
    pair: Pair | None = None  # a duet of two versions that run already; their requests come in pairs

    @property
    def loop(self) -> str:
        return "closed" if self.users else "open"

    @property
    def replicas_needed(self) -> int:
        """To lose one, or to replace one by one, takes two."""
        control = self.contract.target.control if self.contract else None
        one_will_do = self.shape == "rollout" and control is not None and control.rollout.strategy == "blue-green"
        return self.replicas if self.shape not in INCIDENTS or one_will_do else max(2, self.replicas)

    @property
    def target_name(self) -> str:
        if self.name:
            return self.name
        if self.contract:
            return self.contract.target.name
        return self.locustfile.stem if self.locustfile else "run"

    def limits(self) -> dict[str, dict[str, float]]:
        slo: dict[str, Slo] = self.contract.slo if self.contract else {}
        return {name: section.limits() for name, section in slo.items() if section.limits()}

    def timeouts_s(self) -> dict[str, float]:
        return {e.name: e.timeout_s for e in self.contract.endpoint} if self.contract else {}

    @property
    def timeout_s(self) -> float:
        """The longest of the endpoints in use: the drain, and what the pool is sized by."""
        if self.contract is None:
            return 30.0
        used = [e for e in self.contract.endpoint if e.enabled and (e.weight > 0 or self.contract.target.locustfile)]
        return max((e.timeout_s for e in used), default=30.0)


def stretched(spec: Spec, rate_rps: float) -> Spec:
    """Long enough that a breakpoint's middle step holds `SAMPLES` requests of the rarest endpoint with a limit of its own."""
    if not spec.stretch:
        return spec
    needed_s = STEPS * SAMPLES / (rate_rps / 2 * _rarest_share(spec))
    return replace(spec, duration_s=float(round(min(LONGEST_S, max(spec.duration_s, needed_s)))))


def _rarest_share(spec: Spec) -> float:
    """Of the arrivals; 1 where a locustfile draws them or no endpoint has a limit of its own."""
    if spec.contract is None or spec.contract.target.locustfile or spec.locustfile:
        return 1.0
    weights = {e.name: e.weight for e in spec.contract.endpoint if e.enabled and e.weight > 0}
    limited = [weight for name, weight in weights.items() if name in spec.limits()]
    return min(limited) / sum(weights.values()) if limited else 1.0


def _check_workers(workers: int) -> None:
    cores = os.cpu_count() or 1
    most = min(MAX_WORKERS, max(8, 4 * cores))
    if not 1 <= workers <= most:
        why = f"; more on {cores} cores would wait for each other" if workers > most else ""
        raise UsageError(f"--workers {workers}: give a number of load processes from 1 to {most}{why}")


def checked(spec: Spec) -> Spec:
    """Refuses what cannot be, with the remedy; narrows the contract to --endpoint."""
    if spec.rate_rps is not None and spec.users is not None:
        raise UsageError("--rate (open loop) and --users (closed loop) exclude each other; give one")
    if spec.users is not None and not 1 <= spec.users <= MAX_USERS:
        raise UsageError(f"--users {spec.users}: give a number of users from 1 to {MAX_USERS:,}")
    if spec.rate_rps is not None and not 0 < spec.rate_rps <= 1_000_000:
        raise UsageError(f"--rate {spec.rate_rps:g}: give a rate above 0 and up to 1,000,000 per second")
    if not 0 < spec.duration_s <= 604_800:
        raise UsageError(f"--duration {spec.duration_s:g}: give seconds above 0 and up to a week")
    if spec.shape not in SHAPES:
        raise UsageError(f"--shape {spec.shape}: known shapes are {', '.join(SHAPES)}")
    if spec.users is not None and spec.shape in STAGED:
        raise UsageError(
            f"--shape {spec.shape} is made of rates, and with --users the service's answers set the rate; give --rate"
        )
    if not 0 <= spec.warmup_s <= 604_800:
        raise UsageError(f"--warmup {spec.warmup_s:g}: give seconds from 0 up to a week")
    _check_workers(spec.workers)
    if spec.seed is not None and not 0 <= spec.seed < 2**63:
        raise UsageError(f"--seed {spec.seed}: give a whole number from 0 to 2^63 - 1")
    if spec.replicas < 1:
        raise UsageError(f"--replicas {spec.replicas}: at least one replica is needed")
    if spec.service_workers is not None and spec.service_workers < 1:
        raise UsageError(f"--service-workers {spec.service_workers}: at least one is needed")
    if spec.contract is None and spec.locustfile is None:
        raise UsageError("nothing to run: give a contract, or a locustfile with -f FILE --host URL")
    if spec.contract is None and not spec.host:
        raise UsageError(f"-f {spec.locustfile} needs --host URL: where shall the load go?")
    if spec.host:
        try:
            base_url(spec.host)
        except ValueError as error:
            raise UsageError(f"--host: {error}") from error
    if spec.ui_host:
        try:
            ip_address(spec.ui_host)
        except ValueError:
            raise UsageError(
                f"--ui-host {spec.ui_host}: give an address of this machine, as 127.0.0.1 or 0.0.0.0"
            ) from None
    if spec.endpoint is not None and spec.contract is None:
        raise UsageError(
            f"--endpoint {spec.endpoint} chooses from a contract; a locustfile alone has tasks and weights"
        )
    if spec.endpoint is not None and spec.contract:
        spec = replace(spec, contract=_only(spec.contract, spec.endpoint))
    if spec.locustfile is not None and not spec.locustfile.is_file():
        raise UsageError(f"there is no locustfile {spec.locustfile}; name a Python file with -f FILE")
    if spec.shape in INCIDENTS and not spec.start:
        raise UsageError(
            f"--shape {spec.shape} kills and replaces processes of the service, so it starts them itself: add --start"
        )
    if spec.bind:
        _may_lead(spec)
    if spec.start and (spec.contract is None or spec.contract.target.control is None):
        raise UsageError("--start needs a contract with [target.control]; say there how to start the service")
    return spec


def _may_lead(spec: Spec) -> None:
    if not spec.rate_rps and not spec.users and spec.shape != "smoke" and spec.process.kind != "replay":
        raise UsageError("--master needs --rate or --users: probing for a rate would load from this machine alone")
    if spec.ui_host:
        raise UsageError("--ui belongs to a run on one machine; a master shows its progress here, add nothing for it")
    if spec.profile and not spec.start:
        raise UsageError("--profile with --master needs --start: only a service on this machine can be profiled")


def _only(contract: Contract, name: str) -> Contract:
    if contract.endpoint_named(name) is None:
        names = ", ".join(endpoint.name for endpoint in contract.endpoint)
        raise UsageError(f"--endpoint {name}: the contract has {names}")
    chosen = [
        endpoint.model_copy(update={"weight": endpoint.weight or 1.0, "enabled": True})
        for endpoint in contract.endpoint
        if endpoint.name == name
    ]
    target = contract.target.model_copy(update={"locustfile": None})
    slo = {key: value for key, value in contract.slo.items() if key in (name, "all")}
    narrowed = contract.model_copy(update={"endpoint": chosen, "target": target, "slo": slo})
    narrowed._folder = contract.folder
    return narrowed


def load_plan(spec: Spec, run: str, urls: list[str], cpus: list[list[int]], rate_rps: float) -> LoadPlan:
    """The plan that goes to the load processes. `urls` are where the service really is."""
    seed = spec.seed if spec.seed is not None else secrets.randbelow(2**31)
    nonce = f"s{spec.seed}" if spec.seed is not None else secrets.token_hex(3)
    planned = _stages(spec, rate_rps)
    timeout_s = spec.timeout_s
    locustfile = spec.locustfile
    if locustfile is None and spec.pair is None and spec.contract is not None and spec.contract.target.locustfile:
        locustfile = spec.contract.beside(spec.contract.target.locustfile)
    return LoadPlan(
        run=run,
        base_urls=urls,
        addresses=[resolve(url) for url in urls],
        stages=planned,
        process=spec.process,
        seed=seed,
        nonce=nonce,
        loop=spec.loop,
        users=spec.users or 0,
        workers=spec.workers,
        contract=spec.contract.model_dump(mode="json", by_alias=True, exclude_unset=True) if spec.contract else None,
        contract_folder=str(spec.contract.folder) if spec.contract else ".",
        locustfile=str(locustfile) if locustfile else None,
        endpoint=spec.endpoint,
        drain_s=timeout_s,
        timeout_s=timeout_s,
        pool_cap=pool_cap(pool_needed(planned, timeout_s, spec.process), spec.workers if spec.bind else 1),
        cpus=cpus,
        ui_host=spec.ui_host,
        ui_token=secrets.token_urlsafe(16) if spec.ui_host and not is_loopback(spec.ui_host) else "",
        duet=spec.pair is not None,
    )


def _stages(spec: Spec, rate_rps: float) -> list[Stage]:
    if spec.process.kind == "replay":
        times_s = spec.process.times_s
        span_s = max(min(spec.duration_s, times_s[-1] + 1e-9), 1e-3)
        mean_rps = sum(at_s < span_s for at_s in times_s) / span_s
        return [Stage("replay", span_s, mean_rps, mean_rps)]
    if spec.planned:
        return list(spec.planned)
    if spec.shape == "smoke":
        return stages("smoke", spec.rate_rps or 1.0, spec.duration_s, spec.warmup_s)
    return stages(spec.shape, rate_rps, spec.duration_s, spec.warmup_s)


def pool_needed(planned: list[Stage], timeout_s: float, process: Process | None = None) -> float:
    """Users that an open loop can need: peak rate × timeout × 1.2; a replay's peak is over a timeout's length."""
    peak = max(max(stage.start_rps, stage.end_rps) for stage in planned)
    if process is not None and process.kind == "replay":
        peak = process.peak_rps(timeout_s)
    return max(10.0, peak * timeout_s * 1.2)


def pool_cap(needed: float, hosts: int = 1) -> int:
    """Bounded by file descriptors and local ports, of each load process's host where they are not all here."""
    return int(min(needed + 1, hosts * min(open_files() - SPARE_FDS, PORTS)))


def open_files() -> int:
    """How many this process and its children may have: the soft limit is raised to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
