"""Times as logs write them, to (microseconds since the epoch, offset of the zone in seconds)."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache

MONTHS = {name: k for k, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)", re.ASCII)
AFTER_SECOND = re.compile(r"(?:[.,](\d{1,12}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?\s*", re.ASCII)
COMMON = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d):00 ([+-])(\d\d)(\d\d)")
FIRST_YEAR, LAST_YEAR = 1970, 2200

Moment = tuple[int, int]


@lru_cache(4096)
def _midnight_s(year: int, month: int, day: int) -> int:
    """ValueError for a day that does not exist."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"the year {year} is none of a log")
    return timegm(datetime(year, month, day, tzinfo=UTC).timetuple())


def _seconds(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("no such time of day")
    return hour * 3600 + minute * 60 + second


@lru_cache(8192)
def _common_minute(minute: bytes, zone: bytes) -> Moment:
    """21/Nov/2026:19:39 and ` +0900`."""
    match = COMMON.fullmatch(minute + b":00" + zone)
    if match is None or match[2] not in MONTHS:
        raise ValueError("not a time as in 21/Nov/2026:19:39:45 +0900")
    offset_s = (int(match[6]) * 3600 + int(match[7]) * 60) * (-1 if match[5] == b"-" else 1)
    day_s = _midnight_s(int(match[3]), MONTHS[match[2]], int(match[1]))
    return (day_s + _seconds(int(match[4][:2]), int(match[4][3:]), 0) - offset_s) * 1_000_000, offset_s


def common(text: bytes) -> Moment:
    """21/Nov/2026:19:39:45 +0900, as nginx and Apache write it. ValueError when it is none."""
    minute_us, offset_s = _common_minute(text[:17], text[20:])
    second = int(text[18:20]) if text[17:18] == b":" and text[18:20].isdigit() else 99
    return minute_us + _seconds(0, 0, second) * 1_000_000, offset_s


@lru_cache(8192)
def _iso_second_us(second: str) -> int:
    match = SECOND.fullmatch(second)
    if match is None:
        raise ValueError("not a time as in 2026-11-21T19:39:45.123+09:00")
    year, month, day, *time = map(int, match.groups())
    return (_midnight_s(year, month, day) + _seconds(*time)) * 1_000_000


@lru_cache(256)
def _zone_s(zone: str) -> int:
    """Z, UTC, +0900 or +09:00."""
    if zone[0] not in "+-":
        return 0
    return (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60) * (-1 if zone[0] == "-" else 1)


def iso(text: str) -> Moment:
    """ISO 8601, with a space or T, any number of decimals; without a zone it is taken as UTC. ValueError else."""
    at_us = _iso_second_us(text[:19])
    match = AFTER_SECOND.fullmatch(text, 19)
    if match is None:
        raise ValueError("not a time as in 2026-11-21T19:39:45.123+09:00")
    fraction, zone = match.groups()
    if fraction:
        at_us += int(fraction[:6].ljust(6, "0"))
    offset_s = _zone_s(zone) if zone else 0
    return at_us - offset_s * 1_000_000, offset_s


def epoch(number: float) -> Moment:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size."""
    for limit, per_us in ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3)):
        if 0 <= number < limit:
            return round(number * per_us), 0
    raise ValueError("not a time since 1970")


def any_moment(value: object) -> Moment:
    """Whatever a JSON line holds: ISO 8601, the access log's form, or a number since the epoch (also as text)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return epoch(value)
    if not isinstance(value, str):
        raise ValueError("not a time")
    if value[4:5] == "-":
        return iso(value)
    if value[2:3] == "/":
        return common(value.encode("ascii", "replace"))
    return epoch(float(value))
