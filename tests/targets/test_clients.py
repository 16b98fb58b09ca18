"""As how many clients a limiter sees the load, how many a rate needs, and why it cannot be spread where it cannot."""

from pathlib import Path
from typing import Any

import pytest

from targets import clients
from targets.contract_file import load, parse
from targets.payload import data_folder

ENCAR, SAJU = (load(data_folder() / f"{name}.toml") for name in ("encar", "saju"))


def contract(users: dict[str, Any], key: str = "address", url: str = "http://127.0.0.1:1", **limits: Any) -> Any:
    document = {"target": {"name": "t", "base_url": url}, "endpoint": [{"name": "ask", "path": "/"}]}
    limits = {"per_client": ["10/minute"], "client_key": key, **limits}
    return parse(document | {"users": users, "limits": limits}, Path(__file__))


@pytest.mark.parametrize(
    ("users", "key", "seen", "why"),
    [
        ({}, "address", 1, "the load comes as one client"),
        ({"identities": 50}, "address", 1, "all requests leave from one"),
        ({"identities": 50, "addresses": "127.0.1.0/24"}, "address", 50, ""),
        ({"identities": 500, "addresses": "127.0.1.0/24"}, "address", 254, "holds 254 addresses for 500 identities"),
        ({"identities": 50}, "header:X-User", 1, "which [users] header does not set"),
        ({"identities": 50, "header": {"x-user": "u-{{identity}}"}}, "header:X-User", 50, ""),
        ({"identities": 50, "header": {"X-User": "everybody"}}, "header:X-User", 1, "every identity sends the same"),
        ({"identities": 50, "header": {"X-User": "{{token}}"}}, "header:X-User", 1, "names no file"),
    ],
)
def test_what_a_limiter_can_tell_apart(users: dict[str, Any], key: str, seen: int, why: str):
    found = clients.spread(contract(users, key))
    assert found.clients == seen
    assert why in found.why_not and bool(why) == bool(found.why_not)


def test_tokens_are_as_many_clients_as_there_are_lines(tmp_path: Path):
    (tmp_path / "tokens.txt").write_text("a\nb\nb\nc\n")
    users = {"identities": 50, "header": {"X-User": "{{token}}"}, "tokens": str(tmp_path / "tokens.txt")}
    found = clients.spread(contract(users, "header:X-User"))
    assert found.clients == 3
    assert "holds 3 tokens for 50 identities" in found.why_not


def test_behind_nginx_a_limit_by_address_has_one_bucket_but_one_by_header_has_many():
    assert clients.spread(SAJU, front=False).clients == 250
    behind = clients.spread(SAJU, front=True)
    assert behind.clients == 1
    assert "behind nginx all share one bucket" in behind.why_not
    assert clients.spread(ENCAR, front=True).clients == 397


def test_loopback_addresses_do_not_reach_another_host():
    users = {"identities": 50, "addresses": "127.0.1.0/24"}
    assert clients.spread(contract(users, url="http://10.0.0.9:80")).clients == 1


@pytest.mark.parametrize(("rps", "needed"), [(1 / 6, 1), (1.0, 6), (66.1, 397), (66.2, 398)])
def test_clients_that_a_rate_needs(rps: float, needed: int):
    assert clients.needed("10/minute", rps) == needed


def test_the_sentence_of_check_says_what_is_carried_what_is_needed_and_what_stands_in_the_way():
    def said(rate: str, found: clients.Spread, rps: float | None = None) -> str:
        return clients.sentence(ENCAR, rate, found, rps)

    spread = clients.spread(ENCAR)
    head = "10/minute per client (header:X-User-Token, per process): 397 clients carry 66.2 requests/s"
    assert said("10/minute", spread) == f"{head}; each request/s takes 6"
    assert said("10/minute", spread, 50) == f"{head}; 50 requests/s need 300"
    assert "for longer than 3600 s; 50 requests/s need 1,800" in said("100/hour", spread, 50)
    alone = clients.Spread(1, "the load comes as one client")
    assert said("10/minute", alone, 50).endswith("50 requests/s need 300; the load comes as one client")
    assert said("10/minute", alone, 0.1).endswith("0.1 requests/s need 1")
