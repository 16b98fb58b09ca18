"""Every check of validity: a case that is ok, one that is a note, one that is INVALID."""

from math import exp
from pathlib import Path
from typing import Any

import pytest
from made_rows import TEN_SECONDS, row, write

from measurements import frame as frames
from measurements import streams
from measurements.circumstances import Circumstances
from measurements.generator_checks import hot_windows
from measurements.summary import RunFacts, Window, summarise
from measurements.validity import judge, reasons


def verdict(
    folder: Path, rows: list[dict[str, Any]], windows: list[Window] | None = None, **facts: Any
) -> dict[str, Any]:
    run = write(folder, rows)
    frame, windows = frames.read(run), windows or TEN_SECONDS
    loop = facts.pop("loop", "open")
    summary = summarise(frame, streams.read(run), RunFacts(run.identity, loop, "poisson", 1, "completed", windows))
    given = facts.pop("given", {0: sum(entry["step"] == 0 for entry in rows)})
    return judge(
        frame, summary, Circumstances(loop, windows, given=given, **{"pool_cap": 100, "pool_needed": 50, **facts})
    )


def check(found: dict[str, Any], name: str) -> dict[str, Any]:
    matching = [c for c in found["checks"] if c["check"] == name]
    assert len(matching) == 1, [c["check"] for c in found["checks"]]
    return matching[0]


def steady(count: int = 500, **more: Any) -> list[dict[str, Any]]:
    return [row(k * 10_000 / count, 20 + (k * 37) % 11, **more) for k in range(count)]


def test_an_undisturbed_run_is_valid_and_every_check_is_ok(tmp_path: Path) -> None:
    found = verdict(tmp_path, steady())
    assert found["valid"] and not found["indicative"] and reasons(found) == []
    assert {c["state"] for c in found["checks"]} == {"ok"}
    for one in found["checks"]:
        assert set(one) == {"check", "scope", "state", "measured", "limit", "sentence", "remedy"}
        assert one["sentence"]


def test_an_arrival_without_a_row_or_with_two_is_invalid(tmp_path: Path) -> None:
    missing = check(verdict(tmp_path, steady(), given={0: 300, 1: 201}), "accounting")
    assert (missing["state"], missing["measured"]) == ("invalid", 1)
    twice = check(verdict(tmp_path, [*steady(), row(1, seq=7)], given={0: 500}), "accounting")
    assert twice["state"] == "invalid"
    later_steps = check(verdict(tmp_path, [*steady(), row(1, seq=7, step=1)], given={0: 500}), "accounting")
    assert later_steps["state"] == "ok"


@pytest.mark.parametrize(("lost", "state"), [(0, "ok"), (5, "note"), (6, "invalid")])
def test_load_not_delivered_for_our_own_reasons_is_invalid_from_one_percent(
    tmp_path: Path, lost: int, state: str
) -> None:
    rows = [*steady(500 - lost), *(row(k, None, "lost") for k in range(lost))]
    assert check(verdict(tmp_path, rows), "load_delivered")["state"] == state


def test_arrivals_dropped_at_a_pool_that_was_large_enough_are_a_finding_and_at_a_small_one_invalid(
    tmp_path: Path,
) -> None:
    rows = [*steady(), row(1, None, "dropped")]
    large = check(verdict(tmp_path, rows, pool_cap=60, pool_needed=60), "dropped_arrivals")
    assert (large["state"], large["scope"]) == ("note", "stage:steady")
    small = check(verdict(tmp_path, rows, pool_cap=59, pool_needed=60), "dropped_arrivals")
    assert small["state"] == "invalid" and "ulimit -n" in small["remedy"]
    assert check(verdict(tmp_path, steady(), pool_cap=59, pool_needed=60), "dropped_arrivals")["state"] == "ok"


def test_a_task_that_made_no_request_is_the_locustfiles_doing_and_no_full_pool(tmp_path: Path) -> None:
    rows = [*steady(), *(row(k, None, "dropped", user=3) for k in range(10))]
    found = verdict(tmp_path, rows)
    assert check(found, "dropped_arrivals")["state"] == "ok"
    delivered = check(found, "load_delivered")
    assert delivered["state"] == "invalid" and "locustfile" in delivered["remedy"]


@pytest.mark.parametrize(("late_ms", "state"), [(0.4, "ok"), (9.0, "invalid")])
def test_what_the_generator_added_is_invalid_over_a_millisecond_and_five_percent(
    tmp_path: Path, late_ms: float, state: str
) -> None:
    rows = [row(entry["intended_ms"], 20 + (k * 37) % 11, late_ms=late_ms) for k, entry in enumerate(steady())]
    assert check(verdict(tmp_path, rows), "generator_added")["state"] == state


def test_what_the_generator_added_within_the_percentiles_own_interval_is_a_note(tmp_path: Path) -> None:
    """300 ms in 5.5 s are more than 5 %, but a p95 of 100 widely scattered samples is not known that well."""
    order = [(k * 37) % 100 for k in range(100)]
    rows = [row(k * 100, 50 * exp(n / 20), late_ms=300 if n > 60 else 0) for k, n in enumerate(order)]
    found = check(verdict(tmp_path, rows), "generator_added")
    assert found["state"] == "note"


def test_lateness_under_five_percent_of_a_long_answer_is_harmless(tmp_path: Path) -> None:
    rows = [row(k * 20, 2_000 + k, late_ms=40) for k in range(500)]
    assert check(verdict(tmp_path, rows), "generator_added")["state"] == "ok"


def test_a_warm_up_that_was_late_does_not_count(tmp_path: Path) -> None:
    windows = [Window("warmup", 0, 2, warmup=True), Window("steady", 2, 10)]
    rows = [row(k * 10, 40, late_ms=30, stage="warmup") for k in range(200)]
    rows += [row(2_000 + k * 16, 20) for k in range(500)]
    assert check(verdict(tmp_path, rows, windows), "generator_added")["state"] == "ok"


def test_a_hot_generator_is_a_note_when_no_quantile_moved_and_invalid_when_one_did(tmp_path: Path) -> None:
    facts = {"hot": [(2.0, 6.0)], "longest_hot": 4, "cpu_share_max": 0.97}
    assert check(verdict(tmp_path, steady(), **facts), "generator_cpu")["state"] == "note"
    late = [row(k * 20, 60, late_ms=30 if 2_000 <= k * 20 < 6_000 else 0) for k in range(500)]
    moved = check(verdict(tmp_path, late, **facts), "generator_cpu")
    assert moved["state"] == "invalid" and "--workers" in moved["remedy"]
    assert check(verdict(tmp_path, steady(), longest_hot=2, hot=[(2.0, 4.0)]), "generator_cpu")["state"] == "ok"


def test_a_generator_that_was_hot_throughout_cannot_tell_and_is_invalid(tmp_path: Path) -> None:
    found = check(verdict(tmp_path, steady(), hot=[(0.0, 10.0)], longest_hot=10, cpu_share_max=1.0), "generator_cpu")
    assert found["state"] == "invalid"


def test_a_closed_loop_at_the_generators_ceiling_may_be_quoted_for_its_rate_only(tmp_path: Path) -> None:
    found = check(
        verdict(tmp_path, steady(), loop="closed", hot=[(0.0, 10.0)], longest_hot=10, cpu_share_max=1.0),
        "generator_ceiling",
    )
    assert found["state"] == "invalid" and "its rate may be quoted" in found["sentence"]


@pytest.mark.parametrize(("share", "state"), [(0.04, "ok"), (0.2, "note")])
def test_waiting_for_a_core_is_noted(tmp_path: Path, share: float, state: str) -> None:
    assert check(verdict(tmp_path, steady(), run_delay_share=share), "generator_run_queue")["state"] == state


def test_any_error_of_our_own_machine_is_invalid_and_names_it(tmp_path: Path) -> None:
    found = check(verdict(tmp_path, steady(), own_faults={"EMFILE: out of file descriptors": 3}), "generator_errors")
    assert found["state"] == "invalid" and "EMFILE: out of file descriptors (3 times)" in found["sentence"]
    assert check(verdict(tmp_path, steady(), faults=["disk full"]), "generator_errors")["state"] == "invalid"


@pytest.mark.parametrize(("stale", "state"), [(0, "ok"), (5, "note"), (6, "invalid")])
def test_a_keep_alive_race_is_the_generators_cost_and_invalid_from_one_percent(
    tmp_path: Path, stale: int, state: str
) -> None:
    assert check(verdict(tmp_path, steady(), stale=stale), "keep_alive_race")["state"] == state


def test_a_lost_load_process_is_invalid_unless_the_gap_was_accepted(tmp_path: Path) -> None:
    rows = [*steady(250), *(row(5_000 + k * 20, None, "lost", seq=1_000 + k) for k in range(250))]
    lost = [{"worker": 1, "rows": 250, "arrivals": 250, "said": "killed"}]
    found = verdict(tmp_path, rows, given={0: 250}, lost=lost)
    assert check(found, "workers_present")["state"] == "invalid"
    assert check(found, "accounting")["state"] == "ok"
    accepted = verdict(tmp_path, rows, given={0: 250}, lost=lost, allow_degraded=True)
    assert check(accepted, "workers_present")["state"] == "note"
    assert accepted["valid"]


@pytest.mark.parametrize(("drift_ms", "state"), [(49.0, "ok"), (-51.0, "invalid")])
def test_clocks_that_drift_apart_by_more_than_50_ms_are_invalid(tmp_path: Path, drift_ms: float, state: str) -> None:
    assert check(verdict(tmp_path, steady(), clock_drift_ms=drift_ms), "clock")["state"] == state


def test_a_contract_whose_expectation_was_never_checked_is_invalid(tmp_path: Path) -> None:
    assert check(verdict(tmp_path, steady(), expectation_checked=False), "content")["state"] == "invalid"
    no_contract = verdict(tmp_path, steady(), expectation_checked=False, has_expectation=False)
    assert check(no_contract, "content")["state"] == "ok"


def test_a_run_that_ended_early_is_noted_and_still_judged(tmp_path: Path) -> None:
    found = verdict(tmp_path, steady(), ended="stopped", stop_reason="max_usd is reached after 500 requests")
    assert check(found, "schedule_complete")["state"] == "note"
    assert "max_usd" in check(found, "schedule_complete")["sentence"] and found["valid"]


def test_fewer_than_400_effective_samples_make_a_claim_indicative_but_not_invalid(tmp_path: Path) -> None:
    found = verdict(tmp_path, steady(300))
    assert found["valid"] and found["indicative"]
    assert check(found, "effective_samples")["state"] == "note"


def test_reasons_put_what_made_the_run_invalid_first(tmp_path: Path) -> None:
    found = verdict(tmp_path, steady(300), clock_drift_ms=80.0, run_delay_share=0.5, ended="stopped")
    states = [reason["state"] for reason in reasons(found)]
    assert states == sorted(states, key=("invalid", "note").index) and len(states) == 4
    assert not found["valid"]


def test_a_run_without_rows_is_judged_without_an_exception(tmp_path: Path) -> None:
    assert verdict(tmp_path, [], given={})["checks"]


def news(worker: int, cpu_cores: float, elapsed_s: float = 1.0) -> dict[str, Any]:
    return {"worker": worker, "cpu_cores": cpu_cores, "elapsed_s": elapsed_s}


def test_hot_seconds_are_counted_in_a_row_and_per_load_process() -> None:
    mixed = [news(0, 0.9), news(1, 0.1), news(0, 0.95), news(1, 0.9), news(0, 0.2), news(1, 0.2), news(0, 0.99)]
    windows, longest, highest = hot_windows(mixed)
    assert longest == 2 and highest == 0.99
    assert windows == [(0.0, 1.0), (1.0, 2.0), (3.0, 4.0), (1.0, 2.0)]
    assert hot_windows([]) == ([], 0, 0.0)
