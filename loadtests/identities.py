"""Which client each user of a locustfile is: its number, its headers and the address that it sends from ([users])."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network

from targets.contract import Contract
from targets.payload import Payloads


@dataclass(frozen=True)
class Identity:
    """`address` None: whatever address the system gives."""

    number: int = 0
    header: dict[str, str] = field(default_factory=dict)
    address: str | None = None


class Identities:
    """Users take the contract's clients in turn; a contract without any has one, which sends nothing of its own."""

    def __init__(self, contract: Contract | None, payloads: Payloads | None) -> None:
        self._payloads = payloads
        self.count = contract.users.identities if contract else 1
        self._addresses = addresses(contract) if contract else [None]

    def of(self, user: int) -> Identity:
        """The client that user number `user` (over all load processes) is."""
        number = user % self.count
        header = self._payloads.identity_header(number) if self._payloads else {}
        return Identity(number, header, self._addresses[number % len(self._addresses)])


def addresses(contract: Contract) -> list[str | None]:
    """A source address per identity, or one None."""
    users = contract.users
    if not users.addresses:
        return [None]
    network = ip_network(users.addresses, strict=False)
    count = min(users.identities, network.num_addresses - 2 if network.num_addresses > 2 else network.num_addresses)
    return [str(network[k + (network.num_addresses > 2)]) for k in range(count)]
