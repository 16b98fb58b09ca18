"""Load goes only where it may, and money is load."""

import json
from pathlib import Path
from typing import Any

import pytest
from servers import Scripted, answer

from measurements.errors import Refused, UsageError
from plimsoll import money, permission
from plimsoll.measure import measure
from plimsoll.spec import Spec
from targets.contract import Contract
from targets.contract_file import parse


def contract(**upstream: Any) -> Contract:
    raw: dict[str, Any] = {
        "target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": [{"name": "e", "path": "/"}],
    }  # fmt: skip
    return parse(raw | ({"upstream": upstream} if upstream else {}), Path("c.toml"))


PRICED = {
    "paid": True, "usd_per_1k_tokens_in": 0.003, "usd_per_1k_tokens_out": 0.015, "tokens_in": 1_000, "tokens_out": 200,
    "calls_per_request": 0.5,
}  # fmt: skip


def test_calls_tokens_and_money_ahead_are_what_the_contract_says_per_request() -> None:
    ahead = money.estimate(contract(**PRICED, max_usd=6.0), 1_000)
    assert (ahead.calls, ahead.tokens) == (500, 600_000)
    assert ahead.usd == pytest.approx(500 * (1.0 * 0.003 + 0.2 * 0.015))
    assert ahead.sentence == "about 1,000 requests, 500 upstream calls, 600,000 tokens, 3.00 USD"


def test_the_cap_is_the_number_of_requests_that_max_usd_pays_for() -> None:
    assert money.estimate(contract(**PRICED, max_usd=6.0), 10).max_requests == 2_000


def test_a_paid_upstream_without_a_cap_is_refused() -> None:
    with pytest.raises(Refused, match=r"is paid .*3\.00 USD.*max_usd in \[upstream\]"):
        money.estimate(contract(**PRICED), 1_000)


def test_a_cap_that_could_never_be_reached_for_want_of_prices_is_refused_too() -> None:
    with pytest.raises(Refused, match="usd_per_1k_tokens"):
        money.estimate(contract(paid=True, max_usd=5.0), 1_000)


def test_an_upstream_that_costs_nothing_needs_no_cap() -> None:
    free = money.estimate(contract(**{**PRICED, "paid": False}), 1_000)
    assert (free.usd, free.max_requests) == (0.0, None) and "USD" not in free.sentence
    assert money.estimate(contract(), 5).max_requests is None
    assert money.estimate(None, 5).calls == 0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "plimsoll" / "allowed.jsonl"


def test_loopback_and_private_ranges_need_no_record() -> None:
    for address in ("127.0.0.1", "::1", "10.0.0.8", "192.168.1.1", "/run/app.sock"):
        permission.check("http://host", address, 1e6)


def test_a_public_host_is_refused_until_it_is_allowed_and_then_up_to_its_rate(home: Path) -> None:
    url, address = "http://Staging.Example.com:8080", "8.8.8.8"
    with pytest.raises(Refused, match=r"plimsoll allow staging\.example\.com --max-rate RPS"):
        permission.check(url, address, 1.0)
    permission.allow("STAGING.example.com", 50.0)
    permission.check(url, address, 50.0)
    with pytest.raises(Refused, match=r"is allowed up to 50 rps .*would reach 51"):
        permission.check(url, address, 51.0)
    with pytest.raises(Refused):
        permission.check("http://other.example.com", address, 1.0)
    with pytest.raises(Refused, match="a closed loop"):
        permission.check(url, address, float("inf"))
    entry = json.loads(home.read_text())
    assert entry["host"] == "staging.example.com" and entry["by"] and entry["at"].startswith("20")


def test_the_newest_record_counts() -> None:
    permission.allow("staging.example.com", 50.0)
    permission.allow("staging.example.com", 5.0)
    with pytest.raises(Refused):
        permission.check("http://staging.example.com", "8.8.8.8", 20.0)


@pytest.mark.parametrize("host", ["", "http://x.example.com", "x.example.com/path", "two words", "x.example.com:8080"])
def test_what_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="is not a host name"):
        permission.allow(host, 5.0)


@pytest.mark.parametrize("rate", [0.0, -5.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_is_refused(rate: float, home: Path) -> None:
    with pytest.raises(UsageError, match="--max-rate"):
        permission.allow("staging.example.com", rate)
    assert not home.exists()


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "0.0.0.0"])
def test_what_load_never_goes_to_cannot_be_put_on_record(host: str, home: Path) -> None:
    with pytest.raises(Refused, match="load never goes there"):
        permission.allow(host, 5.0)
    assert not home.exists()


def test_a_pattern_of_hosts_is_refused_because_none_would_match(home: Path) -> None:
    with pytest.raises(UsageError, match="allow each by its own name"):
        permission.allow("*.example.com", 5.0)


def test_an_address_in_ipv6_can_be_allowed() -> None:
    permission.allow("2606:4700::1111", 5.0)
    permission.check("http://[2606:4700::1111]:80", "2606:4700::1111", 5.0)


@pytest.mark.parametrize("line", ["{", "5", '{"host": "x"}', "null"])
def test_a_damaged_record_is_a_sentence(line: str, home: Path) -> None:
    home.parent.mkdir(parents=True)
    home.write_text(line + "\n")
    with pytest.raises(UsageError, match="is damaged"):
        permission.check("http://x", "8.8.8.8", 1.0)


@pytest.mark.parametrize(
    ("upstream", "error", "part"),
    [
        (
            {**PRICED, "max_usd": 5.0},
            UsageError,
            "probing for a rate would spend without counting; name one with --rate",
        ),
        (PRICED, Refused, "max_usd in [upstream]"),
    ],
)
def test_no_request_is_sent_at_a_paid_upstream_before_its_cost_is_known(
    upstream: dict[str, Any], error: type[Exception], part: str, tmp_path: Path
) -> None:
    with Scripted({"/": answer()}) as server:
        made = contract(**upstream)
        made = made.model_copy(update={"target": made.target.model_copy(update={"base_url": server.url})})
        with pytest.raises(error) as caught:
            measure(Spec(contract=made, out=tmp_path))
    assert part in str(caught.value)
    assert server.asked == [] and server.paths() == []
    assert not list(tmp_path.glob("*-t-*"))


def test_a_user_without_a_name_and_a_folder_that_cannot_be_written_are_no_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs under a number."""
    monkeypatch.setattr("getpass.getuser", lambda: {}["uid not found"])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert permission.allow("staging.example.com", 5.0)["by"].startswith("uid ")
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="XDG_CONFIG_HOME"):
        permission.allow("staging.example.com", 5.0)
