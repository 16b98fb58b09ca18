"""Coverage, bias and width of past intervals, and what they make of the next."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from planted import Service, run

from capacity import judgement, ledger
from capacity.judgement import Retest
from capacity.ledger import Entry
from capacity.plan import make_plan
from measurements.errors import FormatError
from measurements.interval import Interval


def past(spread: float, half: float, n: int = 40, bias: float = 1.0, record: str = "lab") -> list[Entry]:
    rng = np.random.default_rng(3)
    found = []
    for k in range(n):
        mid = 100.0
        predicted = Interval(mid * np.exp(-half), mid, mid * np.exp(half), 0.9)
        measured = float(mid * bias * np.exp(rng.normal(0, spread)))
        found.append(Entry("2025-01-01", f"case {k}", "queue", record, 1.0 + k / 20, predicted, measured))
    return found


def test_under_ten_entries_there_is_no_track_record() -> None:
    assert ledger.score(past(0.1, 0.1, n=9))["verdict"] == "no track record yet"
    assert ledger.scaling(past(0.1, 0.1, n=9)) is None


def test_coverage_and_bias_are_what_was_planted() -> None:
    found = ledger.score(past(0.05, 0.0822, n=400, bias=1.02))
    assert found["coverage"] == pytest.approx(0.86, abs=0.06)
    assert found["coverage_ci95"][0] < found["coverage"] < found["coverage_ci95"][1]
    assert found["bias"] == pytest.approx(0.02, abs=0.01)


def test_intervals_that_were_too_narrow_are_widened_and_too_wide_ones_narrowed() -> None:
    narrow, wide = ledger.scaling(past(0.1, 0.05)), ledger.scaling(past(0.02, 0.2))
    assert narrow is not None and wide is not None and narrow > 1.5 and wide < 0.5


def test_scaled_intervals_then_cover_as_often_as_they_say() -> None:
    factor = ledger.scaling(past(0.1, 0.05, n=200))
    again = past(0.1, 0.05, n=200)
    held = [ledger.scaled(entry.predicted, factor).contains(entry.measured) for entry in again]
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_a_wide_interval_that_always_holds_does_not_win_over_a_narrow_one_that_mostly_does() -> None:
    narrow, wide = past(0.05, 0.09), past(0.05, 1.0)
    assert ledger.score(wide)["coverage"] == 1.0
    assert ledger.score(narrow)["winkler"] < ledger.score(wide)["winkler"]


def test_lab_and_production_stand_apart_and_models_and_distances_too() -> None:
    found = ledger.report([*past(0.05, 0.1), *past(0.3, 0.1, record="production")])
    assert found["lab"]["coverage"] > found["production"]["coverage"]
    assert set(found["lab"]["by_distance"]) == {"inside what was measured", "up to 1.5 times", "beyond 1.5 times"}
    assert list(found["lab"]["by_model"]) == ["queue"]


def test_a_ledger_is_read_back_and_a_damaged_line_is_named() -> None:
    lines = [json.dumps(entry.as_json()) for entry in past(0.1, 0.1, n=3)]
    assert [entry.what for entry in ledger.parse(lines)] == ["case 0", "case 1", "case 2"]
    with pytest.raises(FormatError, match="line 4"):
        ledger.parse([*lines, '{"at": 1}'])


class TestScalingAgainAndAgain:
    """Each plan is scaled by what came of those before it, which were scaled too."""

    def year(self, spread: float, half: float, n: int = 300) -> list[Entry]:
        """One prediction after another, each verified before the next is made."""
        rng = np.random.default_rng(5)
        raw, found = Interval(100 * np.exp(-half), 100.0, 100 * np.exp(half), 0.9), list[Entry]()
        for k in range(n):
            factor = ledger.scaling(found)
            measured = float(100 * np.exp(rng.normal(0, spread)))
            found.append(
                Entry(f"day {k}", "x", "line", "lab", 1.0, ledger.scaled(raw, factor), measured, scaling=factor)
            )
        return found

    @pytest.mark.parametrize(("spread", "half"), [(0.1, 0.05), (0.02, 0.1)], ids=["too narrow", "too wide"])
    def test_a_scaling_is_not_undone_by_the_entries_that_it_made(self, spread: float, half: float) -> None:
        entries = self.year(spread, half)
        late = entries[100:]
        assert np.mean([entry.within for entry in late]) == pytest.approx(0.9, abs=0.05)
        assert np.mean([entry.scaling for entry in late]) == pytest.approx(1.645 * spread / half, rel=0.15)

    def test_a_model_is_scaled_by_its_own_entries_and_a_new_one_by_all(self) -> None:
        narrow, wide = past(0.1, 0.05), [replace(entry, model="line") for entry in past(0.02, 0.2)]
        of = {name: ledger.scaling_of(name, [*narrow, *wide]) for name in ("queue", "line", "upstream")}
        queue, line, new = of["queue"], of["line"], of["upstream"]
        assert queue and line and new and line.factor < new.factor <= queue.factor
        assert (queue.by, line.by, new.by) == ("queue", "line", ledger.ALL)

    def test_production_scales_nothing_and_few_entries_of_a_model_are_not_enough(self) -> None:
        assert ledger.scaling_of("queue", past(0.1, 0.05, record="production")) is None
        mixed = [*past(0.1, 0.05, n=8), *(replace(entry, model="line") for entry in past(0.02, 0.2, n=8))]
        found = ledger.scaling_of("queue", mixed)
        assert found is not None and found.by == ledger.ALL

    def test_a_plan_scales_its_capacity_and_each_prediction_and_says_by_whom(self) -> None:
        before, after = (
            make_plan([run(Service())], 20, track_record=entries) for entries in ([], self.year(0.1, 0.05))
        )
        raw, wider = before.capacity_rps, after.capacity_rps
        assert raw is not None and wider is not None and wider.relative_half_width > 2 * raw.relative_half_width
        assert after.extra["track_record"]["multiplied_by_record_of"] == "line"
        as_measured = after.extra["predictions"][0]
        assert as_measured["capacity_rps"] == wider.as_json()
        assert as_measured["scaling"] == after.extra["track_record"]["half_widths_multiplied_by"]
        assert any("by the record of line" in said for said in as_measured["assumptions"])


class TestCensoredEntries:
    """Bounds of what was measured: they count where they decide, and nowhere else."""

    PREDICTED = Interval(90, 100, 110, 0.9)

    def bound(self, at_least: float | None = None, at_most: float | None = None) -> Entry:
        return Entry("2025-01-01", "case", "queue", "lab", 1.0, self.PREDICTED, None, "", at_least, at_most)

    def test_they_count_in_coverage_where_they_decide_it_and_never_in_bias(self) -> None:
        held, missed, unsure = self.bound(95, 105), self.bound(at_least=160), self.bound(at_least=100)
        assert [entry.within for entry in (held, missed, unsure)] == [True, False, None]
        exact = past(0.01, 0.1, n=10)
        alone, beside = ledger.score(exact), ledger.score([*exact, held, missed, unsure])
        assert (alone["coverage"], beside["coverage"]) == (1.0, pytest.approx(11 / 12))
        assert (beside["entries"], beside["undecided"], beside["measured"]) == (12, 1, 10)
        assert beside["bias"] == alone["bias"] and beside["winkler"] == alone["winkler"]

    def test_nothing_but_bounds_has_a_coverage_and_no_bias(self) -> None:
        found = ledger.score([self.bound(95, 105)] * 10)
        assert found["coverage"] == 1.0 and found["bias"] is None

    def test_undecided_ones_make_no_track_record(self) -> None:
        found = ledger.score([self.bound(at_least=100)] * 20)
        assert found["verdict"] == "no track record yet" and found["undecided"] == 20

    def test_they_are_read_back_and_earlier_lines_without_bounds_too(self) -> None:
        earlier = past(0.1, 0.1, n=1)[0].as_json()
        assert not {"at_least", "at_most"} & set(earlier)
        lines = [json.dumps(earlier), json.dumps(self.bound(at_least=120).as_json())]
        assert [entry.at_least for entry in ledger.parse(lines)] == [None, 120]
        nothing = json.dumps({**earlier, "measured": None})
        with pytest.raises(FormatError, match="neither measured nor a bound"):
            ledger.parse([nothing])


class TestVerification:
    PREDICTED = Interval(90, 100, 110, 0.9)

    def test_it_held_missed_or_could_not_be_tested(self) -> None:
        inside, outside = (Retest("capacity", 1.0, self.PREDICTED, value) for value in (95.0, 150.0))
        not_here = Retest("4 replicas", 1.0, self.PREDICTED, None, note="not testable here")
        assert judgement.verification("x", [inside, not_here])["verdict"] == "HELD"
        assert judgement.verification("x", [inside, outside])["verdict"] == "MISSED"
        assert judgement.verification("x", [not_here])["verdict"] == "NOT_TESTABLE"

    def test_two_cores_carry_one_worker_and_the_generator(self) -> None:
        assert judgement.testable_here(2, 1) == ""
        assert "need 5 cores" in judgement.testable_here(2, 4)

    def test_a_changed_plan_has_another_hash_and_the_order_of_keys_does_not_matter(self) -> None:
        one, same, other = {"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": [3]}
        assert judgement.plan_sha256(one) == judgement.plan_sha256(same) != judgement.plan_sha256(other)

    def test_the_order_is_random_but_repeats_with_its_seed(self) -> None:
        assert judgement.order(4) == judgement.order(4)
        assert len({tuple(judgement.order(seed)) for seed in range(20)}) > 3
        assert sorted(judgement.order(1)) == [0.9, 1.0, 1.15]
