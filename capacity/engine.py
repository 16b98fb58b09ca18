"""An LLM engine that is the target itself: its batching fitted to what a run's streams showed, and run in virtual time.

From token times: the gap between tokens is α + β·running, so a stage's mean gap against how many ran gives both; what
the first token took beyond one step in the calm stages is reading the prompt. Its own queue is first come, first served.
What a KV cache would refuse is not seen from outside and not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity import service_times
from capacity.batching import Engine, generate
from capacity.documents import RunDocuments, Stage
from capacity.fits import line
from capacity.queue_settings import QueueSetting
from capacity.simulation import poisson
from measurements.interval import Interval

REQUESTS = 6_000
ENDLESS = 10**9  # tokens that a KV cache of unknown size holds
LEAST_GAPS = 4  # stages


@dataclass(frozen=True)
class EngineModel:
    """`output_tokens` (n,) as streamed; `beta_s` with its doubt; `limits`: of ttft, tpot and whole answers, seconds at a
    share of requests, and `loss`."""

    engine: Engine
    beta_s: Interval
    output_tokens: np.ndarray
    limits: Mapping[tuple[str, float], float]
    loss: float
    highest_running: float

    def at(self, setting: QueueSetting, beta_s: float) -> Engine:
        """With other slots; `alpha` moves along so that the calm step stays as it was measured."""
        return replace(
            self.engine, slots=setting.max_concurrent, waiting=setting.max_queue_size, beta_s=beta_s,
            alpha_s=max(1e-6, self.engine.alpha_s + (self.engine.beta_s - beta_s)),
        )  # fmt: skip


def of(run: RunDocuments, stages: Sequence[Stage], endpoint: str, setting: QueueSetting) -> EngineModel | None:
    """None where the target is no engine (an upstream or other processes stand behind it) or its streams say too little."""
    tokens = (run.output_tokens or {}).get(endpoint)
    if run.section("upstream") or any(stage.dependencies for stage in stages) or tokens is None or len(tokens) < 100:
        return None
    gaps = [
        (min(float(stage.in_flight_mean), float(setting.max_concurrent)), float(mean) / 1000)
        for stage in stages
        if stage.in_flight_mean and (mean := _mean(stage, endpoint, "itl_ms"))
    ]
    first_ms = [m for stage in service_times.calm(stages) if (m := _mean(stage, endpoint, "ttft_ms"))]
    if len(gaps) < LEAST_GAPS or not first_ms:
        return None
    fitted = line({"running": [level for level, _ in gaps]}, [gap for _, gap in gaps], [1.0] * len(gaps))
    if fitted is None:
        return None
    slope = fitted.slopes["running"]
    beta = Interval(max(0.0, slope.low), max(0.0, slope.mid), max(0.0, slope.high), slope.confidence)
    alpha_s = max(1e-6, fitted.base.mid)
    read_s = max(0.0, min(first_ms) / 1000 - alpha_s - beta.mid)
    slo = {**run.slo_limits().get("all", {}), **run.slo_limits().get(endpoint, {})}
    engine = Engine(
        setting.max_concurrent, setting.max_queue_size, ENDLESS, 0.0, 0.0, ENDLESS, alpha_s, beta.mid,
        prefill_s_per_prompt=read_s,
    )  # fmt: skip
    return EngineModel(
        engine, beta, np.asarray(tokens, dtype=np.int64), _limits(slo), slo.get("error_rate", 0.01),
        max(level for level, _ in gaps),
    )  # fmt: skip


def highest_rate(model: EngineModel, engine: Engine, replicas: int, seed: int) -> float:
    """The highest Poisson rate over all replicas, which take turns, at which every limit holds; 0 where none does."""
    rng = np.random.default_rng(seed)
    outputs, unit = rng.choice(model.output_tokens, REQUESTS), poisson(1.0, REQUESTS, seed + 1)
    mean_s = float(outputs.mean()) * engine.decode_s(engine.slots)
    low, high = 0.0, 1.3 * replicas * engine.slots / mean_s
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if _holds(model, engine, unit / middle, outputs, replicas) else (low, middle)
    return low


def _holds(
    model: EngineModel, engine: Engine, arrivals_s: np.ndarray, outputs: np.ndarray, replicas: int
) -> bool:  # fmt: skip
    ones = np.ones(len(outputs), dtype=np.int64)
    parts = [
        generate(arrivals_s[k::replicas], ones[k::replicas], outputs[k::replicas], engine) for k in range(replicas)
    ]
    ttft = np.concatenate([part.ttft_s[len(part.ttft_s) // 20 :] for part in parts])
    response = np.concatenate([part.response_s[len(part.ttft_s) // 20 :] for part in parts])
    lengths = np.concatenate([outputs[k::replicas][len(part.ttft_s) // 20 :] for k, part in enumerate(parts)])
    answered = ~np.isnan(ttft)
    if 1 - answered.mean() > model.loss:
        return False
    several = answered & (lengths > 1)
    figures = {
        "response": response[answered],
        "ttft": ttft[answered],
        "tpot": (response - ttft)[several] / (lengths[several] - 1),
    }
    return all(
        not len(figures[what]) or float(np.quantile(figures[what], p, method="inverted_cdf")) <= limit_s
        for (what, p), limit_s in model.limits.items()
    )


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
