"""An LLM engine as the target: what other slots would carry, from the gaps between its tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capacity import engine
from capacity.batching import Engine
from capacity.engine import EngineModel
from capacity.queue_settings import QueueSetting
from measurements.interval import Interval

ENGINE = Engine(4, 40, 10**9, 0.0, 0.0, 10**9, 0.010, 0.001, prefill_s_per_prompt=0.02)
MODEL = EngineModel(
    ENGINE, Interval(0.0008, 0.001, 0.0012, 0.9), np.full(500, 50), {("ttft", 0.95): 1.0}, 0.01, 4.0
)  # fmt: skip


def carried(model: EngineModel, setting: QueueSetting, replicas: int = 1) -> float:
    return engine.highest_rate(model, model.at(setting, 0.001), replicas, 1)


def test_more_slots_carry_more_but_less_than_in_proportion() -> None:
    four, eight = carried(MODEL, QueueSetting(4, 40, 60)), carried(MODEL, QueueSetting(8, 80, 60))
    by_steps = (8 / (0.010 + 0.008)) / (4 / (0.010 + 0.004))
    assert eight / four == pytest.approx(by_steps, rel=0.1)


def test_a_limit_on_the_time_per_token_caps_what_slots_gain() -> None:
    strict = replace(MODEL, limits={("ttft", 0.95): 1.0, ("tpot", 0.95): 0.015})
    wide = QueueSetting(16, 80, 60)
    assert carried(strict, wide) < 0.8 * carried(MODEL, wide)


def test_two_engines_that_take_turns_carry_a_little_more_than_twice_as_much() -> None:
    """Every second arrival comes more evenly than every one."""
    setting = QueueSetting(4, 40, 60)
    assert 2.0 < carried(MODEL, setting, 2) / carried(MODEL, setting) < 2.5
