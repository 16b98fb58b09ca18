"""`plimsoll` alone shows the way, from where somebody stands; shipped contracts are found from any folder."""

from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import said

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
