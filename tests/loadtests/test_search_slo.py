"""What --slo says, in the contract's own metrics and units."""

import pytest

from loadtests.search.goal import in_words, parse_slo
from measurements.errors import UsageError


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("p95<300ms,errors<1%", {"all": {"p95_ms": 300.0, "error_rate": 0.01}}),
        ("p99.9 <= 2s", {"all": {"p99_9_ms": 2000.0}}),
        ("generate:p95<5s, search:mean<80ms", {"generate": {"p95_ms": 5000.0}, "search": {"mean_ms": 80.0}}),
        ("ttft_p95<800ms,error_rate<0.02", {"all": {"ttft_p95_ms": 800.0, "error_rate": 0.02}}),
        ("errors<0%", {"all": {"error_rate": 0.0}}),
    ],
)
def test_limits_are_read_with_their_units(text: str, limits: dict[str, dict[str, float]]):
    found = parse_slo(text, ["generate", "search"])
    assert {k: pytest.approx(v) for k, v in limits.items()} == found
    assert parse_slo(in_words(found), ["generate", "search"]) == {k: pytest.approx(v) for k, v in found.items()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p95>300ms", "not understood"),
        ("p95<300", "unit"),
        ("p97<300ms", "p97 is not known"),
        ("errors<200%", "below 100 %"),
        ("errors<1ms", "below 100 %"),
        ("p95<0ms", "above 0"),
        ("ask:p95<1s", "ask is no endpoint"),
        ("", "not understood"),
    ],
)
def test_what_is_not_understood_is_said_with_its_part(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        parse_slo(text, ["generate", "search"])
