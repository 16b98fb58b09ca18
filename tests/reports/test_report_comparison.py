"""Two runs beside each other, and the same findings for CI."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from reports import comparison
from reports.charts import canvas, forest
from reports.junit import junit
from reports.wording import Words


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, RunDirectory]:
    """The same load twice; in B every response of search takes twice as long."""
    a, b = (synthetic_run.write(tmp_path_factory.mktemp(name), rates=[20, 30], stage_s=20) for name in "ab")
    summary = b.read_json("summary.json")
    for part in (summary, *summary["stages"]):
        times = part["endpoints"]["search"]["response_ms"]
        for key in ("mean", "p50", "p90", "p95", "p99"):
            times[key] = times[key] and 2 * times[key]
        times["ci95"] = {key: [2 * end for end in ends] for key, ends in times["ci95"].items()}
    b.write_json("summary.json", summary)
    b.write_json("run.json", b.read_json("run.json") | {"git_commit": "4567def"})
    return a, b


def test_a_doubled_time_is_told_apart_and_an_equal_one_is_not(pair: tuple[RunDirectory, RunDirectory]) -> None:
    found = {
        (one["endpoint"], one["metric"]): one
        for one in comparison.compare(*pair)["comparisons"]
        if one["stage"] is None
    }
    assert found["search", "p50_ms"]["state"] == "higher"
    assert found["search", "p50_ms"]["ratio"] == pytest.approx(2)
    assert found["generate", "p50_ms"]["state"] == "not_told_apart"
    assert found["generate", "p50_ms"]["ratio"] == 1
    low, high = found["generate", "p50_ms"]["range"]
    assert low < 1 < high


def test_stages_of_the_same_load_are_compared(pair: tuple[RunDirectory, RunDirectory]) -> None:
    stages = {one["stage"] for one in comparison.compare(*pair)["comparisons"]}
    assert stages == {None, "step-01", "step-02"}


def test_what_else_differs_is_said_on_the_terminal_and_on_the_page(pair: tuple[RunDirectory, RunDirectory]) -> None:
    document = comparison.compare(*pair)
    text = "\n".join(comparison.lines(document))
    assert "git_commit: 0123abc in A, 4567def in B" in text
    assert "higher" in text
    assert "plimsoll gate" in text
    page = comparison.page(document, "ko")
    assert "4567def" in page
    assert 'id="forest"' in page


def test_runs_that_were_driven_at_other_rates_are_no_pair(
    tmp_path: Path, pair: tuple[RunDirectory, RunDirectory]
) -> None:
    other = synthetic_run.write(tmp_path, rates=[20, 90], stage_s=20)
    document = comparison.compare(pair[0], other)
    text = "\n".join(comparison.lines(document))
    assert "A was driven at 20.4–28.9/s, B at 20.4–88.0/s: over the whole runs their figures do not compare" in text
    assert "whole run, " not in text and "another load" in comparison.page(document)
    assert {one["state"] for one in document["comparisons"] if one["stage"] is None} == {"another_load"}
    assert {one["stage"] for one in document["comparisons"]} == {None, "step-01"}  # the stage of the same rate


def test_closed_loops_are_compared_whatever_came_back(tmp_path: Path) -> None:
    """Their rate is the service's answer, and often what one wants to compare."""
    runs = [synthetic_run.write(tmp_path / name, rates=[rate], stage_s=5) for name, rate in (("a", 20), ("b", 40))]
    for run in runs:
        summary = run.read_json("summary.json")
        summary["stages"] = [stage | {"offered_rps": None} for stage in summary["stages"]]
        run.write_json("summary.json", summary)
    document = comparison.compare(*runs)
    assert document["driven_alike"] and not comparison.remarks(document, Words("en"))


def test_a_run_beside_itself_is_said_to_be_that(pair: tuple[RunDirectory, RunDirectory]) -> None:
    assert "A and B are the same run." in comparison.lines(comparison.compare(pair[0], pair[0]))


def test_an_invalid_run_is_named_before_any_figure(tmp_path: Path, pair: tuple[RunDirectory, RunDirectory]) -> None:
    bad = synthetic_run.write(tmp_path, rates=[20], stage_s=5)
    bad.write_json("validity.json", {"valid": False, "checks": []})
    lines = comparison.lines(comparison.compare(bad, pair[0]))
    assert "is not a VALID run" in lines[1]


def test_junit_has_a_case_for_validity_and_for_every_limit(run: RunDirectory) -> None:
    suite = ElementTree.fromstring(junit(run).encode())
    cases = {case.get("name"): case for case in suite}
    assert set(cases) == {"validity", "generate p95_ms", "generate error_rate", "search p95_ms"}
    failure = cases["generate error_rate"].find("failure")
    assert failure is not None
    assert "the limit is 5 %" in failure.attrib["message"]
    assert int(suite.attrib["failures"]) == len(suite.findall("*/failure"))


def test_a_name_that_no_picture_could_hold_costs_no_chart() -> None:
    hostile = {"endpoint": "ask\x1b[2J" + "long " * 40, "metric": "p50_ms", "a": 10.0, "b": 12.0, "ratio": 1.2,
               "range": [1.1, 1.3], "state": "higher"}  # fmt: skip
    chart = forest.forest({"comparisons": [hostile]}, Words("en"))
    assert chart is not None and "ask[2Jlong" in chart.wide
    assert max(map(len, re.findall(r"<text[^>]*>([^<]*)", chart.wide))) <= canvas.LONGEST_MARK


def test_junit_survives_what_a_target_may_be_called(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10], stage_s=4)
    run.write_json("validity.json", {"valid": False, "checks": [{"state": "invalid", "sentence": "\x00\x1b<&>]]>"}]})
    error = ElementTree.fromstring(junit(run).encode()).find("testcase/error")
    assert error is not None
    assert "<&>]]>" in error.attrib["message"]
