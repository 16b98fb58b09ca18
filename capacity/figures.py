"""Numbers in sentences and commands: three significant digits, never an exponent."""

from math import floor, log10


def figure(value: float) -> str:
    """0.0123, 1.5, 99.9, 812, 40600: whole numbers keep their digits before the point but only three of them count."""
    if value == 0:
        return "0"
    digits = 2 - floor(log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:.{max(0, digits)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{rounded:.0f}"
