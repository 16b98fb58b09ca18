"""The Locust user of this suite: `class Visitor(PlimsollUser)` with @task functions and `self.client`.

Runs under `plimsoll run` (open loop, rows) and under plain `locust -f` (Locust's own loop and statistics).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust import User, events

from loadtests.client import Client
from loadtests.exact_stats import without_rounding
from loadtests.place import place_of


@events.init.add_listener
def _exact(**_: Any) -> None:
    """Plain Locust's master has no users of its own, and shows what its workers counted."""
    without_rounding()


class PlimsollUser(User):
    """Give `host` or --host when run by plain Locust; `plimsoll run` takes it from the contract."""

    abstract = True
    contract: Path | None = None  # where `data` comes from when the run has no contract
    number = 0
    identity = 0  # the contract's client that this user is: [users] identities, header, tokens, addresses
    source_address: str | None = None

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        place = place_of(environment, type(self))
        self.number, identity = place.enter(self)
        self.identity = identity.number
        self.source_address = identity.address or self.source_address
        self.client = Client(self, place)
        self.client.headers |= identity.header

    def data(self, field: str, turn: int = 0) -> Any:
        """The contract's {{field}} for the arrival that this user is on: the same for the same seed, arrival and turn.

        `turn` 1, 2 … draw further values for the same arrival, as a conversation needs them.
        """
        return place_of(self.environment, type(self)).data(self, field, turn)
