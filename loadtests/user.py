"""The Locust user of this suite: `class Visitor(PlimsollUser)` with @task functions and `self.client`.

Runs under `plimsoll run` (open loop, rows) and under plain `locust -f` (Locust's own loop and statistics).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import User

from loadtests.client import Client
from loadtests.place import place_of


class PlimsollUser(User):
    """Give `host` or --host when run by plain Locust; `plimsoll run` takes it from the contract."""

    abstract = True
    contract: Path | None = None  # where `data` comes from when the run has no contract
    number = 0
    source_address: str | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.client = Client(self, place_of(environment, type(self)))

    def data(self, field: str) -> Any:
        """The contract's {{field}} for the arrival that this user is on: the same for the same seed and arrival."""
        return place_of(self.environment, type(self)).data(self, field)
