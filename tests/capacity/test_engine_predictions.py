"""An LLM engine as the target: what it costs, and what other slots or more of it would carry, from what its streams showed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capacity import engine
from capacity.batching import Engine, generate
from capacity.engine import EngineModel
from capacity.engine_fit import Costs, Seen, fit
from capacity.queue_rate import STRANGE
from capacity.queue_settings import QueueSetting
from capacity.simulation import poisson

ENDLESS = 10**9
ENGINE = Engine(4, 40, ENDLESS, 0.0, 0.0, ENDLESS, 0.010, 0.001, prefill_s_per_prompt=0.02)
LIMITS = {("ttft", 0.95): 1.0}
# six places; streams hardly cost each other anything, and while a prompt is read they all wait
READS = Engine(6, 60, ENDLESS, 0.020, 0.0, ENDLESS, 0.012, 0.00025, prefill_s_per_prompt=0.003)
OUTPUTS = np.random.default_rng(3).lognormal(np.log(10), 0.5, 2_000).astype(np.int64).clip(1, 60)


def known(costs: Engine, limits: dict[tuple[str, float], float] = LIMITS) -> EngineModel:
    model = EngineModel(costs, [], np.full(500, 50), limits, 0.01)
    model.__dict__["costs"] = Costs(costs, costs, costs, 0.0)
    return model


def carried(model: EngineModel, setting: QueueSetting, replicas: int = 1) -> float:
    return engine.highest_rate(model, engine.with_slots(model.variants[0], setting), replicas, 1)


def seen(planted: Engine, rates: tuple[float, ...], seconds: float = 20.0) -> list[Seen]:
    """What stages of the planted engine would show, each with arrivals and lengths of its own."""
    found = []
    for number, rate in enumerate(rates):
        n = round(rate * seconds)
        arrivals = poisson(rate, n, 100 + number)
        lengths = np.random.default_rng(200 + number).choice(OUTPUTS, n)
        ran = generate(arrivals, np.ones(n, dtype=np.int64), lengths, planted)
        ok = ~np.isnan(ran.ttft_s)
        lost = 1 - ok.mean()
        gap_s = (ran.response_s - ran.ttft_s)[ok].sum() / (lengths[ok] - 1).sum()
        first_s = float(ran.ttft_s[ok].mean()) if rate < 12 else None
        done = (arrivals + ran.response_s)[ok]
        carried = ((done > seconds / 4) & (done <= seconds)).sum() / (seconds * 3 / 4)
        found.append(Seen(rate, float(gap_s), first_s, float(carried) if lost > 0.05 else None))
    return found


def test_reading_that_all_streams_wait_for_is_not_taken_for_streams_that_slow_each_other() -> None:
    rates = (5.0, 10.0, 16.0, 19.0, 26.0, 33.0, 40.0, 50.0)
    stages = seen(READS, rates)
    running = [min(6.0, rate * 0.3) for rate in rates]
    straight_s = np.polyfit(running, [stage.gap_s for stage in stages], 1)[0]
    costs = fit(stages, OUTPUTS, replace(READS, alpha_s=0, beta_s=0, prefill_base_s=0, prefill_s_per_prompt=0))
    assert straight_s > 4 * READS.beta_s
    assert costs.fitted.beta_s < 2 * READS.beta_s
    assert costs.fitted.alpha_s == pytest.approx(READS.alpha_s, rel=0.1)
    reading_s = costs.fitted.prefill_base_s + costs.fitted.prefill_s_per_prompt
    assert reading_s == pytest.approx(0.023, rel=0.25)
    assert costs.off < 0.05


def test_streams_that_get_faster_with_more_load_are_no_engine_that_shares_its_steps() -> None:
    """Their gaps shrink to a tenth, and what overload carries is half of what a calm stage did."""
    rates = (2.0, 5.0, 10.0, 20.0, 30.0, 40.0)
    strange = [Seen(rate, 0.1 / rate, 0.05, rate / 4 if rate > 10 else None) for rate in rates]
    assert fit(strange, OUTPUTS, replace(READS, alpha_s=0, beta_s=0)).off > STRANGE


@pytest.mark.parametrize(
    "planted",
    [
        READS,
        replace(READS, prefill_base_s=0.0, prefill_s_per_prompt=0.02),
        replace(READS, prefill_base_s=0.004, beta_s=0.0015),
    ],
    ids=["reading together", "reading apart", "streams that slow each other"],
)
def test_what_more_slots_and_replicas_gain_is_what_the_planted_engine_gains(planted: Engine) -> None:
    stages = seen(planted, tuple(k * 0.3 * _line(planted) for k in range(1, 11)))
    model = EngineModel(replace(planted, alpha_s=0, beta_s=0), stages, OUTPUTS, {("ttft", 0.95): 0.5}, 0.02)
    now = QueueSetting(6, 60, 30)
    for setting, replicas in ((now, 2), (now, 4), (QueueSetting(9, 90, 30), 1)):
        truly = _line(planted, setting, replicas) / _line(planted)
        gains = [_line(one, setting, replicas) / _line(one) for one in model.variants]
        assert gains[0] == pytest.approx(truly, rel=0.06)
        assert min(gains) * 0.98 <= truly <= max(gains) * 1.02


def _line(costs: Engine, setting: QueueSetting | None = None, replicas: int = 1) -> float:
    model = EngineModel(costs, [], OUTPUTS, {("ttft", 0.95): 0.5}, 0.02)
    changed = engine.with_slots(costs, setting) if setting else costs
    return engine.highest_rate(model, changed, replicas, 5)


def test_more_slots_carry_more_but_less_than_in_proportion() -> None:
    model = known(ENGINE)
    four, eight = carried(model, QueueSetting(4, 40, 60)), carried(model, QueueSetting(8, 80, 60))
    by_steps = (8 / (0.010 + 0.008)) / (4 / (0.010 + 0.004))
    assert eight / four == pytest.approx(by_steps, rel=0.1)


def test_a_limit_on_the_time_per_token_caps_what_slots_gain() -> None:
    strict = known(ENGINE, {("ttft", 0.95): 1.0, ("tpot", 0.95): 0.015})
    wide = QueueSetting(16, 80, 60)
    assert carried(strict, wide) < 0.8 * carried(known(ENGINE), wide)


def test_two_engines_that_take_turns_carry_a_little_more_than_twice_as_much() -> None:
    """Every second arrival comes more evenly than every one."""
    setting = QueueSetting(4, 40, 60)
    model = known(ENGINE)
    assert 2.0 < carried(model, setting, 2) / carried(model, setting) < 2.5
