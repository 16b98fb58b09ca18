"""Where the {{fields}} of a request come from: files, choices, numbers, generated text."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

SOURCES = ("jsonl", "csv", "choice", "integer", "text")


class Length(BaseModel):
    """How long a text is, in characters: lognormal around `median` with shape `sigma`, cut to [min, max]."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    median: Annotated[float, Field(gt=0)] = 80
    sigma: Annotated[float, Field(ge=0, le=3)] = 0.5
    min: Annotated[int, Field(ge=1)] = 10
    max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.median <= self.max:
            raise ValueError(f"min <= median <= max must hold; here {self.min}, {self.median:g}, {self.max}")
        return self


class DataField(BaseModel):
    """One {{field}}: exactly one of the sources jsonl, csv, choice, integer, text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    jsonl: str | None = Field(None, description="file beside the contract, an object per line")
    csv: str | None = Field(None, description="file beside the contract, with a header line")
    key: str | None = Field(None, description="key or column to take; absent: the field's own name")
    choice: list[str | int | float | bool] | None = None
    integer: Annotated[tuple[int, int], Strict(False)] | None = Field(
        None, description="[low, high], uniform, both included"
    )
    text: Literal["ko", "en", "mixed"] | None = Field(None, description="generated text in that language")
    length: Length = Length()
    nonce: bool | None = Field(None, description="add the run's nonce, so that caches miss; default: texts and files")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a field has exactly one source of {', '.join(SOURCES)}; this has {', '.join(given) or 'none'}"
            )
        if self.choice == []:
            raise ValueError("choice is empty; list at least one value")
        if self.integer is not None and self.integer[0] > self.integer[1]:
            raise ValueError(f"integer is [low, high]; {list(self.integer)} is the wrong way round")
        return self
