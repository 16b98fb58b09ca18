"""What a plan reads: the documents of run directories, and their stages as flat records."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from measurements.interval import Interval, Refusal

if TYPE_CHECKING:
    from capacity.mix import Windows

CONFIDENCE = 0.9
Json = Mapping[str, Any]


@dataclass(frozen=True)
class RunDocuments:
    """run.json, summary.json and validity.json of one run; `path` is how a person would name the directory.

    `blocked_frames` is what stack snapshots at the plateau found: class (lock, pool, socket, sleep, cpu) → share of
    the threads that were serving a request. `server` is what the service's own metrics said: stage → {"upstream":
    {"running_mean", "running_max", "waiting_mean"}, …}. `search`: search.json. `service_times_s`: endpoint → times
    without waiting, in s (`service_times.from_rows`); without them the summary's quantiles stand in. `errors`: rows of
    errors.parquet ({"excerpt", "count"}). `replica_times`: replica → {"n", "p50_ms", "p95_ms", "p95_ci95"}
    (`service_times.by_replica`). `output_tokens`: endpoint → tokens of its streamed answers.
    `windows`: the run cut into seconds, for the costs of each endpoint (`mix`).
    """

    run: Json
    summary: Json
    validity: Json
    path: str = "runs/latest"
    blocked_frames: Mapping[str, float] | None = None
    server: Mapping[str, Json] | None = None
    search: Json | None = None
    service_times_s: Mapping[str, Sequence[float]] | None = None
    errors: Sequence[Json] = ()
    replica_times: Mapping[str, Json] | None = None
    output_tokens: Mapping[str, Sequence[int]] | None = None
    windows: Windows | None = field(default=None, repr=False)

    @property
    def contract(self) -> Json:
        return self.run.get("contract") or {}

    @property
    def contract_path(self) -> str:
        """The contract file as it was given on the command line, for commands that a person can copy."""
        command = self.run.get("command") or []
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        return next((word for word in words if word.endswith(".toml")), "CONTRACT")

    @property
    def replicas(self) -> int:
        """Replicas that carried the load: the base URLs that the client balanced over."""
        url = self.run.get("base_urls") or (self.contract.get("target") or {}).get("base_url")
        return max(1, len(url)) if isinstance(url, list) else 1

    @property
    def workers(self) -> int:
        """Processes of one replica: as started, else as the contract says."""
        return int(self.run.get("service_workers") or self.section("resources").get("workers") or 1)

    def section(self, name: str) -> Json:
        found = self.contract.get(name)
        return found if isinstance(found, Mapping) else {}

    def slo_limits(self) -> dict[str, dict[str, float]]:
        """endpoint (or "all") → metric → limit, without what the contract leaves open."""
        sections = self.section("slo").items()
        limits = {
            name: {metric: float(limit) for metric, limit in slo.items() if limit is not None and metric != "window_s"}
            for name, slo in sections
        }
        return {name: metrics for name, metrics in limits.items() if metrics}


@dataclass(frozen=True)
class Stage:
    """One measured stage. Rates are arrivals per second of the whole target; `*_cores` are mean CPU-seconds per second.

    `completed_rps` are arrivals answered in the window, whatever the answer; `ok_rps` those answered as expected.
    """

    run: RunDocuments = field(repr=False)
    name: str
    state: str
    start_s: float
    duration_s: float
    rate_rps: float
    rate_before_rps: float
    calm_response_s: float
    completed_rps: float
    ok_rps: float
    requests_per_arrival: float
    dropped: int
    in_flight_mean: float | None
    in_flight_max: float | None
    overall: Json = field(repr=False)
    endpoints: Mapping[str, Json] = field(repr=False)
    resources: Mapping[str, Json] = field(repr=False)

    @property
    def count(self) -> int:
        return int(self.overall.get("count") or 0)

    @property
    def error_rate(self) -> float:
        return float(self.overall.get("error_rate") or 0.0)

    @property
    def response_mean_ms(self) -> float | None:
        return (self.overall.get("response_ms") or {}).get("mean")

    @property
    def backlog_grew(self) -> bool:
        """More came than was done, beyond what a step in the rate fills and what chance makes of A arrivals and as many
        departures (2√(2A)); or it grew while five times as many were in flight as a calm service needs (Little)."""
        if self.dropped:
            return True
        arrivals, level = self.rate_rps * self.duration_s, float(self.in_flight_mean or 0.0)
        growth = arrivals - self.completed_rps * self.duration_s
        filled = max(0.0, self.rate_rps - self.rate_before_rps) * self.calm_response_s
        crowded = level >= 10 and level > 5 * self.rate_rps * self.calm_response_s
        return self.state == "saturated" and (growth > filled + 2 * (2 * arrivals) ** 0.5 or (crowded and growth > 0))

    def outcome(self, *names: str) -> int:
        outcomes = self.overall.get("outcomes") or {}
        return sum(int(outcomes.get(name, 0)) for name in names)

    def share_of(self, endpoint: str) -> float:
        """This endpoint's part of the stage's requests."""
        count = (self.endpoints.get(endpoint) or {}).get("count") or 0
        return count / self.count if self.count else 0.0

    def figure(self, role: str, key: str) -> float | None:
        value = (self.resources.get(role) or {}).get(key)
        return None if value is None else float(value)

    def cores(self, role: str) -> float | None:
        """Mean cores that a role used, from its CPU-seconds where they are there."""
        cpu_s = self.figure(role, "cpu_s")
        return cpu_s / self.duration_s if cpu_s is not None and self.duration_s else self.figure(role, "cpu_cores_mean")

    @property
    def dependencies(self) -> list[str]:
        return [role for role in self.resources if role not in ("target", "generator", "host")]


def stages_of(runs: Sequence[RunDocuments]) -> list[Stage]:
    """Every stage that is no warm-up, of all runs, by rising rate."""
    found = []
    for run in runs:
        raws = run.summary.get("stages") or []
        means = [mean for raw in raws if (mean := ((raw.get("all") or {}).get("response_ms") or {}).get("mean"))]
        before, calm_s = 0.0, min(means, default=0.0) / 1000
        for raw in raws:
            stage = _stage(run, raw, before, calm_s)
            before = stage.rate_rps
            if not raw.get("warmup") and stage.count and stage.duration_s:
                found.append(stage)
    return sorted(found, key=lambda stage: stage.rate_rps)


def _stage(run: RunDocuments, raw: Json, before_rps: float, calm_s: float) -> Stage:
    overall = raw.get("all") or {}
    duration_s = float(raw.get("duration_s") or 0.0)
    offered, count = raw.get("offered_rps"), float(overall.get("count") or 0)
    arrivals = offered * duration_s if offered else count
    per_arrival = max(1.0, count / arrivals) if arrivals else 1.0
    achieved = float(raw.get("achieved_rps") or 0.0) / per_arrival
    ok = raw.get("ok_rps")
    return Stage(
        run=run,
        name=str(raw.get("name")),
        state=str(raw.get("state", "steady")),
        start_s=float(raw.get("start_s") or 0.0),
        duration_s=duration_s,
        rate_rps=float(offered) if offered is not None else achieved,
        rate_before_rps=before_rps,
        calm_response_s=calm_s,
        completed_rps=achieved,
        ok_rps=float(ok) / per_arrival if ok is not None else achieved * (1 - float(overall.get("error_rate") or 0.0)),
        requests_per_arrival=per_arrival,
        dropped=int(raw.get("dropped") or 0),
        in_flight_mean=raw.get("in_flight_mean"),
        in_flight_max=raw.get("in_flight_max"),
        overall=overall,
        endpoints=raw.get("endpoints") or {},
        resources=raw.get("resources") or {},
    )


def objections(runs: Sequence[RunDocuments]) -> list[Refusal]:
    """Why these runs cannot be read as one measurement: none at all, INVALID ones, other contracts, other hosts."""
    if not runs:
        return [
            Refusal("capacity_rps", "no run was given", "plimsoll run CONTRACT --shape breakpoint, then plan on it")
        ]
    found = []
    for run in runs:
        if not run.validity.get("valid", run.summary.get("valid", True)):
            found.append(_invalid(run))
    first = runs[0]
    for other in runs[1:]:
        for what, one, two in _identities(first, other):
            if one != two:
                found.append(
                    Refusal(
                        "capacity_rps",
                        f"{first.path} and {other.path} differ in their {what} ({one} and {two}); "
                        "one plan speaks for one",
                        f"plimsoll plan {first.path} (alone), or measure again: "
                        f"plimsoll run {first.contract_path} --shape breakpoint",
                    )
                )
    return found


def _invalid(run: RunDocuments) -> Refusal:
    failed = [check for check in run.validity.get("checks") or [] if check.get("state") == "invalid"]
    sentences = "; ".join(str(check.get("sentence") or check.get("check")) for check in failed[:3])
    remedies = "; ".join(dict.fromkeys(str(check["remedy"]) for check in failed[:2] if check.get("remedy")))
    again = f"then: plimsoll run {run.contract_path} --shape breakpoint"
    return Refusal(
        "capacity_rps",
        f"the run {run.path} is INVALID: {sentences or 'no reason is on record'}",
        f"{remedies}; {again}" if remedies else again.removeprefix("then: "),
    )


def _identities(one: RunDocuments, two: RunDocuments) -> list[tuple[str, Any, Any]]:
    def contract(run: RunDocuments) -> Any:
        kept = {key: value for key, value in run.contract.items() if key not in ("alert", "gate")}
        target = {k: v for k, v in (kept.get("target") or {}).items() if k not in ("base_url", "observe")}
        return {**kept, "target": target, "replicas": run.replicas}

    def name_of(run: RunDocuments) -> str:
        return str((run.contract.get("target") or {}).get("name"))

    pairs: list[tuple[str, Any, Any]] = []
    if contract(one) != contract(two):
        pairs.append(("contract", name_of(one), f"{name_of(two)}, other settings"))
    hosts = [run.run.get("host") or {} for run in (one, two)]
    for key in ("cpu_model", "cores", "memory_mib", "cpu_quota_cores"):
        if key in hosts[0] and key in hosts[1]:
            pairs.append((f"host's {key}", hosts[0][key], hosts[1][key]))
    pairs.append(("commit", one.run.get("git_commit"), two.run.get("git_commit")))
    return pairs


def between(low: float, mid: float, high: float, confidence: float = CONFIDENCE) -> Interval:
    """An interval whose ends are put in order and that holds its middle."""
    low, high = min(low, high), max(low, high)
    return Interval(low, min(max(mid, low), high), high, confidence)
