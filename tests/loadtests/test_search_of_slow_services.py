"""The search where answers take seconds: trials that outlast their answers, and no end that later trials refuted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from simulated_queues import Queue, arrivals, lognormal, through, watched

from loadtests.search import answer
from loadtests.search.course import Course, Wishes, finished
from loadtests.search.goal import parse_slo
from loadtests.search.growth import growth
from loadtests.search.searching import Search
from loadtests.search.trial import Look, Request, Rows
from loadtests.search.verdict import LEAST_ANSWERS, Verdict, judge
from reports import searched
from reports.wording import Words

SLO = "mean<3s,errors<1%,generate:p95<5s,search:p95<500ms"
LIMITS = parse_slo(SLO, ["search", "generate"])
# generate's p95 is 5 s at 31.7/s by a simulation of 40,000 s; no more than 33.3/s are ever completed
EDGE_RPS, COMPLETED_RPS = 31.7, 33.3


@dataclass
class Journeys(Queue):
    """Seven of ten requests are a search of 10 ms that never waits, the others generate for 2 s in `servers` places."""

    def __call__(self, request: Request, look: Look) -> Rows:
        random = np.random.default_rng([request.seed, self.seed])
        rows = super().__call__(request, lambda rows: "")
        at_s = arrivals(request)
        generates = random.random(len(at_s)) < 0.3
        done_s = at_s + 0.010
        done_s[generates] = through(at_s[generates], self.service(random, int(generates.sum())), self.servers)
        rows = replace(rows, done_s=done_s, endpoint=generates.astype(int), endpoints=["search", "generate"])
        return watched(rows, request, look)


def service(seed: int) -> Journeys:
    return Journeys(lognormal(2.0, 0.3), 20, seed)


def course(seed: int, budget_s: float = 120.0) -> Course:
    return Search(service(seed), LIMITS, Wishes(budget_s, seed=seed)).run()


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 120), marks=pytest.mark.prove)])
def test_the_edge_of_a_service_of_two_seconds_lies_in_the_bracket(seeds: range) -> None:
    brackets = [answer.bracket(course(seed)) for seed in seeds]
    inside = [
        (b.lower_rps or 0.0) <= COMPLETED_RPS and (b.upper_rps or COMPLETED_RPS) >= EDGE_RPS for b in brackets
    ]  # fmt: skip
    assert sum(inside) >= 0.9 * len(seeds)


def test_a_trial_that_ends_before_its_own_answers_does_not_pass() -> None:
    """At twice what is ever completed every answer of 1.2 s meets its limit, because none has waited yet."""
    request = Request(1, 2 * COMPLETED_RPS, 0.0, 1.2, "doubling", 7)
    done = finished(service(3)(request, lambda rows: ""), request, {"generate": {"p95_ms": 9_000.0}})
    assert done.verdict() is Verdict.UNDECIDED and "too long to say" in done.judgements["all"].why
    for trial in course(1).trials:
        assert trial.verdict() is not Verdict.PASS or trial.request.measure_s >= LEAST_ANSWERS * trial.slowest_first_s


def test_what_grows_of_one_endpoint_is_not_lost_among_the_requests_of_another() -> None:
    request = Request(1, 1.3 * COMPLETED_RPS, 2.0, 10.0, "bisection", 5)
    rows = service(5)(request, lambda rows: "")
    assert not growth(rows.intended_s, rows.done_s, 2.0, 12.0).grows
    judged = judge(rows, request, {"generate": {"p95_ms": 60_000.0}})
    assert judged["all"].verdict is Verdict.FAIL and judged["all"].why.startswith("in-flight grew")
    assert judged["search"].verdict is Verdict.PASS


def refuted(passed_rps: float, failed_rps: tuple[float, ...]) -> Course:
    """A short trial that passed, and longer ones at lower rates that failed."""
    found = Course(LIMITS, Wishes(120.0))
    for number, rate in enumerate((passed_rps, *failed_rps), 1):
        request = Request(number, rate, 1.0, 6.0 if number == 1 else 18.0, "bisection", number)
        done = finished(service(number)(request, lambda rows: ""), request, LIMITS)
        verdict = Verdict.PASS if number == 1 else Verdict.FAIL
        value = 4_900.0 if number == 1 else 9_000.0
        judged = replace(done.judgements["all"], verdict=verdict, metric="p95_ms", value=value, limit=5_000.0)
        found.trials.append(replace(done, judgements={"all": judged}, cut=""))
    found.ended = "the budget is spent"
    return found


def test_an_end_that_later_trials_refuted_is_not_given() -> None:
    document: dict[str, Any] = answer.document(refuted(35.4, (33.6, 31.9, 20.1, 17.4, 70.9)), SLO)
    whole = document["endpoints"]["all"]
    assert document["lower_rps"] is None and document["upper_rps"] == 17.4
    assert document["valid"] and document["confidence"] is None
    assert whole["edge_rps"]["low"] < whole["edge_rps"]["mid"] < whole["edge_rps"]["high"] < 20.1
    (refusal,) = whole["refusals"]
    assert refusal["field"] == "lower_rps"
    assert refusal["reason"].startswith("35.4 rps met the limits for ") and "17.4" in refusal["reason"]
    sentence, bracketed = searched.verdict(document, "kakao", Words("en"))
    assert "carries less than 17.4/s" in sentence and not bracketed
    assert any("edge at" in line for line in searched.details(document, Words("en")))


def test_trials_that_contradict_each_other_are_no_traceback() -> None:
    found = refuted(10.0, (60.0,))
    found.trials = [replace(t, judgements={"all": replace(t.judgements["all"], verdict=v)})
                    for t, v in zip(found.trials, (Verdict.FAIL, Verdict.PASS), strict=True)]  # fmt: skip
    document = answer.document(found, SLO)
    assert document["lower_rps"] is None or document["upper_rps"] is None or document["confidence"] <= 0.9
