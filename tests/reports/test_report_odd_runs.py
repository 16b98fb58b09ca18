"""Any run gets a report: what is missing is said, and nothing is made up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import synthetic_run
from markupsafe import Markup
from matplotlib.figure import Figure

from measurements.rundir import RunDirectory
from reports.charts import canvas
from reports.documents import read
from reports.render import render
from reports.terminal import summary_lines


@pytest.fixture(autouse=True)
def painted_but_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are painted, so that odd figures meet matplotlib, but not laid out as SVG: that is what takes time."""

    def paint_only(paint: canvas.Paint, *_: Any, narrow: bool, **__: Any) -> Markup:
        paint(Figure(), narrow)
        return Markup("<svg></svg>")

    monkeypatch.setattr(canvas, "_svg", paint_only)


@pytest.fixture
def small(tmp_path: Path) -> RunDirectory:
    return synthetic_run.write(tmp_path, rates=[20], stage_s=10, plan=False)


def change(run: RunDirectory, name: str, **values: Any) -> None:
    run.write_json(name, run.read_json(name) | values)


def page(run: RunDirectory) -> str:
    return render(run).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")


def test_a_single_stage_without_a_plan_is_judged_by_its_limits(small: RunDirectory) -> None:
    source = page(small)
    assert "plimsoll plan" in source
    assert 'id="load-line"' not in source
    assert 'id="percentiles"' in source
    assert 'class="missing"' not in source


def test_a_closed_loop_says_so_and_has_no_offered_rate(small: RunDirectory) -> None:
    summary = small.read_json("summary.json")
    summary |= {"loop": "closed", "offered_rps": None}
    summary["stages"][0]["offered_rps"] = None
    small.write_json("summary.json", summary)
    source = page(small)
    assert "closed loop" in source
    assert "closed: each user waits" in source


def test_no_limits_means_no_verdict_on_limits(small: RunDirectory) -> None:
    change(small, "summary.json", slo=[])
    assert "no limit was set to judge them by" in page(small)


def test_an_invalid_run_opens_with_not_to_use_it_and_the_remedy(small: RunDirectory) -> None:
    check = {"check": "accounting", "scope": "run", "state": "invalid", "measured": 3, "limit": 0,
             "sentence": "3 requests ended as no row.", "remedy": "Repeat with one worker."}  # fmt: skip
    small.write_json("validity.json", {"valid": False, "indicative": False, "checks": [check]})
    source = page(small)
    assert "Do not use these numbers: 3 requests ended as no row." in source
    assert "Repeat with one worker." in source
    assert "✕</span> INVALID" in source


def test_an_interrupted_run_says_how_far_it_came(small: RunDirectory) -> None:
    change(small, "summary.json", ended="interrupted", duration_s=4.0)
    assert "interrupted after 4 s" in page(small)


def test_nothing_sent_is_a_finding(small: RunDirectory) -> None:
    change(small, "summary.json", all={"count": 0, "ok": 0}, endpoints={}, stages=[])
    for shard in (small.path / "samples").iterdir():
        shard.unlink()
    assert "Nothing was sent to kakao" in page(small)


@pytest.mark.parametrize("name", ["summary.json", "validity.json", "run.json", "resources.parquet", "samples"])
def test_a_missing_file_is_named_or_left_out(small: RunDirectory, name: str) -> None:
    path = small.path / name
    if path.is_dir():
        for shard in path.iterdir():
            shard.unlink()
    else:
        path.unlink()
    source = page(small)
    assert name not in ("summary.json", "validity.json", "run.json") or f"has no {name}" in source


@pytest.mark.parametrize("name", ["summary.json", "plan.json", "resources.parquet", "samples/worker-000.parquet"])
def test_a_damaged_file_is_named(small: RunDirectory, name: str) -> None:
    (small.path / name).write_text("{ not what it should be")
    assert "Not in this run directory" in page(small)


def nothing(document: dict[str, Any]) -> None:
    document.clear()


def nulls(document: dict[str, Any]) -> None:
    for key in document:
        document[key] = None


def words_for_numbers(document: dict[str, Any]) -> None:
    for key, value in document.items():
        if isinstance(value, dict):
            words_for_numbers(value)
        elif isinstance(value, list):
            document[key] = ["?", *value]
        elif isinstance(value, int | float):
            document[key] = "many"


@pytest.mark.parametrize("damage", [nothing, nulls, words_for_numbers])
@pytest.mark.parametrize("name", ["run.json", "summary.json", "validity.json", "plan.json"])
def test_documents_of_the_wrong_shape_do_not_stop_the_report(
    tmp_path: Path, name: str, damage: Callable[[dict[str, Any]], None]
) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=4)
    document = run.read_json(name)
    damage(document)
    run.write_json(name, document)
    assert "</html>" in page(run)
    found = read(run)
    assert summary_lines(found.summary, found.validity, found.plan, "report.html")
