"""As how many clients a limiter sees the load of a contract, and how many a rate needs. Pure but for the tokens' file."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from math import ceil
from urllib.parse import urlsplit

from targets.contract import FIELD, Contract
from targets.contract_file import tokens
from targets.limits import amount_and_window, in_words, rate_rps


@dataclass(frozen=True)
class Spread:
    """`clients` that a limit per client tells apart; `why_not` says what keeps them below [users] identities."""

    clients: int
    why_not: str = ""


def spread(contract: Contract, front: bool | None = None) -> Spread:
    """`front`: whether the contract's proxy was seen to stand in front; None: not known."""
    users, limits = contract.users, contract.limits
    if users.identities == 1:
        return Spread(1, "the load comes as one client: give [users] identities, with header, tokens or addresses")
    if limits.client_key == "address":
        if limits.front is not None and front:
            proxy = limits.front.proxy
            return Spread(
                1, f"behind {proxy} all share one bucket: the service sees {proxy}'s address for every client"
            )
        return _by_address(contract)
    return _by_header(contract, limits.client_key.removeprefix("header:"))


def _by_address(contract: Contract) -> Spread:
    users = contract.users
    if not users.addresses:
        return Spread(1, "clients are told apart by address, and all requests leave from one: set [users] addresses")
    if not all(_is_loopback(url) for url in contract.target.base_urls):
        return Spread(
            1, "[users] addresses reach only a service on this machine; elsewhere every request has its address"
        )
    network = ip_network(users.addresses, strict=False)
    room = network.num_addresses - 2 if network.num_addresses > 2 else network.num_addresses
    if room < users.identities:
        return Spread(room, f"{users.addresses} holds {room} addresses for {users.identities} identities")
    return Spread(users.identities)


def _by_header(contract: Contract, name: str) -> Spread:
    users = contract.users
    value = next((text for key, text in users.header.items() if key.lower() == name.lower()), None)
    if value is None:
        return Spread(1, f"clients are told apart by the header {name}, which [users] header does not set")
    fields = set(FIELD.findall(value))
    if "identity" in fields:
        return Spread(users.identities)
    if "token" not in fields:
        return Spread(1, f"every identity sends the same {name}; put {{{{token}}}} or {{{{identity}}}} into it")
    if not users.tokens:
        return Spread(1, f"{name} takes {{{{token}}}}, and [users] tokens names no file")
    held = len(set(tokens(contract)))
    if held < users.identities:
        return Spread(held, f"{users.tokens} holds {held} tokens for {users.identities} identities")
    return Spread(users.identities)


def needed(rate: str, rps: float) -> int:
    """Clients that `rps` requests per second need under a limit per client such as "10/minute"."""
    return max(1, ceil(rps / rate_rps(rate) - 1e-9))


def sentence(contract: Contract, rate: str, found: Spread, rps: float | None = None) -> str:
    """What `check` says of one limit per client; `rps` is the rate that somebody wants to send."""
    limits = contract.limits
    carried = rate_rps(rate) * found.clients
    who = "one client carries" if found.clients == 1 else f"{found.clients:,} clients carry"
    text = f"{rate} per client ({limits.client_key}, per {limits.per_client_scope}): {who} {in_words(carried)}"
    _, window_s = amount_and_window(rate)
    if window_s > 60:
        text += f" for longer than {window_s:.0f} s"
    enough = rps is not None and needed(rate, rps) <= found.clients
    if rps is None:
        text += f"; each request/s takes {needed(rate, 1.0):,}"
    else:
        text += f"; {rps:g} requests/s need {needed(rate, rps):,}"
    return f"{text}; {found.why_not}" if found.why_not and not enough else text


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
