"""What is planned for: a peak rate, or users who think, growing to a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from capacity.figures import figure
from capacity.growth import Growth
from capacity.model import Model


@dataclass(frozen=True)
class Ask:
    """`demand_rps`: peak arrivals per second today, or `users` at once (with `think_time_s`; None: the contract's).

    `peak_to_mean`: peak demand over the month's average, for money per request. `lead_time_days`: from order to use.
    """

    demand_rps: float | None = None
    users: int | None = None
    think_time_s: float | None = None
    growth: Growth | None = None
    peak_to_mean: float = 1.0
    lead_time_days: float = 0.0


@dataclass(frozen=True)
class Demand:
    """`today_rps` None: none was asked for. `planned_rps`: what options are sized for, at the horizon."""

    today_rps: float | None
    planned_rps: list[float]
    note: str
    users: int | None = None
    growth: Growth | None = None

    @property
    def given(self) -> bool:
        return self.today_rps is not None

    def as_json(self) -> dict[str, Any]:
        return {
            "demand_rps": self.today_rps,
            "given": self.given,
            "growth_per_month": self.growth.per_month if self.growth else None,
            "horizon_months": self.growth.horizon_months if self.growth else None,
            "users": self.users,
            "planned_rps": self.planned_rps,
            "note": self.note,
        }


def seconds_per_user(ask: Ask, model: Model) -> float | None:
    """From one request of a user to the next: mean response near the edge, and the time to think."""
    response_s = model.response_at_edge_s
    if response_s is None:
        return None
    think = ask.think_time_s
    if think is None:
        stated = model.run.section("users").get("think_time_s") or 0.0
        think = sum(stated) / 2 if isinstance(stated, list | tuple) else float(stated)
    return response_s + think or None


def demand(ask: Ask, model: Model) -> Demand:
    """In arrivals per second: as given, from users by Little's law N = X·(R + Z), or none: then ×1 and ×2."""
    today, note = ask.demand_rps, "peak arrivals per second, as given"
    if today is None and ask.users is not None and (each := seconds_per_user(ask, model)):
        today = ask.users / each
        note = (
            f"{ask.users} users at once, a request every {figure(each)} s each (response near the edge + time to think)"
        )
    if today is None:
        base = model.capacity_rps.mid if model.capacity_rps else model.at_least_rps
        note = "no demand was given: planned for the capacity found and for twice that; say yours with --demand"
        return Demand(None, [base, 2 * base] if base else [], note)
    planned = today
    if ask.growth:
        planned = ask.growth.at_horizon(today)
        note += f", growing by {ask.growth.per_month:.1%} a month over {figure(ask.growth.horizon_months)} months"
    return Demand(today, [planned], note, ask.users, ask.growth)


def dates(ask: Ask, today_rps: float | None, line_rps: float | None) -> dict[str, Any]:
    """Today's share of the line; when growth reaches it, and by when to order."""
    if today_rps is None or not line_rps:
        return {}
    today = {"today_share_of_line": today_rps / line_rps}
    if ask.growth is None:
        return today
    breaks = ask.growth.reaches(today_rps, line_rps)
    order = breaks - timedelta(days=ask.lead_time_days) if breaks else None
    return today | {
        "breaks_on": breaks.isoformat() if breaks else None,
        "order_by": max(order, ask.growth.start).isoformat() if order else None,
        "lead_time_days": ask.lead_time_days,
    }
