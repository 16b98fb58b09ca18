"""A prices file: machines by the hour and upstream tokens, each price with its currency, date and source."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from measurements.errors import UsageError

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Text = BeforeValidator(lambda given: given.isoformat() if isinstance(given, date) else given)  # without quotes, too
Day = Annotated[str, Text, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Source = Annotated[str, Field(min_length=3)]
FORMS = {  # by the key: what cannot be said by pydantic in plain words
    "currency": "three capital letters, e.g. 'USD'",
    "date": "the day that the price is of, e.g. '2025-01-01'",
    "source": "where the price is from, in at least three characters",
    "machine": "tables: write [[machine]]",
    "tokens": "tables: write [[tokens]]",
}
HOURS_PER_MONTH = 365.25 * 24 / 12


PRICES = Path(__file__).with_name("prices.toml")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: Currency
    date: Day
    source: Source


class MachinePrice(_Entry):
    """What a replica costs: so much per CPU and hour, so much per GiB and hour."""

    name: str
    per_vcpu_hour: Price
    per_gib_hour: Price

    def per_month(self, cores: float, memory_gib: float) -> float:
        return (cores * self.per_vcpu_hour + memory_gib * self.per_gib_hour) * HOURS_PER_MONTH


class TokenPrice(_Entry):
    model: str
    per_million_in: Price
    per_million_out: Price

    def of(self, tokens_in: float, tokens_out: float) -> float:
        return (tokens_in * self.per_million_in + tokens_out * self.per_million_out) / 1e6


class PriceBook(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: list[MachinePrice] = []
    tokens: list[TokenPrice] = []

    @classmethod
    def parse(cls, text: str, path: str) -> PriceBook:
        """From TOML. Raises UsageError that names file, place and what is wrong with it."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is no TOML ({error}); {PRICES} shows the form") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            message = f"{path}, {place}: {_wrong(first)}; {PRICES} shows the form"
            raise UsageError(message) from error

    def tokens_of(self, model: str | None) -> TokenPrice | None:
        return next((price for price in self.tokens if price.model == model), None)


def _wrong(finding: Any) -> str:
    if finding["type"] == "extra_forbidden":
        return "is no key that a prices file has"
    if finding["type"] == "missing":
        return "is missing"
    form = FORMS.get(str(finding["loc"][-1]))
    return f"should be {form}" if form else finding["msg"].lower().replace("input should", "it should")
