"""What stood where at the plateau: the numbers that a bottleneck is named from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from capacity import declared, demand
from capacity.demand import ServiceDemand
from capacity.documents import RunDocuments, Stage
from capacity.plateau import Plateau
from measurements.interval import Refusal

FOREIGN = 0.25  # of the host's cores
WAITED = 0.1


@dataclass(frozen=True)
class Facts:
    """Means over the plateau's stages; without a plateau, of the highest stage. None: not observed.

    `quota_cores`: what control groups allow the service, and `throttled_s_per_s` how long they held its processes back.
    `placed_cores`: the cores that service and dependencies may use here; `allotted_cores`: the same, or what control groups
    allow where that is less. `bench_cores`: what they use together.
    `foreign_cores`: what processes that are none of this measurement's used, at the plateau or over all stages;
    `waited_share`: of the time in which service and dependencies wanted a core, how long they waited for one.
    """

    run: RunDocuments
    stages: list[Stage]
    plateau: Plateau | None
    top: list[Stage]
    calm: Stage
    placed_cores: float | None
    allotted_cores: float | None
    quota_cores: float | None
    throttled_s_per_s: float | None
    host_cores: float | None
    processes: float | None
    target_cores: float | None
    busiest_cores: float | None
    bench_cores: float | None
    generator_cores: float | None
    foreign_cores: float
    waited_share: float | None
    host_share: float | None
    dependency_cores: Mapping[str, float]
    dependency_busiest: Mapping[str, float]
    target_demand: ServiceDemand | Refusal
    busiest_demand: ServiceDemand | Refusal
    dependency_demand: Mapping[str, ServiceDemand | Refusal]

    @property
    def reject_share(self) -> float:
        return self._share("rejected")

    @property
    def timeout_share(self) -> float:
        return self._share("timeout", "abandoned")

    def _share(self, *outcomes: str) -> float:
        count = sum(stage.count for stage in self.top)
        return sum(stage.outcome(*outcomes) for stage in self.top) / count if count else 0.0

    def slowdown(self, endpoint: str | None = None) -> float | None:
        """Mean response at the plateau over that of the calmest stage; of one endpoint, or of the mix."""
        values = [_mean_ms(stage, endpoint) for stage in self.top]
        known = [value for value in values if value is not None]
        calm = _mean_ms(self.calm, endpoint)
        return float(np.mean(known)) / calm if known and calm else None

    @property
    def disturbed(self) -> bool:
        """Others took so much CPU that the service may have wanted what it did not get: unless the kernel says that its
        processes hardly ever waited for a core."""
        if not self.host_cores or self.foreign_cores <= FOREIGN * self.host_cores:
            return False
        return self.waited_share is None or self.waited_share > WAITED

    @property
    def own_cpu_is_high(self) -> bool:
        """CPU was seen, and not low; where it was not seen, neither can be said."""
        return self.busiest_cores is not None and not self.own_cpu_is_low

    @property
    def own_cpu_is_low(self) -> bool:
        """No process of the service is near a core's worth, nor all of them near what they may use, nor could others
        have kept it from them."""
        if self.busiest_cores is None or self.disturbed:
            return False
        in_quota = self.target_cores / self.quota_cores if self.target_cores and self.quota_cores else 0.0
        return self.busiest_cores < 0.8 and max(in_quota, self.bench_share) < 0.85

    @property
    def bench_share(self) -> float:
        """How full the cores are that service and dependencies share; a quota is the service's own."""
        return self.bench_cores / self.placed_cores if self.bench_cores and self.placed_cores else 0.0


def gather(run: RunDocuments, stages: Sequence[Stage], plateau: Plateau | None) -> Facts:
    """`stages` by rising rate, at least one."""
    top = plateau.stages if plateau else [stages[-1]]
    one_run = len({stage.run.path for stage in stages}) == 1
    enough = [stage for stage in stages if stage.count >= 20 and stage.response_mean_ms is not None]
    dependencies = sorted({role for stage in stages for role in stage.dependencies})
    return Facts(
        run=run,
        stages=list(stages),
        plateau=plateau,
        top=top,
        calm=(enough or list(stages))[0],
        placed_cores=placed(run, top),
        allotted_cores=allotted(run, top),
        quota_cores=_quota(run, top),
        throttled_s_per_s=_mean(top, lambda stage: stage.figure("target", "throttled_s_per_s")),
        host_cores=_mean(top, lambda stage: stage.figure("host", "cores")),
        processes=_mean(top, lambda stage: stage.figure("target", "processes")),
        target_cores=_mean(top, lambda stage: stage.cores("target")),
        busiest_cores=_mean(top, lambda stage: stage.figure("target", "busiest_process_cores")),
        bench_cores=_mean(top, bench_cores),
        generator_cores=_mean(top, lambda stage: stage.cores("generator")),
        foreign_cores=max(_mean(top, foreign_cores) or 0.0, _mean(stages, foreign_cores) or 0.0),
        waited_share=_mean(top, waited_share),
        host_share=_mean(top, lambda stage: stage.figure("host", "cpu_share_mean")),
        dependency_cores=_per_role(top, dependencies, lambda stage, role: stage.cores(role)),
        dependency_busiest=_per_role(
            top, dependencies, lambda stage, role: stage.figure(role, "busiest_process_cores")
        ),
        target_demand=demand.resampled(
            demand.fit(stages, "target", lambda stage: stage.cores("target")), run.windows if one_run else None
        ),
        busiest_demand=demand.fit(
            stages, "busiest_process", lambda stage: stage.figure("target", "busiest_process_cores")
        ),
        dependency_demand={role: _dependency_demand(stages, role) for role in dependencies},
    )


def allotted(run: RunDocuments, stages: Sequence[Stage]) -> float | None:
    """Cores for the service: a cgroup's quota, or those it is placed on, whatever is less."""
    found = [cores for cores in (_quota(run, stages), placed(run, stages)) if cores]
    return min(found, default=None)


def placed(run: RunDocuments, stages: Sequence[Stage]) -> float | None:
    """Cores for the service and its dependencies: the placement, or the whole host."""
    cores = (run.run.get("placement") or {}).get("target") or []
    if cores:
        return float(len(cores))
    host = run.run.get("host") or {}
    whole = host.get("cpu_quota_cores") or host.get("cores") or _mean(stages, lambda s: s.figure("host", "cores"))
    return float(whole) if whole else None


def _quota(run: RunDocuments, stages: Sequence[Stage]) -> float | None:
    """What control groups allow all replicas together, in cores."""
    seen = next(
        (value for stage in stages if (value := stage.figure("target", "cgroup_quota_cores")) is not None), None
    )
    return seen * declared.limited_replicas(run) if seen else None


def bench_cores(stage: Stage) -> float | None:
    """Cores that the service and its dependencies used together."""
    target = stage.cores("target")
    return None if target is None else target + sum(stage.cores(role) or 0.0 for role in stage.dependencies)


def foreign_cores(stage: Stage) -> float | None:
    """Cores that the host gave to processes that are none of this measurement's."""
    share, cores, mine = stage.figure("host", "cpu_share_mean"), stage.figure("host", "cores"), bench_cores(stage)
    if share is None or cores is None or mine is None:
        return None
    return max(0.0, share * cores - mine - (stage.cores("generator") or 0.0))


def waited_share(stage: Stage) -> float | None:
    """Of the time in which service and dependencies were ready to run, what the kernel let them wait (schedstat)."""
    roles = ("target", *stage.dependencies)
    waits = [delay for role in roles if (delay := stage.figure(role, "run_delay_s_per_s")) is not None]
    used = bench_cores(stage)
    if len(waits) < len(roles) or used is None or used + sum(waits) <= 0:
        return None
    return sum(waits) / (used + sum(waits))


def _dependency_demand(stages: Sequence[Stage], role: str) -> ServiceDemand | Refusal:
    return demand.fit(stages, role, lambda stage: stage.figure(role, "busiest_process_cores"))


def _mean(stages: Sequence[Stage], of: Callable[[Stage], float | None]) -> float | None:
    known = [value for stage in stages if (value := of(stage)) is not None]
    return float(np.mean(known)) if known else None


def _per_role(stages: Sequence[Stage], roles: Sequence[str], of: Callable[..., float | None]) -> dict[str, float]:
    found = {role: _mean(stages, partial(of, role=role)) for role in roles}
    return {role: value for role, value in found.items() if value is not None}


def _mean_ms(stage: Stage, endpoint: str | None) -> float | None:
    entry = stage.overall if endpoint is None else stage.endpoints.get(endpoint) or {}
    return (entry.get("response_ms") or {}).get("mean")
