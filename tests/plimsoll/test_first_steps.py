"""`plimsoll` alone shows the way, from where somebody stands; shipped contracts are found from any folder."""

from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import said

from measurements.rundir import RunDirectory
from plimsoll.first_steps import behind
from reports.wording import LANGUAGES, Words
from targets.contract_file import load


def next_step(text: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith("  ->")]
    return line.removeprefix("  -> ").split("  ")[0]


def test_alone_it_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = said(capsys)
    assert done.code == 0 and next_step(done.out) == "plimsoll init http://127.0.0.1:8000"
    assert "plimsoll doctor" in done.out and "--install-completion" in done.out
    (tmp_path / "orders.toml").write_text("[[endpoint]]\n", encoding="utf-8")
    assert next_step(said(capsys).out) == "plimsoll check orders.toml"
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    (tmp_path / "runs" / "latest" / "report.html").write_text("", encoding="utf-8")
    done = said(capsys)
    assert next_step(done.out).startswith("plimsoll plan runs/latest") and "runs/latest/report.html" in done.out


@pytest.mark.parametrize("lang", LANGUAGES)
def test_behind_a_run_stands_the_plan_for_a_demand_of_ones_own(tmp_path: Path, lang: str) -> None:
    run = RunDirectory.create(tmp_path / "my runs", "shop")
    run.write_json("plan.json", {"scale_out": [{"demand_rps": 43.7}, {"demand_rps": 87.3}]})
    [line] = behind(run, Path("shop.toml"), False, Words(lang))
    assert f"plimsoll plan '{run.path}' --demand 87  " in line
    run.write_json("plan.json", {"scale_out": []})
    assert behind(run, Path("shop.toml"), False, Words(lang)) == []


def test_behind_a_run_at_one_rate_stands_the_shape_that_finds_the_line(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs", "shop")
    assert "plimsoll run shop.toml --start --shape breakpoint  " in behind(run, Path("shop.toml"), True, Words("en"))[0]
    assert behind(run, None, False, Words("en")) == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version").out.strip() == version("plimsoll")


@pytest.mark.parametrize("name", ["kakao", "targets/kakao.toml", "saju.toml"])
def test_a_shipped_contract_is_found_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    contract = load(Path(name))
    assert contract.target.name == Path(name).stem
    assert contract.beside(contract.target.locustfile or "").is_file()


def test_a_file_of_that_name_goes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[target]\nname = "mine"\nbase_url = "http://127.0.0.1:1"\n[[endpoint]]\nname = "a"\npath = "/"\n'
    (tmp_path / "kakao").write_text(text, encoding="utf-8")
    assert load(Path("kakao")).target.name == "mine"
