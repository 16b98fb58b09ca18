"""How a reference service is told what to do: options of the command line, handed to its workers as environment."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


def refuse(sentence: str, code: int = 2) -> NoReturn:
    """Say on standard error why the service does not start, and leave with that exit code (2 usage, 4 port)."""
    print(sentence, file=sys.stderr, flush=True)
    raise SystemExit(code)


class ServiceSettings(BaseModel):
    """What every reference service can be told. Workers read it back from `PLIMSOLL_<SERVICE>_<FIELD>`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    work_dir: Path = Field(description="directory of this instance, removed when it stops")
    workers: int = Field(default=1, ge=1, le=64)
    behind_proxy: bool = False

    def to_environment(self, service: str) -> dict[str, str]:
        given = self.model_dump(mode="json", exclude_none=True)
        return {_variable(service, name): str(value) for name, value in given.items()}

    @classmethod
    def from_environment(cls, service: str) -> Self:
        present = {name: os.environ.get(_variable(service, name)) for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in present.items() if value is not None})

    @classmethod
    def from_options(cls, service: str, options: dict[str, str] | None, **fixed: Any) -> Self:
        """Options as typed by the user; an unknown or impossible one ends in one sentence and exit code 2."""
        given = dict(options or {})
        choices = sorted(set(cls.model_fields) - set(fixed))
        for name in given:
            if name not in choices:
                refuse(f"{service} has no option {name!r} (--set); it has: {', '.join(choices)}.")
        try:
            return cls.model_validate({**given, **fixed})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "options"
            refuse(f"{service}: option {name} = {first.get('input')!r} cannot be used: {first['msg']}.")


def _variable(service: str, field: str) -> str:
    return f"PLIMSOLL_{service}_{field}".upper()
