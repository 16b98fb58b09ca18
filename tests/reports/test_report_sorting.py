"""A table of many endpoints is sorted by a press on the head of a column, with the row of all requests on top."""

import re
from pathlib import Path

import pytest
import synthetic_run
from test_report_axe import CHROMIUM, opened, violations
from test_report_page import Page, executable

from measurements.rundir import RunDirectory
from reports import sorting
from reports.page import policy_hash
from reports.render import render

PRESS = """
const head = [...document.querySelectorAll("#endpoints thead button")][%d];
head.click();
setTimeout(() => document.documentElement.setAttribute("data-order", JSON.stringify(
  [...document.querySelectorAll("#endpoints table.sortable tbody th")].map(cell => cell.textContent))), 100);
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a run with five endpoints of different counts."""
    run = synthetic_run.write(tmp_path_factory.mktemp("many"), rates=[10, 80], stage_s=4)
    summary = run.read_json("summary.json")
    one = next(iter(summary["endpoints"].values()))
    summary["endpoints"] = {f"page-{k}": one | {"count": count} for k, count in enumerate((30, 500, 7, 80, 60))}
    run.write_json("summary.json", summary)
    return render(run).read_text(encoding="utf-8")


def test_the_library_comes_along_under_the_policy(many: str) -> None:
    [script] = executable(many)
    assert script.endswith(sorting.script())
    assert policy_hash(script) in many
    assert not re.search(r"fetch\(|XMLHttpRequest|eval\(|new Function|innerHTML", sorting.script())


def test_a_table_of_few_endpoints_carries_no_sorter(run: RunDirectory) -> None:
    source = render(run).read_text(encoding="utf-8")
    assert sorting.script() not in source and sorting.SORTABLE not in source


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_press_on_a_head_sorts_by_figures_and_leaves_all_requests_on_top(many: str, tmp_path: Path) -> None:
    order = opened(many, tmp_path, PRESS % 1, "data-order")
    assert order == ["all", "page-1", "page-3", "page-4", "page-0", "page-2"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_axe_finds_nothing_in_a_table_that_can_be_sorted(many: str, tmp_path: Path) -> None:
    assert violations(many, tmp_path) == []
    assert len(Page(many).all_of("data-sort")) == 6 * 9
