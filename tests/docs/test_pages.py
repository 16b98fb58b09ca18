"""What the pages say holds: generated parts are fresh, columns, keys and limits are those of the code, links resolve."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from measurements import check, generator_checks, quantiles, reading, run_checks, sample, slo
from measurements.errors import Exit
from plimsoll.finish import ERRORS
from profiles.breakdown import PARTS
from profiles.resources import RESOURCES
from profiles.scrape import SERVER
from tests.docs import pages
from tests.measurements import made_rows

FORMAT = pages.ROOT / "docs" / "format.md"
CONCEPTS = pages.ROOT / "docs" / "concepts.md"
FORBIDDEN = r"/wor[k]/|\bTODO\b|\bFIXME\b|\bXXX\b|pypi\.org|blazing|cutting-edge|state-of-the-art|seamless"


def test_generated_pages_are_what_the_code_says_today() -> None:
    for path, content in pages.script("docs/generate.py").pages().items():
        assert path.read_text(encoding="utf-8") == content, (
            f"{path.name} is old; run: .venv/bin/python docs/generate.py"
        )


def test_every_key_of_the_contract_has_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", (pages.ROOT / "docs" / "contract.md").read_text("utf-8"), re.M)
    assert len(rows) > 80
    assert [key for key, meaning in rows if not meaning.strip(" .")] == [], "say what it means in docs/contract.toml"


def test_what_the_contract_page_calls_unread_is_read_nowhere() -> None:
    words = tomllib.loads((pages.ROOT / "docs" / "contract.toml").read_text(encoding="utf-8"))
    rooms = ("plimsoll", "loadtests", "profiles", "measurements", "capacity", "reports", "benchmarks")
    code = "\n".join(path.read_text("utf-8") for room in rooms for path in (pages.ROOT / room).rglob("*.py"))
    read = [place for place, expression in words["not_read_yet"].items() if re.search(expression, code)]
    assert read == [], "these are read now: take them off not_read_yet in docs/contract.toml and run docs/generate.py"


@pytest.mark.parametrize(
    "schema",
    [sample.SAMPLES, sample.TOKENS, RESOURCES, ERRORS, SERVER, PARTS],
    ids=["samples", "tokens", "resources", "errors", "server", "timing"],
)
def test_every_column_on_disk_is_defined(schema: object) -> None:
    text = FORMAT.read_text(encoding="utf-8")
    assert [name for name in schema.names if f"`{name}`" not in text] == []  # type: ignore[attr-defined]


def test_every_outcome_and_exit_code_is_defined() -> None:
    text = FORMAT.read_text(encoding="utf-8")
    assert [name for name in sample.OUTCOMES if f"| `{name}` |" not in text] == []
    assert [int(code) for code in Exit if not re.search(rf"^\| {int(code)} \|", text, re.M)] == []


def test_every_key_of_a_summary_is_named(tmp_path: Path) -> None:
    tokens = [(20.0, 1), (30.0, 1)]
    rows = [made_rows.row(10 * k, 40.0, token_ms=tokens, connect_ms=1.0) for k in range(30)]
    text = FORMAT.read_text(encoding="utf-8")
    summary = made_rows.summary(tmp_path, rows)
    entry, stage = summary["all"], summary["stages"][0]
    keys = {*summary, *entry, *stage, *entry["response_ms"], *summary["slo"][0]}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_the_version_on_disk_is_in_the_history() -> None:
    history = FORMAT.read_text(encoding="utf-8").split("## History")[1]
    assert f"| {sample.SCHEMA_VERSION} |" in history


def test_smallest_sample_sizes_are_those_of_the_code() -> None:
    said = dict(re.findall(r"^\| (p[\d.]+) \| ([\d,]+) \|$", CONCEPTS.read_text(encoding="utf-8"), re.M))
    needed = {name.replace("_", "."): f"{quantiles.needed(p):,}" for name, p in quantiles.QUANTILES.items()}
    assert said == needed


def test_the_checks_of_validity_are_all_listed() -> None:
    modules = (generator_checks, run_checks, reading)
    trees = [ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")) for module in modules]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Check"]
    names = {call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)}
    section = CONCEPTS.read_text(encoding="utf-8").split("## Validity")[1].split("\n## ")[0]
    assert names == set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    assert (check.LATENESS_MS, check.LATENESS_SHARE, generator_checks.HOT_CORES, generator_checks.HOT_WINDOWS) == (
        1,
        0.05,
        0.8,
        3,
    )
    assert run_checks.ENOUGH_EFFECTIVE == 400, "then say so in docs/concepts.md"


def test_the_default_slo_is_the_one_that_the_contract_page_states() -> None:
    assert slo.DEFAULT == {"all": {"error_rate": 0.05}}


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(pages.ROOT)))
def test_links_lead_somewhere_and_words_are_ours(page: Path) -> None:
    text = pages.without_blocks(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}, which is not there"
        assert found.suffix != ".md" or not anchor or anchor in pages.anchors(found), (
            f"{page.name}: no heading #{anchor}"
        )
    assert not re.findall(FORBIDDEN, page.read_text(encoding="utf-8"), re.IGNORECASE)


def test_no_text_holds_the_marks_of_an_unfinished_merge() -> None:
    kinds = {".md", ".toml", ".py", ".yml", ".j2", ".html"}
    files = [path for path in pages.tracked() if path.suffix in kinds or path.name == "Makefile"]
    assert len(files) > 300
    marked = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [str(path) for path in files if marked.search(path.read_text(encoding="utf-8"))] == []


def test_the_picture_is_small_enough_to_load() -> None:
    picture = pages.ROOT / "docs" / "report.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size < 400_000
