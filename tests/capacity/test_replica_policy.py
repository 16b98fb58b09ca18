"""n = ⌈U/L⌉ + 1, CPU ≤ 50 %, memory ≤ 70 %: properties that must hold for every replica and demand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capacity.demand import ServiceDemand
from capacity.memory import MemoryModel
from capacity.policy import CPU_SHARE, MEMORY_SHARE, Replica, size
from measurements.interval import Interval


def around(middle: float, share: float) -> Interval:
    return Interval(middle * (1 - share), middle, middle * (1 + share), 0.9)


@st.composite
def replicas(draw: st.DrawFn) -> Replica:
    rate = around(draw(st.floats(0.1, 500)), draw(st.floats(0, 0.4)))
    cpu_s = draw(st.floats(0.001, 0.9)) / rate.mid
    base_cores = around(draw(st.floats(0.01, 1.5)), draw(st.floats(0, 0.9)))
    demand = ServiceDemand("target", around(cpu_s, 0.1), base_cores, 8, rate.mid)
    slope = draw(st.one_of(st.none(), st.floats(0, 20).map(lambda middle: around(middle, 0.2))))
    base_mib = draw(st.floats(50, 1100))
    memory = MemoryModel(around(base_mib, draw(st.floats(0, 0.5))), slope, None, base_mib * draw(st.floats(1, 1.6)), "")
    return Replica(
        rate,
        rate.low,
        demand,
        draw(st.sampled_from([None, 1.0, 2.0])),
        memory,
        draw(st.sampled_from([None, 1024.0])),
        0.5,
    )


@given(replicas(), st.floats(0.1, 10_000), st.floats(1, 10))
def test_more_demand_never_takes_fewer_replicas(replica: Replica, demand: float, factor: float) -> None:
    less, more = size(replica, demand), size(replica, demand * factor)
    assert more.recommended >= less.recommended
    assert more.needed is not None and less.needed is not None and more.needed.mid >= less.needed.mid


@given(replicas(), st.floats(0.1, 10_000))
def test_what_is_recommended_lies_at_the_careful_end_and_its_survivors_carry_the_demand(
    replica: Replica, demand: float
) -> None:
    sizing = size(replica, demand)
    assert sizing.needed is not None
    assert sizing.needed.low <= sizing.needed.mid <= sizing.needed.high == sizing.recommended
    assert sizing.survivors_hold and sizing.recommended >= 2
    assert replica.rate_rps is not None
    assert demand / (sizing.recommended - 1) <= replica.rate_rps.low * (1 + 1e-6)


@given(replicas(), st.floats(0.1, 10_000))
def test_cpu_and_memory_keep_their_headroom_or_it_is_said_that_no_number_keeps_it(
    replica: Replica, demand: float
) -> None:
    sizing = size(replica, demand)
    unkept = {one.rule for one in sizing.unkept}
    shares = {
        "cpu_50_percent": (sizing.cpu_share, CPU_SHARE),
        "memory_70_percent": (sizing.memory_share, MEMORY_SHARE),
    }
    for rule, (share, most) in shares.items():
        if share is not None:
            assert (rule in unkept and rule not in sizing.by_rule) or share <= most + 1e-6
    many = size(replica, demand * 1e6)
    for rule in unkept:  # with so many replicas each does next to nothing, and still
        share, most = {"cpu_50_percent": many.cpu_share, "memory_70_percent": many.memory_share}[rule], shares[rule][1]
        assert share is not None and share >= most - 1e-6


@given(replicas(), st.floats(0.1, 10_000))
def test_the_rule_that_binds_is_one_that_no_number_keeps_or_the_largest(replica: Replica, demand: float) -> None:
    sizing = size(replica, demand)
    assert sizing.recommended == max(sizing.by_rule.values())
    if sizing.unkept:
        assert sizing.binding_rule in {one.rule for one in sizing.unkept}
    else:
        assert sizing.by_rule[sizing.binding_rule] == sizing.recommended


def test_a_wider_interval_never_makes_the_plan_cheaper() -> None:
    narrow = Replica(around(20, 0.05), 19, None, None, None, None, None)
    wide = Replica(around(20, 0.4), 12, None, None, None, None, None)
    assert size(wide, 100).recommended > size(narrow, 100).recommended


def test_by_hand() -> None:
    replica = Replica(Interval(18, 20, 22, 0.9), 18, None, None, None, None, None)
    sizing = size(replica, 100)
    assert sizing.needed is not None
    assert (sizing.needed.low, sizing.needed.mid, sizing.needed.high) == (6, 6, 7)
