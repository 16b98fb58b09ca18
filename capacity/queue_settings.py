"""Queue settings from service times and SLO: how many may run, how many may wait, how long, against those in force."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np

from capacity.figures import figure
from capacity.replica_search import Goal, highest_rate
from capacity.simulation import Discipline

LOSS = 0.01
MOST = 4  # times as many slots as now: what waits elsewhere (a database, an upstream) has not been seen beyond


@dataclass(frozen=True)
class QueueSetting:
    max_concurrent: int
    max_queue_size: int
    timeout_s: float

    @classmethod
    def of(cls, section: dict[str, Any]) -> QueueSetting:
        return cls(int(section["max_concurrent"]), int(section["max_queue_size"]), float(section["timeout_s"]))

    def as_json(self) -> dict[str, Any]:
        return self.__dict__.copy()


def useful_queue(slots: int, timeout_s: float, service_s: float) -> int:
    """⌊c(T−S)/S⌋: who joins behind more than that is answered, on average, after T. The rest is doomed work."""
    return max(0, floor(slots * (timeout_s - service_s) / service_s + 1e-9))


def useful_slots(service_s: float, cpu_s: float, cores: float, memory_slots: int | None = None) -> int:
    """⌈cores·S/D⌉: with D CPU-seconds in a service time S, so many keep the cores busy; more only slow each other
    down (the balanced-job bound, Lazowska et al., Quantitative System Performance, 1984, section 5.2)."""
    slots = ceil(cores * service_s / cpu_s - 1e-9) if cpu_s > 0 else 1_000
    return max(1, min(slots, memory_slots) if memory_slots is not None else slots)


def advise(
    name: str, now: QueueSetting, service_s: np.ndarray, cpu_s: float, cores: float, slo_s: float | None, seed: int = 1
) -> dict[str, Any]:
    """Settings in force against advised ones: what each could carry, by simulation on the measured service times.

    `service_s` (n,): measured at low load. `slo_s`: p95 limit, None where there is none. An advised queue is as long
    as what waits in it can still be answered within the SLO, or else the timeout. More slots are advised only as far
    as CPU lasts.
    """
    mean_s = float(np.mean(service_s))
    busy = useful_slots(mean_s, cpu_s, cores)
    slots = min(busy, MOST * now.max_concurrent)
    patience_s = min(slo_s or now.timeout_s, now.timeout_s)
    queue = useful_queue(slots, max(patience_s, mean_s), mean_s)
    timeout_s = float(max(ceil(patience_s), ceil(np.quantile(service_s, 0.99) * 1.2)))
    advised = QueueSetting(slots, queue, timeout_s)
    doomed = max(0, now.max_queue_size - useful_queue(now.max_concurrent, now.timeout_s, mean_s))
    sentences = [
        f"{name}: {figure(mean_s)} s of service, {figure(cpu_s)} s of it CPU: {busy} at once keep {cores:g} core(s) busy, "
        f"{now.max_concurrent} are allowed"
    ]
    if slots < busy:
        sentences.append(f"no more than {slots} are advised before it has been measured what so many do to each other")
    if doomed:
        sentences.append(
            f"{doomed} of {now.max_queue_size} places in the queue are doomed: they are reached after the timeout"
        )
    elif now.max_queue_size > queue:
        sentences.append(
            f"a queue of {now.max_queue_size} answers in time, but from place {queue + 1} on "
            f"after the limit of {figure(patience_s)} s"
        )
    return {
        "queue": name,
        "in_force": now.as_json(),
        "advised": advised.as_json(),
        "useful_queue_in_force": useful_queue(now.max_concurrent, now.timeout_s, mean_s),
        "carries_rps": {
            "in_force": carries(now, service_s, cpu_s, cores, slo_s, seed),
            "advised": carries(advised, service_s, cpu_s, cores, slo_s, seed),
        },
        "sentences": sentences,
        "assumptions": [
            "service times stay as measured at low load as long as the slots' CPU fits into the cores; beyond, they stretch",
            f"at most {LOSS:.0%} lost" + (f", p95 within {figure(slo_s)} s" if slo_s else ""),
        ],
    }


def carries(
    setting: QueueSetting, service_s: np.ndarray, cpu_s: float, cores: float, slo_s: float | None, seed: int = 1
) -> float:
    """The highest Poisson rate at which at most 1 % is lost and p95 holds, by simulation.

    Where the slots' CPU does not fit into the cores, service times stretch by as much.
    """
    stretch = max(1.0, setting.max_concurrent * cpu_s / float(np.mean(service_s)) / cores)
    discipline = Discipline(setting.max_concurrent, setting.max_queue_size, setting.timeout_s)
    return highest_rate(discipline, np.asarray(service_s) * stretch, Goal(LOSS, 0.95, slo_s), seed)
