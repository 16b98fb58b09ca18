"""A number with its doubt, or a "no" with its reason: the two shapes that a plan is made of."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """`low <= mid <= high`, in the unit that the field's name carries; `confidence` in (0, 1)."""

    low: float
    mid: float
    high: float
    confidence: float

    def __post_init__(self) -> None:
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"interval is out of order: {self.low} <= {self.mid} <= {self.high} does not hold")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; it lies between 0 and 1")

    @property
    def relative_half_width(self) -> float:
        return (self.high - self.low) / 2 / self.mid if self.mid else float("inf")

    def scaled(self, factor: float) -> "Interval":
        """Both ends and the middle times a positive factor: a change of unit or of replica count."""
        return Interval(self.low * factor, self.mid * factor, self.high * factor, self.confidence)

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high

    def as_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Refusal:
    """`field` is null in the document; `reason` says which measurement is missing, `remedy` how to make it."""

    field: str
    reason: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
