"""What a killed replica and a rollout cost, on rows of which the truth is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurements import incidents, sample
from measurements.incidents import Rows
from measurements.rundir import RunDirectory
from measurements.sample import Outcome


def made(seconds: float, rps: float, service_s: float = 0.05) -> Rows:
    at_s = np.arange(0, seconds, 1 / rps)
    return Rows(at_s, at_s + service_s, np.zeros(len(at_s), dtype=np.int8))


def failing(rows: Rows, begin_s: float, end_s: float, every: int = 1, outcome: Outcome = Outcome.connect_error) -> Rows:
    hit = (rows.intended_s >= begin_s) & (rows.intended_s < end_s)
    hit &= np.arange(len(rows.intended_s)) % every == 0
    return Rows(rows.intended_s, rows.ended_s, np.where(hit, outcome, rows.outcome).astype(np.int8))


KILLED = [{"what": "killed", "at_s": 10.0}, {"what": "started", "at_s": 20.0}]


def test_half_of_all_requests_failing_for_two_seconds_is_one_second_of_outage() -> None:
    found = incidents.failover(failing(made(30, 100), 10.0, 12.0, every=2), KILLED, 30.0)
    assert found["failed"] == 100 and found["complete"]
    assert found["outage_equivalent_s"] == pytest.approx(1.0, rel=0.01)
    assert found["share_of_month_budget"] == pytest.approx(1.0 / 2592, rel=0.01)
    low, high = found["time_to_recover_s"]["low"], found["time_to_recover_s"]["high"]
    assert low <= 2.0 <= high + 0.02 and high - low < 0.05
    assert "100 of 2,00" in " ".join(incidents.sentences("failover", found))


def test_a_kill_that_nobody_felt_costs_nothing_and_says_how_sure_that_is() -> None:
    found = incidents.failover(made(30, 100), KILLED, 30.0)
    assert found["failed"] == 0 and found["time_to_recover_s"] == {"low": 0.0, "high": 0.0}
    assert found["failed_share"]["at_most"] == pytest.approx(3 / 2005, rel=0.01)
    assert "no request failed" in " ".join(incidents.sentences("failover", found))


def test_failures_until_the_end_are_no_recovery() -> None:
    found = incidents.failover(failing(made(30, 100), 10.0, 31.0, every=2), KILLED, 30.0)
    assert found["time_to_recover_s"] == {"low": pytest.approx(19.98), "high": pytest.approx(19.99)}
    all_of_them = incidents.failover(failing(made(30, 100), 10.0, 31.0), KILLED, 30.0)
    assert all_of_them["time_to_recover_s"] == {"low": None, "high": None}
    assert "did not recover" in " ".join(incidents.sentences("failover", all_of_them))


def test_what_failed_before_the_kill_too_is_no_consequence_of_it() -> None:
    chance = np.random.default_rng(1)
    rows = made(300, 100)
    noisy = Rows(rows.intended_s, rows.ended_s, (chance.random(len(rows.bad)) < 0.02).astype(np.int8))
    steps = [{"what": "killed", "at_s": 100.0}, {"what": "started", "at_s": 200.0}]
    found = incidents.failover(failing(noisy, 100.0, 105.0, every=2), steps, 300.0)
    assert 4.9 <= found["time_to_recover_s"]["low"] <= 6.0


def test_a_rollout_counts_every_request_that_was_lost_between_its_first_step_and_the_end() -> None:
    steps = [{"what": "begun", "at_s": 5.0}, {"what": "finished", "at_s": 20.0}]
    clean = incidents.rollout(failing(made(30, 100), 1.0, 2.0), steps, 30.0)  # failures before it are not its own
    assert (clean["lost"], clean["took_s"], clean["complete"]) == (0, 15.0, True)
    assert clean["lost_share_at_most"] == pytest.approx(3 / 2505, rel=0.01)
    torn = incidents.rollout(failing(made(30, 100), 7.0, 7.05, outcome=Outcome.protocol_error), steps, 30.0)
    assert torn["lost"] == 5 and torn["outcomes"]["protocol_error"] == 5
    assert incidents.rollout(made(30, 100), steps[:1], 30.0)["complete"] is False


def test_limits_and_the_generators_own_losses_are_left_out(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "made")
    packed = np.zeros(5, dtype=sample.PACKED)
    packed["outcome"] = [Outcome.ok, Outcome.rejected, Outcome.rejected, Outcome.dropped, Outcome.lost]
    packed["status"] = [200, 429, 503, -1, -1]
    packed["seq"], packed["done_ns"], packed["error_id"] = np.arange(5), 1_000, -1
    pq.write_table(
        pa.Table.from_batches([sample.batch(packed, 0, ["s"], ["e"])]),
        run.path / "samples" / "worker-000.parquet",
    )
    assert incidents.rows(run).outcome.tolist() == [Outcome.ok, Outcome.rejected]
