"""An LLM engine that is the target itself: what it costs fitted to what a run's streams showed (`engine_fit`), and run in
virtual time with other slots or more replicas.

Its own queue is first come, first served. What a KV cache would refuse is not seen from outside and not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from capacity import engine_fit, plateau, service_times, windowed
from capacity.batching import Engine, generate
from capacity.documents import RunDocuments, Stage
from capacity.engine_fit import Costs, Seen
from capacity.queue_settings import QueueSetting
from capacity.replica_search import STEPS
from capacity.simulation import poisson
from capacity.windowed import Windowed

REQUESTS = 6_000
ENDLESS = 10**9  # tokens that a KV cache of unknown size holds
LEAST_GAPS = 4  # stages


@dataclass(frozen=True)
class EngineModel:
    """`bare`: its slots and places; `output_tokens` (n,) as streamed; `limits`: of ttft, tpot and whole answers, seconds at a
    share of requests, and `loss`."""

    bare: Engine
    seen: Sequence[Seen]
    output_tokens: np.ndarray
    limits: Mapping[tuple[str, float], float]
    loss: float
    replicas: int = 1

    @cached_property
    def costs(self) -> Costs:
        """Fitted when somebody asks, which takes some seconds."""
        return engine_fit.fit(self.seen, self.output_tokens, self.bare, self.replicas)

    @property
    def variants(self) -> tuple[Engine, Engine, Engine]:
        """As fitted, then the two ends of what is not seen from outside."""
        return self.costs.fitted, self.costs.together, self.costs.apart


def of(run: RunDocuments, stages: Sequence[Stage], endpoint: str, setting: QueueSetting) -> EngineModel | None:
    """None where the target is no engine (an upstream or other processes stand behind it) or its streams say too little."""
    tokens = (run.output_tokens or {}).get(endpoint)
    if run.section("upstream") or any(stage.dependencies for stage in stages) or tokens is None or len(tokens) < 100:
        return None
    seen = _seen(stages, endpoint, run.replicas)
    outputs = np.asarray(tokens, dtype=np.int64)
    if len(seen) < LEAST_GAPS or not any(one.first_s for one in seen) or outputs.max() < 2:
        return None
    bare = Engine(setting.max_concurrent, setting.max_queue_size, ENDLESS, 0.0, 0.0, ENDLESS, 0.0, 0.0)
    slo = {**run.slo_limits().get("all", {}), **run.slo_limits().get(endpoint, {})}
    return EngineModel(bare, seen, outputs, _limits(slo), slo.get("error_rate", 0.01), run.replicas)


def _seen(stages: Sequence[Stage], endpoint: str, replicas: int) -> list[Seen]:
    """What the stages showed of the endpoint's streams, for one replica."""
    calm, found = {id(stage) for stage in service_times.calm(stages)}, []
    for stage in stages:
        entry, gap_ms = stage.endpoints.get(endpoint) or {}, _mean(stage, endpoint, "itl_ms")
        if not gap_ms or not entry.get("count"):
            continue
        first_ms = _mean(stage, endpoint, "ttft_ms") if id(stage) in calm else None
        a_second = 1 / stage.duration_s / replicas
        found.append(
            Seen(
                entry["count"] * a_second,
                gap_ms / 1000,
                first_ms / 1000 if first_ms else None,
                entry["ok"] * a_second if plateau.overloaded(stage) and entry.get("ok") else None,
            )
        )
    return found


def with_slots(engine: Engine, setting: QueueSetting) -> Engine:
    return replace(engine, slots=setting.max_concurrent, waiting=setting.max_queue_size)


def highest_rate(
    model: EngineModel, engine: Engine, replicas: int, seed: int, window_s: float | None = None
) -> float:  # fmt: skip
    """The highest Poisson rate over all replicas, which take turns, at which every limit holds; 0 where none does."""
    holds = meets(model, engine, replicas, seed, window_s)
    low, high = 0.0, _most_rps(model, engine, replicas)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def meets(
    model: EngineModel, engine: Engine, replicas: int, seed: int, window_s: float | None = None
) -> Callable[[float], bool]:
    """Whether every limit holds at a Poisson rate over all replicas, which take turns; as stages of `window_s` show it, or
    without an end."""
    count = windowed.requests(REQUESTS, _most_rps(model, engine, replicas), window_s)
    outputs = np.random.default_rng(seed).choice(model.output_tokens, count)
    unit = poisson(1.0, count, seed + 1)
    return lambda rate_rps: _holds(model, engine, windowed.arrivals(unit, rate_rps, window_s), outputs, replicas)


def _most_rps(model: EngineModel, engine: Engine, replicas: int) -> float:
    return 1.3 * replicas * engine.slots / (float(model.output_tokens.mean()) * engine.decode_s(engine.slots))


def _holds(model: EngineModel, engine: Engine, windows: Windowed, outputs: np.ndarray, replicas: int) -> bool:
    ttft, response = np.empty(len(outputs)), np.empty(len(outputs))
    ones = np.ones(len(outputs), dtype=np.int64)
    for k in range(replicas):
        mine = slice(k, None, replicas)
        ran = generate(windows.at_s[mine], ones[mine], outputs[mine], engine)
        ttft[mine], response[mine] = ran.ttft_s, ran.response_s
    answered = ~np.isnan(ttft)
    if windows.typical(~answered, np.full(len(outputs), True), windowed.share) > model.loss:
        return False
    figures = {
        "response": (response, answered),
        "ttft": (ttft, answered),
        "tpot": ((response - ttft) / np.maximum(outputs - 1, 1), answered & (outputs > 1)),
    }
    for (what, p), limit_s in model.limits.items():
        if windows.typical(*figures[what], partial(np.quantile, q=p, method="inverted_cdf")) > limit_s:
            return False
    return True


def _limits(slo: Mapping[str, float]) -> dict[tuple[str, float], float]:
    found = {}
    for metric, limit in slo.items():
        kind = next((name for name in ("ttft", "tpot") if metric.startswith(f"{name}_")), "response")
        name = metric.removeprefix(f"{kind}_").removesuffix("_ms")
        if metric.endswith("_ms") and name.startswith("p"):
            found[kind, float(name[1:].replace("_", ".")) / 100] = limit / 1000
    return found


def _mean(stage: Stage, endpoint: str, kind: str) -> float | None:
    return ((stage.endpoints.get(endpoint) or {}).get(kind) or {}).get("mean")
