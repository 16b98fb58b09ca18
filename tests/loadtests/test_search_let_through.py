"""What a limit is set to, read from what it let through and refused; and where its refusals reach a share."""

import numpy as np
import pytest
from simulated_queues import Queue, constant

from loadtests.search.let_through import Bucket, bucket, let_through
from loadtests.search.trial import Request, Rows
from measurements.sample import Outcome


def trial(queue: Queue, rate_rps: float, seconds: float = 3.0, seed: int = 1) -> Rows:
    return queue(Request(1, rate_rps, 0.0, seconds, "doubling", seed), lambda rows: "")


@pytest.mark.parametrize(("rate", "burst"), [(20.0, 5.0), (100.0, 20.0), (400.0, 200.0)])
def test_a_bucket_is_told_by_its_rate_and_its_burst(rate: float, burst: float):
    limiter = Queue(constant(0.005), 500, bucket=(rate, burst))
    found = bucket([seen for seed in range(3) if (seen := let_through(trial(limiter, 2 * rate, seed=seed)))])
    assert found is not None
    assert abs(found.rate_rps - rate) <= 3 * found.error_rps
    assert found.burst == pytest.approx(burst, abs=3)


def test_a_limit_that_counts_in_fixed_windows_is_no_bucket():
    rows = trial(Queue(constant(0.005), 500), 200.0)
    number = np.zeros(len(rows), dtype=int)
    for second in np.unique(rows.sent_s.astype(int)):
        mine = rows.sent_s.astype(int) == second
        number[mine] = np.arange(mine.sum())
    rows.outcome[number >= 60] = int(Outcome.rejected)
    assert let_through(rows) is None


def test_few_refusals_and_services_of_varying_speed_tell_of_no_bucket():
    assert let_through(trial(Queue(constant(0.005), 500, bucket=(100.0, 20.0)), 100.0)) is None
    rows = trial(Queue(constant(0.005), 500), 200.0)
    rows.outcome[np.random.default_rng(1).random(len(rows)) < 0.4] = int(Outcome.rejected)
    assert let_through(rows) is None


@pytest.mark.parametrize(("burst", "share"), [(5, 0.02), (20, 0.01), (20, 0.05), (100, 0.01)])
def test_the_rate_at_which_a_share_is_refused_is_the_one_that_a_simulation_has(burst: int, share: float):
    edge_rps, _ = Bucket(100.0, 0.0, burst).edge_rps(share)
    at_s = np.cumsum(np.random.default_rng(7).exponential(1 / edge_rps, 300_000))
    refused = Queue(constant(0.0), 1, bucket=(100.0, float(burst)))._refused(at_s)
    assert refused.mean() == pytest.approx(share, rel=0.12)
