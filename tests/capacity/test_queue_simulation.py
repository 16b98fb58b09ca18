"""The simulation against closed formulas, against the tables that are known, and against itself."""

from __future__ import annotations

import time
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import queueing
from capacity.simulation import OK, REJECTED, TIMEOUT, Discipline, Routing, poisson, simulate

S = 0.010
# Response p50, p95, p99 in ms at S = 10 ms; M/M/1 and M/M/4 by formula, M/D/1 by its exact distribution.
KNOWN = {
    ("M/M/1", 0.5): (13.9, 59.9, 92.1), ("M/M/1", 0.7): (23.1, 99.9, 153.5), ("M/M/1", 0.8): (34.7, 149.8, 230.3),
    ("M/D/1", 0.5): (10.0, 30.5, 43.4), ("M/D/1", 0.7): (17.3, 51.0, 74.9), ("M/D/1", 0.8): (22.8, 76.2, 113.6),
    ("M/M/4", 0.5): (7.8, 31.5, 47.6), ("M/M/4", 0.7): (10.3, 37.5, 54.9), ("M/M/4", 0.8): (13.5, 47.4, 68.9),
}  # fmt: skip


def exponential(n: int, mean_s: float, seed: int = 99) -> np.ndarray:
    return np.random.default_rng(seed).exponential(mean_s, n)


@pytest.mark.parametrize(("queue", "rho"), KNOWN)
def test_quantiles_of_known_queues(queue: str, rho: float) -> None:
    servers = 4 if queue == "M/M/4" else 1
    n = 300_000
    work = np.full(n, S) if queue == "M/D/1" else exponential(n, S)
    found = simulate(poisson(rho * servers / S, n, 1), work, Discipline(servers))
    # at ρ = 0.8 an M/M/1's effective n is about n/84, so 400,000 are worth some 5,000
    assert [found.quantile_s(p) * 1e3 for p in (0.5, 0.95, 0.99)] == pytest.approx(KNOWN[queue, rho], rel=0.08)


@pytest.mark.parametrize(("queue", "rho"), [key for key in KNOWN if key[0] != "M/D/1"])
def test_the_formulas_give_the_same_table(queue: str, rho: float) -> None:
    servers = 4 if queue == "M/M/4" else 1
    found = [queueing.mm_c_quantile_s(p, rho * servers / S, S, servers) * 1e3 for p in (0.5, 0.95, 0.99)]
    assert found == pytest.approx(KNOWN[queue, rho], rel=0.005)


@pytest.mark.parametrize("servers", [1, 2, 8])
def test_as_many_wait_as_erlang_says(servers: int) -> None:
    n, rho = 300_000, 0.75
    arrivals, work = poisson(rho * servers / S, n, 3), exponential(n, S)
    found = simulate(arrivals, work, Discipline(servers))
    waited = float((found.response_s > work + 1e-9).mean())
    assert waited == pytest.approx(queueing.erlang_c(servers, rho * servers), rel=0.03)


@pytest.mark.parametrize(("servers", "queue", "offered"), [(2, 10, 1.6), (4, 0, 4.0), (1, 5, 1.5)])
def test_as_many_are_refused_as_a_bounded_queue_refuses(servers: int, queue: int, offered: float) -> None:
    n = 300_000
    found = simulate(poisson(offered, n, 5), exponential(n, 1.0), Discipline(servers, queue))
    assert found.share(REJECTED) == pytest.approx(queueing.loss_of_bounded_queue(servers, queue, offered), rel=0.05)
    if queue == 0:
        assert queueing.loss_of_bounded_queue(servers, 0, offered) == pytest.approx(queueing.erlang_b(servers, offered))


def test_means_of_general_queues_agree_with_kingman_and_allen_cunneen() -> None:
    """Both are exact for M/G/1, where Pollaczek and Khinchine say ρS(1 + cₛ²)/(2(1−ρ))."""
    n, rho, cv = 600_000, 0.7, 0.5
    shape = 1 / cv**2
    work = np.random.default_rng(8).gamma(shape, S / shape, n)
    found = float((simulate(poisson(rho / S, n, 8), work, Discipline(1)).response_s - work).mean())
    assert queueing.kingman_wait_s(rho / S, S, 1.0, cv) == pytest.approx(found, rel=0.05)
    assert queueing.allen_cunneen_wait_s(rho / S, S, 1, 1.0, cv) == pytest.approx(found, rel=0.05)


def test_two_slots_ten_places_thirty_seconds_need_fourteen_replicas_not_ten() -> None:
    """S = 5 s, 4 requests a second, at most 1 % lost: ⌈λ/μ⌉ over two slots says 10; random routing takes 14."""
    n = 200_000
    arrivals, work = poisson(4.0, n, 1), exponential(n, 5.0, 2)

    def lost(replicas: int, routing: Routing) -> float:
        return simulate(arrivals, work, Discipline(2, 10, 30, "wait", replicas=replicas, routing=routing)).loss

    assert np.ceil(4 * 5 / 2) == 10 and lost(10, "random") > 0.05
    assert lost(13, "random") > 0.01 >= lost(14, "random")
    assert lost(12, "least_outstanding") < 0.001 < lost(12, "round_robin") < lost(12, "random")


class TestTimeouts:
    BUSY = (poisson(3.0, 20_000, 4), exponential(20_000, 1.0, 4))

    def test_nobody_waits_longer_than_the_timeout(self) -> None:
        found = simulate(*self.BUSY, Discipline(2, None, 5.0))
        assert found.response_s.max() <= 5.0 + 1e-9
        assert found.share(TIMEOUT) > 0.2

    def test_work_that_a_timeout_does_not_stop_is_done_for_nobody(self) -> None:
        stops = simulate(*self.BUSY, Discipline(2, None, 5.0, cancels_waiting=True, cancels_running=True))
        goes_on = simulate(*self.BUSY, Discipline(2, None, 5.0, cancels_waiting=False, cancels_running=False))
        assert goes_on.throughput_rps < 0.1 * stops.throughput_rps
        assert goes_on.wasted_s > 0.9 * goes_on.busy_s

    def test_clients_that_try_again_make_an_overload_worse(self) -> None:
        once = simulate(*self.BUSY, Discipline(2, 5, 5.0))
        thrice = simulate(*self.BUSY, Discipline(2, 5, 5.0, retries=2))
        assert thrice.attempts > 1.3 * once.attempts
        assert thrice.quantile_s(0.95) > once.quantile_s(0.95)

    def test_pauses_that_double_reach_a_place_that_comes_free_later(self) -> None:
        two_at_once, work = np.array([0.0, 0.0]), np.array([1.0, 0.1])

        def ends(growth: float) -> tuple[int, int]:
            found = simulate(two_at_once, work, Discipline(1, 0, retries=4, retry_after_s=0.1, retry_growth=growth))
            return int(found.outcome[1]), found.attempts

        assert ends(1.0) == (REJECTED, 6)  # at 0.1, 0.2, 0.3 and 0.4 s, all before the place is free
        assert ends(2.0) == (OK, 6)  # at 0.1, 0.3, 0.7 and 1.5 s

    def test_a_client_that_has_no_time_left_does_not_try_again(self) -> None:
        two_at_once, work = np.array([0.0, 0.0]), np.array([1.0, 0.1])
        found = simulate(
            two_at_once, work, Discipline(1, 0, retries=4, retry_growth=2.0, retry_after_s=0.1, patience_s=1)
        )
        assert found.outcome[1] == REJECTED and found.attempts == 5

    def test_an_answer_after_the_client_left_is_a_timeout_and_keeps_its_slot(self) -> None:
        found = simulate(np.array([0.0, 0.5]), np.array([2.0, 1.0]), Discipline(1, None, patience_s=1.0))
        assert found.outcome.tolist() == [TIMEOUT, TIMEOUT]
        assert found.response_s.tolist() == [1.0, 1.0] and found.busy_s == 3.0

    def test_a_timeout_of_the_service_is_repeated_only_where_clients_do(self) -> None:
        again = simulate(*self.BUSY, Discipline(2, None, 5.0, retries=1))
        never = simulate(*self.BUSY, Discipline(2, None, 5.0, retries=1, retries_timeouts=False))
        assert again.attempts > 20_000 == never.attempts


@settings(max_examples=40)
@given(
    st.integers(1, 4), st.one_of(st.none(), st.integers(0, 5)), st.sampled_from([inf, 0.5, 3.0]), st.booleans(),
    st.booleans(), st.integers(0, 2), st.integers(1, 4),
    st.sampled_from(["random", "round_robin", "least_outstanding"]),
)  # fmt: skip
def test_every_request_ends_once_in_time_and_the_seed_repeats(
    slots: int, queue: int | None, timeout_s: float, waiting: bool, running: bool, retries: int, replicas: int,
    routing: Routing,
) -> None:  # fmt: skip
    discipline = Discipline(slots, queue, timeout_s, "response", waiting, running, retries, 0.2, replicas, routing)
    arrivals, work = poisson(4.0, 800, 1), exponential(800, 0.6, 1)
    found, again = simulate(arrivals, work, discipline, 7), simulate(arrivals, work, discipline, 7)
    assert (found.response_s == again.response_s).all() and (found.outcome == again.outcome).all()
    assert set(found.outcome.tolist()) <= {OK, REJECTED, TIMEOUT}
    assert (found.response_s >= 0).all() and found.attempts >= 800
    ok = found.outcome == OK
    assert (found.response_s[ok] >= work[ok] - 1e-9).all()
    if retries == 0:
        assert (found.response_s <= timeout_s + 1e-9).all()
    assert found.busy_s <= work.sum() * (retries + 1) + 1e-6


@pytest.mark.prove
def test_a_million_requests_take_at_most_five_seconds() -> None:
    n = 1_000_000
    for discipline in (Discipline(2, 10, 30, "wait", replicas=14), Discipline(1)):
        arrivals, work = poisson(4.0, n, 1), exponential(n, 5.0 if discipline.slots == 2 else 0.2)
        begun = time.perf_counter()
        simulate(arrivals, work, discipline)
        assert time.perf_counter() - begun <= 5.0
