"""Bottlenecks in which requests wait while CPU is idle: limiters, slots, locks, pools, upstreams.

From outside a lock, a pool, a semaphore and a slow upstream are the same queue; each recogniser here needs something
more: a limit that the contract declares, refusals and how they grow, the engine's or the service's own metrics, stacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from capacity import declared
from capacity.documents import Stage
from capacity.facts import Facts, bench_cores
from capacity.figures import figure
from capacity.fits import line
from capacity.queueing import erlang_b, taken_share
from capacity.sign import AT_LIMIT, Sign
from measurements.distributions import binomial_log_probability

WHOLE = 0.95  # of the slots taken: as good as all
STARVED = 0.2  # s per s that an engine waited for a core
UPSTREAM = re.compile(r"upstream|llm|openai|anthropic|completion", re.IGNORECASE)


def slow_replica(facts: Facts) -> Sign | None:
    """One replica's p95 apart from all others', beyond both intervals and by half."""
    times = {name: one for name, one in (facts.run.replica_times or {}).items() if one.get("p95_ci95")}
    if len(times) < 2:
        return None
    name = max(times, key=lambda one: times[one]["p95_ms"])
    slowest, others = times[name], [one for other, one in times.items() if other != name]
    highest = max(one["p95_ci95"][1] for one in others)
    if slowest["p95_ci95"][0] < 1.5 * highest:
        return None
    said = (
        f"replica {name} answers with a p95 of {figure(slowest['p95_ms'])} ms, the others with at most "
        f"{figure(max(one['p95_ms'] for one in others))} ms"
    )
    return Sign("slow_replica", 0.85, [said])


def blocked(facts: Facts) -> Sign | None:
    """What the stacks said that were taken at the plateau."""
    kinds = {"lock": "lock", "pool": "connection_pool", "socket": "upstream"}
    shares = facts.run.blocked_frames or {}
    known = {name: share for name, share in shares.items() if name in kinds}
    if not known or not facts.own_cpu_is_low:
        return None
    name, share = max(known.items(), key=lambda item: item[1])
    if share < 0.5 or (name == "socket" and not facts.run.section("upstream")):
        return None
    return Sign(kinds[name], 0.8, [f"{share:.0%} of the serving threads were seen waiting for a {name}, CPU low"])


def _likelihood(stages: Sequence[Stage], refused: Sequence[float]) -> float:
    """Log-likelihood of the refusals seen, for a share refused per stage (at least 0.5 %: nothing is that exact)."""
    return sum(
        binomial_log_probability(stage.outcome("rejected"), stage.count, min(max(share, 0.005), 0.995))
        for stage, share in zip(stages, refused, strict=True)
    )


def declared_queue(facts: Facts) -> Sign | None:
    """The plateau is what the contract's slots can do: c slots over the service time of the calmest stage, as far as they are
    taken behind so long a line."""
    if not facts.plateau or facts.own_cpu_is_high:
        return None
    for name, queue in (facts.run.section("limits").get("queue") or {}).items():
        endpoint = name if name in facts.calm.endpoints else None
        if endpoint is None and len(facts.calm.endpoints) != 1:
            continue
        entry = facts.calm.endpoints[endpoint or next(iter(facts.calm.endpoints))]
        mean_ms = (entry.get("response_ms") or {}).get("mean")
        share = (entry.get("count") or 0) / facts.calm.count
        if not mean_ms or not share:
            continue
        slots = float(queue["max_concurrent"]) * facts.run.replicas
        predicted = slots / (mean_ms / 1000) / share / facts.calm.requests_per_arrival
        rate, places = facts.plateau.rate_rps, int(queue["max_queue_size"])
        each = share * facts.calm.requests_per_arrival / facts.run.replicas
        taken = taken_share(int(queue["max_concurrent"]), places, facts.plateau.offered_rps * each, rate.mid * each)
        if 0.85 * rate.low <= taken * predicted <= 1.15 * rate.high:
            said = (
                f"{slots:.0f} slots of queue {name} at {figure(mean_ms)} ms each allow {figure(predicted)} rps; "
                f"the plateau was {figure(rate.mid)}"
            )
            if taken < WHOLE:
                said = (
                    f"{slots:.0f} slots of queue {name} at {figure(mean_ms)} ms each allow {figure(predicted)} rps, "
                    f"{figure(taken * predicted)} behind a line of {places}; the plateau was {figure(rate.mid)}"
                )
            return Sign("concurrency_limit", 0.8 if facts.own_cpu_is_low else 0.6, [said])
    return None


def rate_limit(facts: Facts) -> Sign | None:
    """Fast rejections, CPU low, what is let through neither slower nor more, however much comes."""
    if facts.reject_share < 0.05 or not facts.plateau or facts.own_cpu_is_high:
        return None
    slower, rate = facts.slowdown(), facts.plateau.rate_rps
    if slower is None or slower > 1.3:
        return None
    used = "unknown" if facts.busiest_cores is None else f"{facts.busiest_cores:.2f} core"
    evidence = [
        f"{facts.reject_share:.0%} were rejected while what was let through took {slower:.2g} times as long as at "
        f"{figure(facts.calm.rate_rps)} rps; CPU of the busiest process: {used}"
    ]
    for name, value in declared.rates(facts.run).items():
        if 0.9 * rate.low <= value <= 1.1 * rate.high:
            said = f"the contract's {name} allows {figure(value)} rps; {figure(rate.mid)} were let through"
            return Sign("rate_limit", 0.9 if facts.own_cpu_is_low else 0.7, [*evidence, said])
    beyond = [stage for stage in facts.top if stage.rate_rps >= 1.1 * rate.mid]
    served = [stage.ok_rps for stage in beyond]
    exact = len(beyond) >= 2 and max(served) <= 1.1 * min(served) and beyond[-1].rate_rps >= 1.2 * beyond[0].rate_rps
    if not exact or not facts.own_cpu_is_low or _slows(facts):
        return None
    if not _rather_tokens_than_slots(facts, rate.mid):
        return None
    span = f"{figure(beyond[0].rate_rps)} to {figure(beyond[-1].rate_rps)} rps"
    said = f"{figure(min(served))} to {figure(max(served))} rps passed while {span} came"
    return Sign("rate_limit", 0.7, [*evidence, said])


def _slows(facts: Facts) -> bool:
    """What was let through at the highest rate took longer than up to 60 % of the plateau, by a tenth and three standard
    errors (of times that vary as an exponential's do): a bucket lets nothing wait, a short line before slots does."""
    rate = facts.plateau.rate_rps.mid if facts.plateau else 0.0
    calm = [stage for stage in facts.stages if stage.rate_rps <= 0.6 * rate and stage.response_mean_ms] or [facts.calm]
    now_ms, served = facts.top[-1].response_mean_ms, [max(1, int(stage.overall.get("ok") or 0)) for stage in calm]
    if now_ms is None or calm[0].response_mean_ms is None:
        return False
    calm_ms = sum((stage.response_mean_ms or 0.0) * n for stage, n in zip(calm, served, strict=True)) / sum(served)
    error = (1 / sum(served) + 1 / max(1, int(facts.top[-1].overall.get("ok") or 0))) ** 0.5
    return now_ms > (1.1 + 3 * error) * calm_ms


def _rather_tokens_than_slots(facts: Facts, rate_rps: float) -> bool:
    """Refusals by stage fit a bucket of tokens, 1 − r/λ, clearly better than slots without a queue, Erlang's B.

    Stages within 15 % of the rate are left out: there a bucket's burst matters. e⁵ to one is clear.
    """
    calm_ms = facts.calm.response_mean_ms
    far = [stage for stage in facts.stages if abs(stage.rate_rps / rate_rps - 1) > 0.15]
    if not calm_ms or not far:
        return False

    tokens = max(
        _likelihood(far, [max(0.0, 1 - rate_rps * factor / stage.rate_rps) for stage in far])
        for factor in (0.95, 0.97, 0.99, 1.01, 1.03, 1.05, 1.07, 1.09)
    )
    most = max(2, round(3 * rate_rps * calm_ms / 1000) + 2)
    slots = max(
        _likelihood(far, [erlang_b(places, stage.rate_rps * calm_ms / 1000) for stage in far])
        for places in range(1, most)
    )
    return tokens - slots > 5


def bounded_queue(facts: Facts) -> Sign | None:
    """Fast rejections beside waiting that has stopped to grow: slots are full and so is the queue before them."""
    if facts.reject_share < 0.05 or not facts.plateau or not facts.own_cpu_is_low or len(facts.top) < 2:
        return None
    slower = facts.slowdown()
    refusing = [
        stage for stage in facts.top if stage.outcome("rejected") >= 0.05 * stage.count and stage.in_flight_mean
    ]
    levels = [float(stage.in_flight_mean or 0.0) for stage in refusing[-2:]]
    if slower is None or len(levels) < 2 or max(levels) > 1.25 * min(levels):
        return None
    at_its_top = levels[-1] >= 0.75 * float(refusing[-1].in_flight_max or levels[-1])
    if slower < (1.15 if at_its_top else 1.5) or not _slows(facts):
        return None
    whose = "its own slots or the upstream's" if facts.run.section("upstream") else "its own slots"
    said = (
        f"{facts.reject_share:.0%} rejected, the rest {slower:.1f} times slower than at {figure(facts.calm.rate_rps)} rps, "
        f"the number in flight stays at {figure(sum(levels) / len(levels))}, CPU low: {whose} and the queue are full"
    )
    return Sign("concurrency_limit" if not facts.run.section("upstream") else "unidentified", 0.7, [said])


def upstream_engine(facts: Facts) -> Sign | None:
    """The engine's own gauges: its places full and requests waiting before them. They say so whatever others use of the
    machine; but an engine that lacks CPU keeps its places longer."""
    said = [(facts.run.server or {}).get(stage.name, {}).get("upstream") or {} for stage in facts.top]
    waiting = [one["waiting_mean"] for one in said if one.get("waiting_mean") is not None]
    running = [one for one in said if one.get("running_mean") and one.get("running_max")]
    first = full_before_a_core(facts)
    if not waiting or not running or min(waiting) < 1 or (_short_of_cpu(facts) and first is None):
        return None
    full = min(one["running_mean"] / one["running_max"] for one in running)
    if full < AT_LIMIT:
        return None
    level = max(one["running_max"] for one in running)
    later, busy = [], max(_busiest(stage) for stage in facts.top)
    if first is not None and busy >= AT_LIMIT:
        later = [
            f"they were full from {figure(first.rate_rps)} rps on, with {_busiest(first):.2f} of a core used by the service's "
            f"busiest process; it uses {busy:.2f} where the backlog is long: that came after"
        ]
    if _is_the_engine(facts):
        own = f"the engine's own {level:.0f} slots were full ({full:.0%} on average), {figure(min(waiting))} and more waited"
        return Sign("concurrency_limit", 0.85, [own, *later])
    said_so = f"the upstream's {level:.0f} places were full ({full:.0%} on average) while {figure(min(waiting))} and more waited"
    return Sign("upstream", 0.85, [said_so, *later])


def full_before_a_core(facts: Facts) -> Stage | None:
    """The first stage, by rising rate, in which the engine's places were full and waited for; None where a core of the
    service was near full by then, or was not seen. What fills up later, with the backlog, does not bind first."""
    gauges = {name: one.get("upstream") or {} for name, one in (facts.run.server or {}).items()}
    places = max((one.get("running_max") or 0 for one in gauges.values()), default=0)
    for stage in facts.stages:
        if not places or not _cores_are_free(stage, facts):
            return None
        here = gauges.get(stage.name, {})
        if (here.get("running_mean") or 0) >= AT_LIMIT * places and (here.get("waiting_mean") or 0) >= 1:
            return stage
    return None


def _cores_are_free(stage: Stage, facts: Facts) -> bool:
    together, delays = bench_cores(stage), [stage.figure(role, "run_delay_s_per_s") for role in stage.dependencies]
    if stage.figure("target", "busiest_process_cores") is None or together is None:
        return False
    shared = together / facts.placed_cores if facts.placed_cores else 0.0
    return _busiest(stage) < 0.8 and shared < 0.85 and max((one or 0.0 for one in delays), default=0.0) <= STARVED


def _busiest(stage: Stage) -> float:
    return stage.figure("target", "busiest_process_cores") or 0.0


def _short_of_cpu(facts: Facts) -> bool:
    """A process of the service is full, or the cores that it shares with the engine are, or the engine waited for one."""
    waits = [
        delay
        for stage in facts.top
        for role in stage.dependencies
        if (delay := stage.figure(role, "run_delay_s_per_s")) is not None
    ]
    return (
        (facts.busiest_cores or 0.0) >= AT_LIMIT or facts.bench_share >= AT_LIMIT or max(waits, default=0.0) > STARVED
    )


def _is_the_engine(facts: Facts) -> bool:
    """The tested service is the engine itself: no upstream is stated, and nothing else was started or seen."""
    return not facts.run.section("upstream") and not any(stage.dependencies for stage in facts.stages)


def upstream_stage(facts: Facts) -> Sign | None:
    """The service's own histograms: most of a slow answer is spent in calls to the upstream, and they grew."""
    if not facts.own_cpu_is_low or not facts.plateau or _is_the_engine(facts):
        return None
    calm, now = _upstream_seconds([facts.calm], facts), _upstream_seconds(facts.top, facts)
    slowest = [
        float(mean) / 1000
        for stage in facts.top
        for entry in stage.endpoints.values()
        if (mean := (entry.get("response_ms") or {}).get("mean"))
    ]
    if not calm or not now or not slowest or now < 1.5 * calm or now < 0.6 * max(slowest):
        return None
    said = (
        f"by the service's own metrics a call to the upstream took {figure(calm)} s at {figure(facts.calm.rate_rps)} rps "
        f"and {figure(now)} s at the plateau, which is {min(1.0, now / max(slowest)):.0%} of its slowest endpoint's time"
    )
    return Sign("upstream", 0.7, [said])


def _upstream_seconds(stages: Sequence[Stage], facts: Facts) -> float | None:
    """Mean time of a histogram that is named or labelled after an upstream, in s; the longest of several."""
    found = []
    for stage in stages:
        for histogram in (facts.run.server or {}).get(stage.name, {}).get("histograms") or []:
            words = " ".join([str(histogram.get("name")), *map(str, (histogram.get("labels") or {}).values())])
            if UPSTREAM.search(words) and "second" in words and histogram.get("mean"):
                found.append(float(histogram["mean"]))
    return max(found, default=None)


def upstream_tokens(facts: Facts) -> Sign | None:
    """Own CPU low, and the gap between tokens grows with what is in flight: ITL ≈ α + β·running."""
    gaps = [
        (float(stage.in_flight_mean), float(itl["mean"]))
        for stage in facts.stages
        if stage.in_flight_mean and (itl := stage.overall.get("itl_ms") or {}).get("mean")
    ]
    if len(gaps) < 4 or not facts.own_cpu_is_low or not facts.plateau or gaps[-1][1] < 1.5 * gaps[0][1]:
        return None
    found = line({"running": [level for level, _ in gaps]}, [gap for _, gap in gaps], [1.0] * len(gaps))
    if found is None or found.slopes["running"].low <= 0:
        return None
    slope = found.slopes["running"]
    if _is_the_engine(facts):
        return None
    said = (
        f"the gap between tokens grew from {figure(gaps[0][1])} to {figure(gaps[-1][1])} ms, by {figure(slope.mid)} ms "
        f"per request in flight ({figure(slope.low)} to {figure(slope.high)}) on {figure(found.base.mid)} ms: "
        "an engine that batches is full"
    )
    return Sign("upstream", 0.75, [said])
