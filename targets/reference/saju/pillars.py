"""The four pillars (사주팔자) of a moment of birth in Korea: year, month, day and hour in the cycle of sixty.

Years begin at 입춘 and months at the solar terms, found from the Sun's apparent longitude (J. Meeus, Astronomical
Algorithms, 2nd ed., chapter 25, low accuracy: 0.01 degree, about 15 minutes). Days are counted from the Julian day
number: 2000-01-07 was 갑자. A birth at 23:00 or later belongs to the next day; schools differ on that.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

STEMS = "갑을병정무기경신임계"
BRANCHES = "자축인묘진사오미신유술해"
STEM_ELEMENTS = "목목화화토토금금수수"
BRANCH_ELEMENTS = "수토목목토화화토금금토수"
ELEMENTS = "목화토금수"
KST = timezone(timedelta(hours=9), "KST")
_BIRTH = re.compile(
    r"(?P<year>(?:19|20)\d{2})\s*[-./년]\s*(?P<month>\d{1,2})\s*[-./월]\s*(?P<day>\d{1,2})\s*일?"
    r"(?:\D{0,8}?(?P<hour>\d{1,2})\s*(?::\s*(?P<minute>\d{2})|시))?"
)


@dataclass(frozen=True, slots=True)
class Pillars:
    """Each pillar as two syllables (stem and branch); `elements` counts the five among the eight characters."""

    year: str
    month: str
    day: str
    hour: str
    elements: dict[str, int]

    @property
    def day_master(self) -> str:
        """The stem of the day with its element, such as 갑목: the person."""
        return self.day[0] + STEM_ELEMENTS[STEMS.index(self.day[0])]


def find_birth(text: str) -> datetime | None:
    """The first date of birth in a text ("1990년 3월 5일 14시", "1990-03-05 14:30"), noon where no hour is given."""
    found = _BIRTH.search(text)
    if not found:
        return None
    part = found.groupdict()
    hour, minute = int(part["hour"] or 12), int(part["minute"] or 0)
    try:
        return datetime(int(part["year"]), int(part["month"]), int(part["day"]), hour, minute, tzinfo=KST)
    except ValueError:
        return None


def julian_day_number(moment: datetime) -> int:
    """Julian day number of the calendar day."""
    return moment.toordinal() + 1_721_425


def solar_longitude_deg(moment: datetime) -> float:
    """The Sun's apparent longitude in degrees at a moment (with its time zone)."""
    days = (moment - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    centuries = days / 36_525
    mean_longitude = 280.46646 + 36_000.76983 * centuries + 0.0003032 * centuries**2
    anomaly = math.radians(357.52911 + 35_999.05029 * centuries - 0.0001537 * centuries**2)
    centre = (
        (1.914602 - 0.004817 * centuries - 0.000014 * centuries**2) * math.sin(anomaly)
        + (0.019993 - 0.000101 * centuries) * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    node = math.radians(125.04 - 1934.136 * centuries)
    return (mean_longitude + centre - 0.00569 - 0.00478 * math.sin(node)) % 360


def four_pillars(birth: datetime) -> Pillars:
    """The pillars of a birth, given in Korean standard time (KST)."""
    longitude = solar_longitude_deg(birth)
    month = int((longitude - 315) % 360 // 30)  # 0 is 인월, which begins at 입춘 (315 degrees)
    # Before 입춘 (early February) the old year still runs.
    year = birth.year - (birth.month <= 2 and month >= 10)
    year_stem, year_branch = (year - 4) % 10, (year - 4) % 12
    month_stem, month_branch = (year_stem * 2 + 2 + month) % 10, (month + 2) % 12
    day = (julian_day_number(birth + timedelta(hours=1)) + 49) % 60
    hour_branch = (birth.hour + 1) // 2 % 12
    hour_stem = (day % 10 * 2 + hour_branch) % 10
    chosen = [(year_stem, year_branch), (month_stem, month_branch), (day % 10, day % 12), (hour_stem, hour_branch)]
    letters = "".join(STEM_ELEMENTS[stem] + BRANCH_ELEMENTS[branch] for stem, branch in chosen)
    of_year, of_month, of_day, of_hour = (STEMS[stem] + BRANCHES[branch] for stem, branch in chosen)
    elements = {element: letters.count(element) for element in ELEMENTS}
    return Pillars(of_year, of_month, of_day, of_hour, elements)
