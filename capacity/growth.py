"""Demand that grows: when it reaches a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from math import log

from measurements.errors import UsageError

DAYS_PER_MONTH = 365.25 / 12
MOST_PER_MONTH, MOST_MONTHS = 10.0, 120.0


@dataclass(frozen=True)
class Growth:
    """`per_month`: 0.1 is 10 % a month, compounded from `start`; planned for as far as `horizon_months`."""

    per_month: float
    horizon_months: float
    start: date

    @classmethod
    def parse(cls, growth: str, horizon: str, start: date) -> Growth:
        """ "10%/month" (or /year) and "12m" (or "1y", "90d"). Raises UsageError in one sentence."""
        rate = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%\s*/\s*(month|year)\s*", growth)
        if not rate or float(rate[1]) <= -100:
            raise UsageError(f'--growth "{growth}" is not understood; write it like 10%/month or 80%/year')
        span = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(d|w|m|y)\s*", horizon)
        if not span:
            raise UsageError(f'--horizon "{horizon}" is not understood; write it like 12m, 90d, 26w or 1y')
        share = float(rate[1]) / 100
        per_month = share if rate[2] == "month" else (1 + share) ** (1 / 12) - 1
        months = float(span[1]) * {"d": 1 / DAYS_PER_MONTH, "w": 7 / DAYS_PER_MONTH, "m": 1, "y": 12}[span[2]]
        if per_month > MOST_PER_MONTH:
            raise UsageError(f'--growth "{growth}" is more than ten times a month; write it like 10%/month or 80%/year')
        if not 0 < months <= MOST_MONTHS:
            raise UsageError(f'--horizon "{horizon}": give more than nothing and up to 10y, e.g. 12m')
        return cls(per_month, months, start)

    def at(self, demand_rps: float, months: float) -> float:
        return demand_rps * (1 + self.per_month) ** months

    def at_horizon(self, demand_rps: float) -> float:
        """The highest demand up to the horizon: its end, or today's where demand shrinks."""
        return max(demand_rps, self.at(demand_rps, self.horizon_months))

    def reaches(self, demand_rps: float, line_rps: float) -> date | None:
        """The day when demand passes the line; the start where it already has, None where it never does."""
        if demand_rps >= line_rps:
            return self.start
        if self.per_month <= 0 or demand_rps <= 0:
            return None
        days = log(line_rps / demand_rps) / log(1 + self.per_month) * DAYS_PER_MONTH
        return self.start + timedelta(days=days) if days < 365 * 50 else None
