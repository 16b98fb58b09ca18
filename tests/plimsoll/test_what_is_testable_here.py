"""Which predictions two cores can carry."""

from types import SimpleNamespace
from typing import Any

import pytest

from capacity.prediction import Variation
from capacity.queue_settings import QueueSetting
from measurements.interval import Interval
from plimsoll import tryout
from plimsoll.trial import Trial

FOUR = Variation(replicas=4)
SLOTS = Variation(replicas=4, queues={"ask": QueueSetting(6, 60, 30)})
SHARED_SLOTS = Variation(replicas=4, queues={"ask": QueueSetting(1, 15, 30)})  # four in all, as before


def reason(
    change: Variation, line_rps: float, monkeypatch: pytest.MonkeyPatch, cores: float = 0.8, answers_s: float = 0.0
) -> str:
    """Of a prediction of 8.2 rps that keeps so many cores busy."""
    monkeypatch.setattr(tryout, "_least_s", lambda documents: answers_s)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    limits = {"queue": {"ask": {"max_concurrent": 4, "max_queue_size": 60, "timeout_s": 30}}}
    documents: Any = SimpleNamespace(
        workers=1, replicas=1, run={"schedule": {"workers": 1}}, section={"limits": limits}.__getitem__
    )
    trial = Trial("capacity with 4 replicas", change, Interval(7.0, 8.2, 9.4, 0.9), "upstream", 1.0, cores=cores)
    return tryout._too_small(trial, documents, line_rps)


def test_replicas_that_gain_nothing_need_no_more_cpu_than_the_run_that_the_plan_rests_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reason(FOUR, 8.2, monkeypatch) == ""
    assert reason(SHARED_SLOTS, 8.2, monkeypatch) == ""


def test_replicas_that_gain_and_other_queue_limits_need_cores_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "need 5 cores" in reason(FOUR, 4.1, monkeypatch)
    assert "need 5 cores" in reason(SLOTS, 8.2, monkeypatch)


def test_replicas_that_gain_are_not_tried_where_they_would_wait_for_the_core_that_they_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """49 ms of CPU a request at 40 % of a core take 33 ms longer: much of 0.3 s, little of 2 s."""
    assert "would take some 11% longer" in reason(FOUR, 2.0, monkeypatch, cores=0.4, answers_s=0.3)
    assert reason(FOUR, 2.0, monkeypatch, cores=0.4, answers_s=2.0) == ""
