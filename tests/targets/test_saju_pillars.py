"""The four pillars against dates that almanacs agree on, and the limiter's two tables."""

from datetime import datetime

import pytest

from targets.reference.saju.limiter import make_limiter
from targets.reference.saju.pillars import KST, find_birth, four_pillars, solar_longitude_deg


@pytest.mark.parametrize(
    ("birth", "pillars"),
    [
        ((2000, 1, 1, 12), ("기묘", "병자", "무오", "무오")),
        ((2024, 2, 10, 12), ("갑진", "병인", "갑진", "경오")),  # the lunar new year's day of 2024
        ((1984, 2, 4, 23), ("계해", "을축", "기사", "갑자")),  # 입춘 of 1984 was on 5 February at 00:19
        ((1984, 2, 5, 1), ("갑자", "병인", "기사", "을축")),
        ((2000, 1, 7, 0), ("기묘", "정축", "갑자", "갑자")),
    ],
)
def test_pillars_agree_with_the_almanac(birth: tuple[int, int, int, int], pillars: tuple[str, ...]):
    found = four_pillars(datetime(*birth, tzinfo=KST))
    assert (found.year, found.month, found.day, found.hour) == pillars
    assert sum(found.elements.values()) == 8


def test_the_sun_stands_at_zero_at_the_equinox():
    at_deg = solar_longitude_deg(datetime(2024, 3, 20, 12, 6, tzinfo=KST))
    assert min(at_deg, 360 - at_deg) < 0.01


@pytest.mark.parametrize(
    ("text", "birth"),
    [
        ("1990년 3월 5일 14시에 태어났어요", datetime(1990, 3, 5, 14, tzinfo=KST)),
        ("생일은 1988-12-01 23:30", datetime(1988, 12, 1, 23, 30, tzinfo=KST)),
        ("1975.6.7 오전 9시", datetime(1975, 6, 7, 9, tzinfo=KST)),
        ("1999년 2월 30일", None),
        ("올해 재물운이 어떤가요?", None),
    ],
)
def test_a_birth_is_found_in_what_people_write(text: str, birth: datetime | None):
    assert find_birth(text) == birth


@pytest.mark.parametrize("never_forgets", [True, False])
def test_both_tables_allow_the_same_and_tell_addresses_apart(never_forgets: bool):
    limiter = make_limiter(3, never_forgets)
    assert [limiter.allows("127.0.0.1") for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("127.0.0.2")
    assert len(limiter) == 2
