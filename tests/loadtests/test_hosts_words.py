"""Where a master listens, who gets in, and what travels with a plan."""

import json
from pathlib import Path

import pytest

from loadtests.arrivals import Process, Stage
from loadtests.hosts import address, bundle
from loadtests.plan import LoadPlan
from measurements.errors import Refused, UsageError
from targets.contract_file import parse

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 5557)), ("master:6000", ("master", 6000)), ("[fd00::1]:6000", ("fd00::1", 6000)),
        ("fd00::1", ("fd00::1", 5557)), ("localhost", ("localhost", 5557)),
    ],
)  # fmt: skip
def test_a_place_is_a_host_and_perhaps_a_port(text: str, found: tuple[str, int]) -> None:
    assert address.parse(text, "--join") == found


@pytest.mark.parametrize("text", ["", "tcp://10.0.0.1", "a b", "host:port", "host:70000"])
def test_what_is_no_place_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--join"):
        address.parse(text, "--join")


def test_beyond_loopback_a_master_without_a_token_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLIMSOLL_TOKEN", raising=False)
    assert (
        address.token_to_bind("127.0.0.1") == address.token_to_bind("::1") == address.token_to_bind("localhost") == ""
    )
    for elsewhere in ("0.0.0.0", "10.0.0.1", "::", "master.internal"):
        with pytest.raises(Refused, match="PLIMSOLL_TOKEN"):
            address.token_to_bind(elsewhere)
    with pytest.raises(UsageError, match="PLIMSOLL_TOKEN"):
        address.token_to_join("10.0.0.1")
    monkeypatch.setenv("PLIMSOLL_TOKEN", "short")
    with pytest.raises(UsageError, match="16 are the least"):
        address.token_to_bind("127.0.0.1")
    monkeypatch.setenv("PLIMSOLL_TOKEN", SECRET)
    assert address.token_to_bind("0.0.0.0") == SECRET


def packed(folder: Path) -> dict[str, object]:
    (folder / "../questions.jsonl").resolve().write_text('"one"\n"two"\n')
    (folder / "tokens.txt").write_text("canary-token-1\n")
    (folder / "shop.py").write_text("from locust import User\n")
    raw = {
        "target": {"name": "shop", "base_url": "http://10.9.0.2", "locustfile": "shop.py"},
        "endpoint": [{"name": "a", "path": "/{{q}}", "header": {"Authorization": "Bearer ${env:SHOP_KEY}"}}],
        "data": {"q": {"jsonl": "../questions.jsonl"}},
        "users": {"tokens": "tokens.txt", "identities": 1},
    }
    parse(raw, folder / "contract.toml")
    plan = LoadPlan(
        "r", ["http://10.9.0.2"], ["10.9.0.2"], [Stage("s", 1.0, 1.0, 1.0)], Process(), 1, "n", contract=raw,
        contract_folder=str(folder), locustfile=str(folder / "shop.py"),
    )  # fmt: skip
    return json.loads(json.dumps(bundle.pack(plan)))


def test_a_plan_brings_its_files_and_no_secret_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "canary-key")
    (tmp_path / "contract").mkdir()
    sent = packed(tmp_path / "contract")
    assert "canary-key" not in json.dumps(sent)
    for file in (tmp_path / "contract").iterdir():
        file.unlink()
    (tmp_path / "questions.jsonl").unlink()
    plan = bundle.unpack(sent, tmp_path / "there")
    assert plan.contract is not None and plan.locustfile is not None
    found = parse(plan.contract, Path(plan.contract_folder) / "contract")
    assert found.beside(found.data.fields["q"].jsonl or "").read_text() == '"one"\n"two"\n'
    assert Path(plan.locustfile).read_text() == "from locust import User\n"
    kept = sorted(path.name for path in (tmp_path / "there").iterdir())
    assert kept == ["000.jsonl", "001.txt", "sent_locustfile.py"]  # no name of the sender became a path
    assert all((tmp_path / "there" / name).stat().st_mode & 0o077 == 0 for name in kept)


def test_a_locustfile_that_is_here_too_is_taken_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "x")
    (tmp_path / "contract").mkdir()
    sent = packed(tmp_path / "contract")
    assert bundle.unpack(sent, tmp_path / "a").locustfile == str(tmp_path / "contract" / "shop.py")
    (tmp_path / "contract" / "shop.py").write_text("# another one\n")
    assert bundle.unpack(sent, tmp_path / "b").locustfile == str(tmp_path / "b" / "sent_locustfile.py")


def test_a_suffix_that_climbs_out_of_the_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "x")
    (tmp_path / "contract").mkdir()
    sent = packed(tmp_path / "contract")
    sent["files"][0]["suffix"] = "/../../evil"  # type: ignore[index]
    bundle.unpack(sent, tmp_path / "there")
    assert sorted(path.name for path in (tmp_path / "there").iterdir())[0] == "000"


def test_more_data_than_travels_with_a_plan_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "x")
    monkeypatch.setattr(bundle, "MOST_BYTES", 10)
    (tmp_path / "contract").mkdir()
    with pytest.raises(UsageError, match="travel with a plan"):
        packed(tmp_path / "contract")
