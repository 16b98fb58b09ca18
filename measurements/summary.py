"""From rows to `summary.json`: counts, rates and distributions per endpoint, per stage and over the whole mix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from measurements import slo, steadiness, streams
from measurements.frame import Frame
from measurements.quantiles import Distribution, distribution
from measurements.sample import NULL, OUTCOMES, RESPONDED, SCHEMA_VERSION, Outcome
from measurements.streams import Streams

RESPONDED_CODES = [int(Outcome[name]) for name in RESPONDED]


@dataclass(frozen=True)
class Window:
    """One stage as it was run: seconds from the run's start."""

    name: str
    start_s: float
    end_s: float
    start_rps: float = 0.0
    end_rps: float = 0.0
    warmup: bool = False

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class RunFacts:
    """What the rows alone cannot say."""

    run: str
    loop: str
    arrivals: str
    seed: int
    ended: str
    windows: list[Window]
    timeouts_s: dict[str, float] = field(default_factory=dict)
    default_timeout_s: float = 30.0
    limits: slo.Limits = field(default_factory=dict)
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)  # window name or "run" -> role -> figures


def summarise(frame: Frame, tokens: Streams, facts: RunFacts) -> dict[str, Any]:
    """The document without its verdict keys (valid, indicative, reasons, exit_code), which `validity` adds."""
    why: dict[str, str] = {}
    measured = [window for window in facts.windows if not window.warmup]
    duration_s = sum(window.duration_s for window in measured)
    inside = frame.where(
        np.isin(frame.stage, [k for k, n in enumerate(frame.stages) if n in {w.name for w in measured}])
    )
    make = _Entries(facts, why)
    overall = make.entry(inside, tokens, duration_s, "all", "all")
    endpoints = {
        name: make.entry(inside.at_endpoint(name), tokens, duration_s, f"endpoints.{name}", name)
        for name in inside.endpoints
        if (inside.endpoint == inside.endpoints.index(name)).any()
    }
    first_steps = int((inside.step == 0).sum())
    responded = _responded(frame, measured)
    return {
        "schema": SCHEMA_VERSION,
        "run": facts.run,
        "loop": facts.loop,
        "arrivals": facts.arrivals,
        "seed": facts.seed,
        "ended": facts.ended,
        "offered_rps": first_steps / duration_s if facts.loop == "open" and duration_s else None,
        "achieved_rps": responded / duration_s if duration_s else 0.0,
        "duration_s": duration_s,
        "all": overall,
        "endpoints": endpoints,
        "slo": slo.evaluate(facts.limits, overall, endpoints),
        "resources": facts.usage.get("run", {}),
        "stages": [make.stage(frame, tokens, window) for window in facts.windows],
        "why_null": why,
    }


def _responded(frame: Frame, windows: list[Window]) -> int:
    """Responses that came inside one of the windows, whichever arrival they answer."""
    came = np.isin(frame.outcome, RESPONDED_CODES)
    inside = np.zeros(len(frame), dtype=bool)
    for window in windows:
        inside |= (frame.done_ns >= window.start_s * 1e9) & (frame.done_ns < window.end_s * 1e9)
    return int((came & inside).sum())


class _Entries:
    """Builds entries and collects the reasons of what is null."""

    def __init__(self, facts: RunFacts, why: dict[str, str]) -> None:
        self._facts, self._why = facts, why

    def stage(self, frame: Frame, tokens: Streams, window: Window) -> dict[str, Any]:
        mine = frame.at_stage(window.name)
        begin_ns, end_ns = window.start_s * 1e9, window.end_s * 1e9
        on_the_way = frame.where((frame.sent_ns != NULL) & (frame.done_ns != NULL))
        in_time = (frame.done_ns >= begin_ns) & (frame.done_ns < end_ns)
        ok_in_time = in_time & (frame.outcome == Outcome.ok)
        grid = np.arange(begin_ns, end_ns, max((end_ns - begin_ns) / 200, 1e6))
        level = steadiness.in_flight(on_the_way.intended_ns, on_the_way.done_ns, grid)
        dropped = int(mine.dropped.sum())
        response_ms = ((mine.done_ns - mine.intended_ns) / 1e6)[mine.timed]
        offered = int((mine.step == 0).sum())
        prefix, duration_s = f"stages.{window.name}", window.duration_s
        return {
            "name": window.name,
            "warmup": window.warmup,
            "state": steadiness.judge(
                on_the_way.intended_ns, on_the_way.done_ns, response_ms, begin_ns, end_ns, offered, dropped
            ),
            "start_s": window.start_s,
            "duration_s": duration_s,
            "scheduled_rps": (window.start_rps + window.end_rps) / 2,
            "offered_rps": offered / duration_s if self._facts.loop == "open" and duration_s else None,
            "achieved_rps": _responded(frame, [window]) / duration_s if duration_s else 0.0,
            "ok_rps": float(ok_in_time.sum()) / duration_s if duration_s else 0.0,
            "dropped": dropped,
            "in_flight_mean": steadiness.mean_in_flight(on_the_way.intended_ns, on_the_way.done_ns, begin_ns, end_ns),
            "in_flight_max": int(level.max()) if len(level) else 0,
            "all": self.entry(mine, tokens, duration_s, f"{prefix}.all", "all"),
            "endpoints": {
                name: self.entry(mine.at_endpoint(name), tokens, duration_s, f"{prefix}.endpoints.{name}", name)
                for name in mine.endpoints
                if (mine.endpoint == mine.endpoints.index(name)).any()
            },
            "resources": self._facts.usage.get(window.name, {}),
        }

    def entry(self, frame: Frame, tokens: Streams, duration_s: float, prefix: str, name: str) -> dict[str, Any]:
        count = len(frame)
        ok = int((frame.outcome == Outcome.ok).sum())
        outcomes = {
            OUTCOMES[code]: int(n) for code, n in enumerate(np.bincount(frame.outcome, minlength=len(OUTCOMES))) if n
        }
        timed = frame.where(frame.timed)
        floor_ns = self._timeouts_ns(timed)
        response_ns = _censored(timed.done_ns - timed.intended_ns, timed, floor_ns)
        service_ns = _censored(timed.done_ns - timed.sent_ns, timed, floor_ns)
        sent = frame.where(frame.sent_ns != NULL)
        connected = frame.where(frame.connect_ns != NULL)
        mine = tokens.of(frame)
        rate = count / duration_s if duration_s else None
        limit_ns = floor_ns.min() if timed.censored.any() else None
        document = {
            "count": count,
            "ok": ok,
            "success_rate": ok / count if count else None,
            "error_rate": (count - ok) / count if count else None,
            "outcomes": outcomes,
            "response_ms": self._times(response_ns, f"{prefix}.response_ms", rate, limit_ns),
            "service_ms": self._times(service_ns, f"{prefix}.service_ms", rate, limit_ns),
            "lateness_ms": self._times(sent.sent_ns - sent.intended_ns, f"{prefix}.lateness_ms", rate),
            "connect_ms": self._times(connected.connect_ns - connected.sent_ns, f"{prefix}.connect_ms", None),
            "goodput_rps": self._good(frame, mine, name) / duration_s if duration_s else 0.0,
        }
        if len(mine.key):
            ttft = self._ttft(timed, floor_ns)
            document |= {
                "ttft_ms": self._times(ttft, f"{prefix}.ttft_ms", rate, limit_ns),
                "itl_ms": self._times(mine.gap_ns, f"{prefix}.itl_ms", None),
                "tpot_ms": self._times(mine.tpot_ns, f"{prefix}.tpot_ms", rate),
                "output_tokens_per_s": float(np.maximum(frame.tokens_out, 0).sum()) / duration_s if duration_s else 0.0,
            }
        return document

    def _timeouts_ns(self, frame: Frame) -> np.ndarray:
        facts = self._facts
        table = np.array(
            [facts.timeouts_s.get(name, facts.default_timeout_s) * 1e9 for name in frame.endpoints] or [0.0]
        )
        return table[frame.endpoint]

    def _ttft(self, timed: Frame, floor_ns: np.ndarray) -> np.ndarray:
        """Endpoints that stream; an answer that timed out without a token counts as no less than the timeout."""
        had_token = timed.first_token_ns != NULL
        streamed = np.isin(timed.endpoint, np.unique(timed.endpoint[had_token]))
        values = np.where(
            had_token, timed.first_token_ns - timed.intended_ns, np.maximum(timed.done_ns - timed.intended_ns, floor_ns)
        )
        return values[had_token | (streamed & timed.censored)]

    def _good(self, frame: Frame, mine: Streams, name: str) -> int:
        """Requests that were ok and met every latency limit by themselves (the highest quantile's limit counts)."""
        limits = {**self._facts.limits.get("all", {}), **self._facts.limits.get(name, {})}
        good = frame.outcome == Outcome.ok
        response = [limits[key] for key in ("p99_9_ms", "p99_ms", "p95_ms", "p90_ms", "p50_ms") if key in limits]
        if response:
            good &= (frame.done_ns - frame.intended_ns) / 1e6 <= response[0]
        if "ttft_p95_ms" in limits:
            good &= (frame.first_token_ns != NULL) & (
                (frame.first_token_ns - frame.intended_ns) / 1e6 <= limits["ttft_p95_ms"]
            )
        if "tpot_p95_ms" in limits and len(mine.key):
            slow = mine.tpot_ns / 1e6 > limits["tpot_p95_ms"]
            good &= ~np.isin(streams.keys(frame.seq, frame.step), mine.key[mine.tokens > 1][slow])
        return int(good.sum())

    def _times(
        self, values_ns: np.ndarray, prefix: str, rate: float | None, censored_at_ns: float | None = None
    ) -> dict[str, Any]:
        found = distribution(values_ns / 1e6, rate)
        return as_document(found, prefix, self._why, None if censored_at_ns is None else censored_at_ns / 1e6)


def _censored(values_ns: np.ndarray, frame: Frame, floor_ns: np.ndarray) -> np.ndarray:
    return np.where(frame.censored, np.maximum(values_ns, floor_ns), values_ns)


def as_document(
    found: Distribution, prefix: str, why: dict[str, str], censored_at: float | None = None
) -> dict[str, Any]:
    """A distribution in the form of `summary.json`; reasons of nulls go to `why`."""
    document: dict[str, Any] = {"n": found.n, "min": found.minimum, "mean": found.mean}
    ci95, bounds, effective, method = {}, {}, {}, {}
    if found.mean_ci95:
        ci95["mean"] = list(found.mean_ci95)
    for name, quantile in found.quantiles.items():
        document[name] = quantile.value
        if quantile.ci95:
            ci95[name] = list(quantile.ci95)
        known = (("at_least", quantile.at_least), ("at_most", quantile.at_most), ("sample", quantile.sample))
        one_sided = {k: v for k, v in known if v is not None}
        if quantile.value is not None and censored_at is not None and quantile.value >= censored_at:
            one_sided = {"at_least": quantile.value}
        if one_sided:
            bounds[name] = one_sided
        if quantile.why_null:
            why[f"{prefix}.{name}"] = quantile.why_null
        if found.n:
            effective[name], method[name] = quantile.n_effective, quantile.method
    document |= {"max": found.maximum, "ci95": ci95, "bounds": bounds, "n_effective": effective, "method": method}
    return document
