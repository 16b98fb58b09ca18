"""One trial's verdict, from its rows alone."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_queues import Queue, constant, exponential

from loadtests.search.goal import Limits
from loadtests.search.growth import growth
from loadtests.search.trial import NEVER, Generator, Request, Rows
from loadtests.search.verdict import Verdict, judge
from loadtests.search.watching import Watch
from measurements.sample import Outcome

SLO: Limits = {"all": {"p95_ms": 100.0, "error_rate": 0.01}}


def rows(rate_rps: float, seconds: float, response_s: float, late_s: float = 0.0) -> Rows:
    at_s = np.arange(0.5, rate_rps * seconds) / rate_rps
    n = len(at_s)
    nothing = np.full(n, np.nan)
    outcome, status, endpoint = np.full(n, int(Outcome.ok)), np.full(n, 200), np.zeros(n, dtype=int)
    return Rows(at_s, at_s + late_s, at_s + late_s + response_s, outcome, status, endpoint, nothing, nothing, ["ask"],
                seconds)  # fmt: skip


def request(rate_rps: float, measure_s: float, settle_s: float = 0.0) -> Request:
    return Request(1, rate_rps, settle_s, measure_s, "bisection", 1)


def test_answers_within_every_limit_pass():
    found = judge(rows(50, 4, 0.05), request(50, 4), SLO)
    assert found["all"].verdict is Verdict.PASS and found["ask"].verdict is Verdict.PASS
    assert found["all"].value == pytest.approx(50.0)


def test_answers_beyond_a_limit_fail_by_the_metric_that_went_furthest():
    found = judge(rows(50, 4, 0.15), request(50, 4), SLO)["all"]
    assert (found.verdict, found.metric, found.limit) == (Verdict.FAIL, "p95_ms", 100.0)


def test_what_was_sent_late_and_answered_in_time_is_the_generators_limit():
    found = judge(rows(50, 4, 0.05, late_s=0.2), request(50, 4), SLO)["all"]
    assert found.verdict is Verdict.GENERATOR_LIMIT
    assert "sent late" in found.why


def test_a_fail_while_the_generator_used_its_whole_core_is_not_the_targets():
    busy = replace(rows(50, 4, 0.15), generator=Generator(cpu_share=0.95))
    assert judge(busy, request(50, 4), SLO)["all"].verdict is Verdict.GENERATOR_LIMIT
    assert judge(replace(busy, done_s=busy.sent_s + 0.05), request(50, 4), SLO)["all"].verdict is Verdict.PASS


def test_a_fault_of_the_generator_voids_the_trial():
    broken = replace(rows(50, 4, 0.05), generator=Generator(faults=("EMFILE: too many open files",)))
    assert judge(broken, request(50, 4), SLO)["all"].verdict is Verdict.GENERATOR_LIMIT


def test_one_slow_answer_of_ten_is_too_few_to_say():
    few = rows(10, 1, 0.05)
    slow = replace(few, done_s=np.where(np.arange(10) == 3, few.intended_s + 0.2, few.done_s))
    assert judge(slow, request(10, 1), {"all": {"p95_ms": 100.0}})["all"].verdict is Verdict.UNDECIDED


def test_only_what_was_due_after_the_settling_is_judged():
    cold = rows(50, 5, 0.05)
    cold = replace(cold, done_s=np.where(cold.intended_s < 1.0, cold.intended_s + 0.5, cold.done_s))
    assert judge(cold, request(50, 4, settle_s=1.0), SLO)["all"].verdict is Verdict.PASS
    assert judge(cold, request(50, 5), SLO)["all"].verdict is Verdict.FAIL


def test_each_endpoint_is_held_to_its_own_limits():
    both = rows(100, 4, 0.05)
    slow = np.arange(len(both)) % 2 == 0
    both = replace(
        both, endpoint=slow.astype(int), endpoints=["search", "generate"],
        done_s=np.where(slow, both.intended_s + 2.0, both.done_s),
    )  # fmt: skip
    found = judge(both, request(100, 4), {"search": {"p95_ms": 100.0}, "generate": {"p95_ms": 1000.0}})
    assert found["search"].verdict is Verdict.PASS
    assert found["generate"].verdict is Verdict.FAIL
    assert found["all"].verdict is Verdict.FAIL


def test_a_trial_cut_for_one_endpoints_misses_says_nothing_against_another():
    """Half of the requests are of an endpoint that fails them all; the other one was within its limits."""
    both = replace(rows(50, 4, 0.05), endpoints=["ask", "broken"], cut="already more requests miss error_rate than may")
    both.endpoint[::2], both.outcome[::2] = 1, int(Outcome.http_error)
    found = judge(both, request(50, 4), SLO)
    assert [found[name].verdict for name in ("all", "ask", "broken")] == [Verdict.FAIL, Verdict.PASS, Verdict.FAIL]
    far = judge(replace(both, cut="in-flight grew out of hand"), request(50, 4), SLO)
    assert far["ask"].verdict is Verdict.FAIL  # that is of the whole service


def test_in_flight_of_an_overloaded_server_grows_and_that_of_one_in_balance_does_not():
    def grows(rate_rps: float, seed: int) -> bool:
        asked = Request(1, rate_rps, 3.0, 17.0, "bisection", seed)
        seen = Queue(constant(0.010), 4, seed)(asked, lambda _: "")
        return growth(seen.intended_s, seen.done_s, 3.0, 20.0).grows

    assert sum(grows(418.0, seed) for seed in range(20)) >= 18
    assert sum(grows(380.0, seed) for seed in range(20)) <= 1


def test_a_trial_far_beyond_the_edge_is_stopped_within_two_seconds():
    asked = Request(1, 800.0, 0.0, 20.0, "doubling", 1)
    seen = Queue(constant(0.010), 4)(asked, Watch(asked, {"all": {"p95_ms": 300.0}}))
    assert seen.elapsed_s <= 2.0 and "out of hand" in seen.cut
    assert judge(seen, asked, {"all": {"p95_ms": 300.0}})["all"].verdict is Verdict.FAIL


def test_a_trial_in_balance_is_never_cut_short():
    for seed in range(20):
        asked = Request(1, 340.0, 2.0, 10.0, "bisection", seed)
        limits: Limits = {"all": {"p95_ms": 300.0, "error_rate": 0.01}}
        assert Queue(exponential(0.010), 4, seed)(asked, Watch(asked, limits)).cut == ""


def test_requests_that_never_end_count_as_beyond_every_limit():
    some = rows(50, 4, 0.05)
    open_ = np.arange(len(some)) % 10 == 0
    some = replace(
        some, done_s=np.where(open_, NEVER, some.done_s), outcome=np.where(open_, int(Outcome.abandoned), some.outcome)
    )
    found = judge(some, request(50, 4), {"all": {"p95_ms": 100.0}})["all"]
    assert found.verdict is Verdict.FAIL and found.value is None
