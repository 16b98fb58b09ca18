"""Exit codes in their documented order, the error tree, and the two shapes of an answer."""

import itertools

import pytest

from measurements import errors
from measurements.errors import Exit, PlimsollError
from measurements.interval import Interval, Refusal


def test_the_first_exit_code_that_applies_wins_in_the_documented_order() -> None:
    order = [5, 2, 4, 130, 3, 1, 6, 0]
    for earlier, later in itertools.combinations(order, 2):
        assert Exit.first(Exit(later), Exit(earlier)) == earlier
    assert Exit.first() == Exit.OK


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Refused, 5),
        (errors.UsageError, 2),
        (errors.FormatError, 2),
        (errors.TargetUnreachable, 4),
        (errors.Interrupted, 130),
        (errors.InvalidMeasurement, 3),
        (errors.GeneratorFault, 3),
    ],
)
def test_each_branch_of_the_error_tree_ends_with_its_code(error: type[PlimsollError], code: int) -> None:
    assert error("a sentence").exit_code == code
    assert issubclass(error, PlimsollError)


def test_a_contract_error_keeps_its_findings_and_prints_one_per_line() -> None:
    error = errors.ContractError(["first", "second"])
    assert (error.findings, str(error), error.exit_code) == (["first", "second"], "first\nsecond", 2)


def test_an_interval_out_of_order_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="out of order"):
        Interval(2, 1, 3, 0.95)
    with pytest.raises(ValueError, match="confidence"):
        Interval(1, 2, 3, 1.0)


def test_an_interval_scales_and_says_what_it_holds() -> None:
    interval = Interval(1, 2, 4, 0.9).scaled(10)
    assert interval.as_json() == {"low": 10, "mid": 20, "high": 40, "confidence": 0.9}
    assert interval.contains(10) and not interval.contains(40.1)
    assert interval.relative_half_width == 0.75


def test_a_refusal_names_the_field_the_reason_and_the_remedy() -> None:
    assert Refusal("capacity_rps", "too few stages", "run a breakpoint").as_json() == {
        "field": "capacity_rps",
        "reason": "too few stages",
        "remedy": "run a breakpoint",
    }
