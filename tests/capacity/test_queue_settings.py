"""Which queue settings serve anybody, and how many replicas a bounded queue takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capacity.queue_settings import QueueSetting, advise, carries, useful_queue, useful_slots
from capacity.replica_search import Goal, fewest, meets
from capacity.simulation import Discipline

FIVE_S = np.random.default_rng(1).exponential(5.0, 4000)


@pytest.mark.parametrize(
    ("slots", "timeout_s", "service_s", "useful"), [(2, 30, 5, 10), (1, 60, 20, 2), (3, 60, 5, 33), (2, 4, 5, 0)]
)
def test_a_queue_is_useful_as_far_as_its_last_place_is_reached_in_time(
    slots: int, timeout_s: float, service_s: float, useful: int
) -> None:
    assert useful_queue(slots, timeout_s, service_s) == useful


def test_slots_help_as_far_as_cpu_lasts() -> None:
    assert useful_slots(service_s=0.2, cpu_s=0.2, cores=1) == 1
    assert useful_slots(service_s=0.2, cpu_s=0.05, cores=1) == 4
    assert useful_slots(service_s=0.2, cpu_s=0.05, cores=2) == 8


class TestAlaw:
    """Its limits in force (search 2, 10, 30 s; analysis 1, 5, 60 s) and its team's tuned ones (3, 20, 60; 2, 15, 120)."""

    SEARCH, TUNED = QueueSetting(2, 10, 30), QueueSetting(3, 20, 60)

    def test_a_search_that_is_all_cpu_gains_nothing_from_a_third_slot_on_two_cores(self) -> None:
        two, three = (carries(QueueSetting(n, 10, 30), FIVE_S / 10, 0.5, 2.0, 5.0) for n in (2, 3))
        assert three <= two * 1.05

    def test_a_search_that_mostly_waits_does(self) -> None:
        two, three = (carries(s, FIVE_S / 10, 0.05, 2.0, 5.0) for s in (self.SEARCH, self.TUNED))
        assert three > 1.4 * two

    def test_places_that_are_reached_after_the_timeout_are_called_doomed(self) -> None:
        found = advise("case_analysis", QueueSetting(1, 15, 60), FIVE_S * 2, 2.0, 2.0, None)
        assert any("doomed" in sentence for sentence in found["sentences"])
        assert found["useful_queue_in_force"] == useful_queue(1, 60, float(FIVE_S.mean() * 2))

    def test_the_advice_carries_more_than_what_is_in_force(self) -> None:
        found = advise("search", self.SEARCH, FIVE_S / 10, 0.1, 2.0, 3.0)
        assert found["carries_rps"]["advised"] > found["carries_rps"]["in_force"]


def replicas_for(discipline: Discipline, service_s: np.ndarray, rate_rps: float, goal: Goal) -> int | None:
    return fewest(lambda count: meets(replace(discipline, replicas=count), service_s, goal)(rate_rps))


def test_two_slots_ten_places_take_fourteen_replicas_at_four_a_second() -> None:
    discipline = Discipline(2, 10, 30, "wait")
    assert replicas_for(discipline, FIVE_S / FIVE_S.mean() * 5, 4.0, Goal(0.01)) == pytest.approx(14, abs=1)


def test_more_demand_never_takes_fewer_replicas() -> None:
    discipline = Discipline(2, 10, 30, "wait", routing="least_outstanding")
    found = [replicas_for(discipline, FIVE_S, rate, Goal(0.01)) for rate in (1.0, 2.0, 4.0, 8.0)]
    assert found == sorted(found, key=lambda n: n or 0) and None not in found


def test_a_service_slower_than_its_goal_is_helped_by_no_number_of_replicas() -> None:
    assert replicas_for(Discipline(2, 10), FIVE_S, 4.0, Goal(0.01, 0.95, within_s=1.0)) is None
