"""How every figure is written, in all reports and languages: three significant digits, a unit, one minus sign.

Documents carry units in their keys (`_ms`, `_s`, `_rps`, `_bytes`, `_mib`); `by_key` reads the unit from there.
"""

from collections.abc import Callable, Mapping
from math import floor, log10
from typing import Any, TypeGuard

NOTHING = "–"
FIGURES = "0123456789.,−"

Formatter = Callable[[float], str]


def number(value: float, digits: int = 3) -> str:
    """`digits` significant digits, thousands with a comma, no exponent: 0.0123, 1.50, 99.9, 812, 6,000."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    if round(abs(value), decimals) >= 10 ** (digits - decimals):  # 9.996 is 10.0, not 10.00
        decimals = max(0, decimals - 1)
    return f"{value:,.{min(decimals, 6)}f}".replace("-", "−")


def plain(value: float) -> str:
    """As `number`, without zeros that say nothing: for parameters and limits, not for measurements."""
    if float(value).is_integer():
        return count(value)
    return number(value).rstrip("0").rstrip(".")


def count(value: float) -> str:
    return f"{round(value):,}".replace("-", "−")


def milliseconds(value: float) -> str:
    """Milliseconds below a second, seconds from there on."""
    return f"{number(value)} ms" if abs(value) < 1000 else f"{number(value / 1000)} s"


def limit_ms(value: float) -> str:
    return f"{plain(value)} ms" if value < 1000 else f"{plain(value / 1000)} s"


def seconds(value: float) -> str:
    """Seconds to two minutes, then minutes, then hours."""
    if abs(value) < 120:
        return f"{plain(value)} s"
    return f"{plain(value / 60)} min" if abs(value) < 7200 else f"{plain(value / 3600)} h"


def rate(value: float) -> str:
    return f"{number(value)}/s"


def percent(value: float) -> str:
    return f"{plain(value * 100)} %"


def ratio(value: float) -> str:
    """A ratio near 1 to three decimals: its distance from 1 is what is read."""
    return f"{value:.3f}" if 0.1 < abs(value) < 10 else number(value)


def share(value: float) -> str:
    """A share to whole percent, for shares that are themselves estimates."""
    return f"{round(value * 100)} %" if abs(value) >= 0.01 or value == 0 else percent(value)


def megabytes(value: float) -> str:
    return f"{number(value)} MB"


def cores(value: float) -> str:
    return number(value)


def mebibytes(value: float) -> str:
    return f"{number(value)} MiB" if abs(value) < 10240 else f"{number(value / 1024)} GiB"


def size(value: float) -> str:
    return mebibytes(value / 2**20)


def dollars(value: float) -> str:
    return f"US${value:,.2f}" if abs(value) < 1000 else f"US${value:,.0f}"


SIGNS = {"USD": "US$", "KRW": "₩", "EUR": "€", "JPY": "¥", "GBP": "£"}


def money(value: float, currency: str) -> str:
    """Cents only below a hundred, and none where the currency has none; two digits of what is less than a cent:
    US$41.20, US$1,240, ₩352,000, US$0.0021."""
    least, figures = (1.0, 0) if currency in ("KRW", "JPY") else (0.01, 2 if abs(value) < 100 else 0)
    text = f"{abs(value):,.{figures}f}" if abs(value) >= least or not value else plain(float(f"{abs(value):.2g}"))
    sign = SIGNS.get(currency)
    return f"{'−' if value < 0 else ''}{sign}{text}" if sign else f"{'−' if value < 0 else ''}{text} {currency}"


def shown_money(value: Any, currency: str) -> str:
    return money(value, currency) if is_number(value) else NOTHING


UNITS: list[tuple[str, Formatter]] = [
    ("_rps", rate),
    ("_ms", milliseconds),
    ("_mib", mebibytes),
    ("_bytes", size),
    ("_mb", megabytes),
    ("cores", cores),
    ("_share", share),
    ("_rate", percent),
    ("confidence", percent),
    ("_usd", dollars),
    ("usd_per_month", dollars),
    ("usd_per_year", dollars),
    ("tokens_per_s", rate),
    ("_s", seconds),
]


def by_key(key: str) -> Formatter:
    """The formatter for the unit that a document's key names; `plain` where it names none."""
    return next((formatter for suffix, formatter in UNITS if key.endswith(suffix)), plain)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124


def shown(value: Any, formatter: Formatter) -> str:
    return formatter(value) if is_number(value) else NOTHING


def between(low: Any, high: Any, formatter: Formatter) -> str:
    """Two ends as one text, the unit once where both carry the same: 780–850 ms."""
    if not is_number(low) or not is_number(high):
        return NOTHING
    first, last = formatter(low), formatter(high)
    if first == last:
        return last
    unit = last.lstrip(FIGURES)
    return f"{first.removesuffix(unit)}–{last}" if first.lstrip(FIGURES) == unit else f"{first} – {last}"


def span(ends: Any, formatter: Formatter) -> str:
    """A list or tuple of two ends, as documents carry them; a dash where there are none."""
    return between(ends[0], ends[1], formatter) if isinstance(ends, list | tuple) and len(ends) == 2 else NOTHING


def is_interval(value: Any) -> TypeGuard[Mapping[str, float]]:
    return isinstance(value, Mapping) and all(is_number(value.get(end)) for end in ("low", "mid", "high"))


def interval(value: Any, formatter: Formatter) -> str:
    """An Interval's two ends; a dash where it is null."""
    return between(value["low"], value["high"], formatter) if is_interval(value) else NOTHING
