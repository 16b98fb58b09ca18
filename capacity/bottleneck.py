"""The bottleneck by name, or "unidentified" with what it could be; and what would bind next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from capacity import error_texts, memory_limit, next_limit, signatures, waiting
from capacity.facts import Facts
from capacity.figures import figure
from capacity.next_limit import Next
from capacity.sign import Sign

NAMED_FROM = 0.6
RECOGNISERS: tuple[Callable[[Facts], Sign | None], ...] = (
    memory_limit.memory,
    signatures.cpu,
    waiting.blocked,
    waiting.declared_queue,
    waiting.rate_limit,
    waiting.bounded_queue,
    waiting.upstream_engine,
    waiting.upstream_stage,
    waiting.upstream_tokens,
    error_texts.words,
    signatures.dependency,
)
LARGE_BYTES = (
    65_536  # smaller answers fit into a socket's buffer: they leave the service at once, however slow the link
)


@dataclass(frozen=True)
class Bottleneck:
    """`confidence` 0..1; `candidates` only where the kind is "unidentified"."""

    kind: str
    confidence: float
    evidence: list[str]
    candidates: list[str]
    bench: str | None
    next: Next | None

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "is_policy": self.kind == "rate_limit",
            "confidence": self.confidence,
            "evidence": self.evidence,
            "candidates": self.candidates,
            "bench": self.bench,
            "next": self.next.as_json() if self.next else {},
        }


def name(facts: Facts) -> Bottleneck:
    """The most telling signature; two that contradict each other, or a weak one, leave it unidentified."""
    apart = waiting.slow_replica(facts)
    if apart is not None:
        return Bottleneck(apart.kind, apart.confidence, apart.evidence, [], None, next_limit.of(facts, apart.kind))
    if facts.plateau is None:
        return _without_plateau(facts)
    signs = [sign for recognise in RECOGNISERS if (sign := recognise(facts)) is not None]
    named = sorted((s for s in signs if s.kind != "unidentified"), key=lambda sign: -sign.confidence)
    bench = next((sign.bench for sign in signs if sign.bench), None)
    said = [sentence for sign in signs for sentence in sign.evidence]
    if not named:
        seen = [_queue_like(facts), _carried(facts), _who_slowed_down(facts)]
        return _unnamed(facts, [*said, *seen], _candidates(facts), bench)
    best = named[0]
    rivals = {sign.kind for sign in named[1:] if sign.confidence >= best.confidence - 0.1 and sign.kind != best.kind}
    if best.confidence < NAMED_FROM or rivals:
        others = _candidates(facts) if best.kind == "memory" else []
        return _unnamed(facts, said, sorted({best.kind, *rivals, *others}), bench)
    return Bottleneck(
        best.kind,
        best.confidence,
        [*best.evidence, *([bench] if bench else []), *_idle(facts, best)],
        [],
        bench,
        next_limit.of(facts, best.kind),
    )


def _without_plateau(facts: Facts) -> Bottleneck:
    """Only memory can be seen to end before anything waits."""
    sign = memory_limit.memory(facts)
    if sign is not None and sign.confidence >= NAMED_FROM:
        return Bottleneck(sign.kind, sign.confidence, sign.evidence, [], None, next_limit.of(facts, sign.kind))
    said = ["no stage was overloaded, so nothing was seen to bind", *(sign.evidence if sign else [])]
    return _unnamed(facts, said, ["memory"] if sign else [], None)


def _unnamed(facts: Facts, said: list[str], candidates: list[str], bench: str | None) -> Bottleneck:
    return Bottleneck(
        "unidentified",
        0.0,
        [*(s for s in said if s), *([bench] if bench else []), *_busy(facts)],
        candidates,
        bench,
        next_limit.of(facts, "unidentified"),
    )


def _candidates(facts: Facts) -> list[str]:
    """A lock, a pool, slots and a slow upstream are the same queue from outside."""
    ended = ["memory"] if memory_limit.killed(facts) else []
    if not facts.own_cpu_is_low:
        return ended
    found = [*ended, "concurrency_limit", "connection_pool", "lock"]
    if facts.run.section("upstream") or facts.dependency_cores:
        found.append("upstream")
    if _answer_bytes(facts) >= LARGE_BYTES:
        found.append("bandwidth")
    return [*found, "rate_limit"] if facts.reject_share >= 0.05 else found


def _queue_like(facts: Facts) -> str:
    calm_ms = facts.calm.response_mean_ms
    if not facts.own_cpu_is_low or calm_ms is None or facts.plateau is None:
        return ""
    servers = facts.plateau.rate_rps.mid * facts.calm.requests_per_arrival * calm_ms / 1000
    return (
        f"at the plateau of {figure(facts.plateau.rate_rps.mid)} rps it behaves like {servers:.2g} places of "
        f"{figure(calm_ms)} ms each; from outside a lock, a pool, slots and a slow upstream look the same: "
        "stack snapshots at the plateau tell"
    )


def _answer_bytes(facts: Facts) -> float:
    """What came back per request, on average over the mix; 0 where no rows say it."""
    windows = facts.run.windows
    if windows is None or "bytes_in" not in windows.counted or not windows.done.sum():
        return 0.0
    return float(windows.counted["bytes_in"].sum() / windows.done.sum())


def _carried(facts: Facts) -> str:
    """Seen from outside, answers that share a link are the same queue as any other: only their size can speak for it."""
    size = _answer_bytes(facts)
    if size < LARGE_BYTES or not facts.own_cpu_is_low or facts.plateau is None:
        return ""
    carried = facts.plateau.rate_rps.mid * facts.calm.requests_per_arrival * size / 1e6
    return (
        f"answers of {figure(size / 1000)} kB carried {figure(carried)} MB a second at the plateau; a shared link looks like that "
        f"too: plimsoll run {facts.run.contract_path} --shape breakpoint with smaller answers tells (the rate rises, "
        "MB a second stay)"
    )


def _who_slowed_down(facts: Facts) -> str:
    """Which endpoints wait at the plateau, and which do not: what they do not share is what binds."""
    names = sorted({name for stage in facts.top for name in stage.endpoints})
    slower = {name: factor for name in names if (factor := facts.slowdown(name)) is not None}
    waits, flat = [n for n, f in slower.items() if f >= 1.5], [n for n, f in slower.items() if f <= 1.2]
    if not waits or not flat:
        return ""
    factors = ", ".join(f"{name} {slower[name]:.2g} times" for name in waits)
    return f"slower than at {figure(facts.calm.rate_rps)} rps: {factors}; not {', '.join(flat)}: what binds is not shared by all"


def _busy(facts: Facts) -> list[str]:
    if facts.busiest_cores is None:
        return ["the service's processes were not observed"]
    others = (
        [
            f"other processes of this machine used {facts.foreign_cores:.2f} of {facts.host_cores:.0f} cores during the run: "
            "what the service did not get may be theirs, so nothing that takes an idle CPU for granted is named"
        ]
        if facts.disturbed
        else []
    )
    where = "at the plateau" if facts.plateau else f"at the highest stage, {figure(facts.top[0].rate_rps)} rps,"
    return [*others, f"{where} the busiest process used {facts.busiest_cores:.2f} of one core"]


def _idle(facts: Facts, best: Sign) -> list[str]:
    if best.kind.startswith("cpu") or facts.host_share is None:
        return []
    return [f"the host's CPUs were {facts.host_share:.0%} busy"]
