"""The page a reader gets: one strict offline file whose every figure stands in the run directory."""

import html
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_run

from capacity.plan import RunDocuments, make_plan
from measurements.errors import UsageError
from measurements.rundir import RunDirectory
from reports import documents, explore, quantities
from reports.page import policy_hash
from reports.render import render
from reports.wording import LANGUAGES, Words

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Tags in order, visible text outside of charts and their tables, and every attribute."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "svg", "details", "title", "script"} & set(self._open):
            self.text.append(data)

    def all_of(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.fixture(scope="module")
def source(run: RunDirectory) -> str:
    return render(run).read_text(encoding="utf-8")


def test_a_whole_run_has_nothing_missing(source: str) -> None:
    assert 'class="missing"' not in source


def test_the_policy_allows_nothing_but_the_one_style_sheet(source: str) -> None:
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1])  # type: ignore[index]
    assert style is not None
    assert policy.startswith("default-src 'none'; style-src ")
    assert f"'{policy_hash(style[1])}'" in policy
    [script] = executable(source)
    assert f"script-src '{policy_hash(script)}'" in policy
    assert "unsafe" not in policy


def executable(source: str) -> list[str]:
    """The scripts of a page that a browser would run; data is none."""
    return re.findall(r"<script>(.*?)</script>", source, re.DOTALL)


def test_the_only_script_is_the_library_with_its_licence_and_our_few_lines(source: str) -> None:
    [script] = executable(source)
    assert script == explore.script()
    assert "Permission is hereby granted" in script and "uPlot (v1.6.32)" in script
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon|eval\(|new Function|innerHTML|https?://(?!github.com/leeoniya)",
                         script.replace("http://www.w3.org", ""))  # fmt: skip


def test_the_lines_to_explore_are_those_of_the_table_and_the_page_is_whole_without_them(source: str) -> None:
    found = re.findall(r'<script type="application/json">(.*?)</script>', source, re.DOTALL)
    assert len(found) == 3  # outcomes, percentiles over time, and what is aligned in time
    for data in map(json.loads, found):
        assert len(data["moments"]) > 10 and data["panels"]
        for panel in data["panels"]:
            assert all(len(line["values"]) == len(data["moments"]) for line in panel["lines"])
    charts = re.findall(r'<figure class="chart"[^>]* data-explore=.*?</figure>', source, re.DOTALL)
    assert len(charts) == 3 and all(chart.count('role="img"') == 2 and "<details>" in chart for chart in charts)


def test_nothing_is_fetched_and_nothing_is_styled_inline(source: str) -> None:
    page = Page(source)
    assert page.all_of("style") == []
    assert all(value.startswith(("#", "data:text/csv")) for value in page.all_of("href") + page.all_of("xlink:href"))
    assert not [value for value in page.all_of("src") if not value.startswith("data:")]


def test_headings_descend_one_level_at_a_time_from_one_h1(source: str) -> None:
    levels = [int(tag[1]) for tag in Page(source).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_id_is_unique_and_every_reference_finds_one(source: str) -> None:
    page = Page(source)
    ids = page.all_of("id")
    assert len(ids) == len(set(ids))
    references = [value[1:] for value in page.all_of("href") + page.all_of("xlink:href") if value.startswith("#")]
    references += [name for value in page.all_of("aria-labelledby") for name in value.split()]
    references += re.findall(r"url\(#([^)]+)\)", source)
    assert set(references) <= set(ids)


def test_every_chart_has_a_name_a_description_and_a_table(source: str) -> None:
    charts = re.findall(r'<figure class="chart".*?</figure>', source, re.DOTALL)
    assert len(charts) >= 6
    for chart in charts:
        assert chart.count('role="img"') == 2  # for wide and for narrow pages
        assert len(re.findall(r"<title id=[^>]+>[^<]+</title><desc id=[^>]+>[^<]+</desc>", chart)) == 2
        assert "<details>" in chart
        assert "<td>" in chart


def test_every_figure_in_the_text_stands_in_the_documents(run: RunDirectory, source: str) -> None:
    page = Page(source)
    names = ("run.json", "summary.json", "validity.json", "plan.json")
    leaves = [value for name in names for _, value in documents.walk(run.read_json(name))]
    allowed = set(figures_in(" ".join(map(str, Words("en")._texts.values()))))
    for value in leaves:
        allowed |= written(value)
    allowed |= figures_in(run.identity) | {"50", "95", "99"}  # p50, p95, p99
    unknown = {figure for figure in figures_in(" ".join(page.text)) if figure not in allowed}
    assert not unknown


def test_a_plan_as_the_capacity_room_makes_it_is_shown_whole(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20, 40, 60, 80], stage_s=20, plan=False)
    read = documents.read(run)
    made = make_plan([RunDocuments(read.run, read.summary, read.validity)], 100.0).as_json()
    run.write_json("plan.json", made)
    source = render(run).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert 'class="missing"' not in source
    for refusal in made["refusals"]:
        assert html.escape(refusal["reason"], quote=True).replace("&#x27;", "&#39;") in source
    for option in (*made["scale_up"][-1:], *made["scale_out"][-1:]):
        assert all(html.escape(text).replace("&#x27;", "&#39;") in source for text in option["assumptions"])


def test_what_failed_is_shown_with_what_the_service_said(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10], stage_s=4, plan=False)
    rows = {"error_id": [1], "outcome": ["rejected"], "count": [1234], "first_s": [3.2], "last_s": [61.0],
            "pattern": ["busy"], "excerpt": ["<b>busy</b>"]}  # fmt: skip
    pq.write_table(pa.table(rows), run.path / "errors.parquet")
    source = render(run).read_text(encoding="utf-8")
    assert "&lt;b&gt;busy&lt;/b&gt;" in source
    assert "1,234" in source
    assert "14:13:23" in source and "14:14:21" in source


def figures_in(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


def written(value: Any) -> set[str]:
    if not quantities.is_number(value):
        return figures_in(str(value))
    formatters = (
        quantities.number, quantities.plain, quantities.count, quantities.milliseconds, quantities.limit_ms,
        quantities.seconds, quantities.rate, quantities.percent, quantities.mebibytes, quantities.size,
        quantities.dollars, quantities.share, quantities.megabytes, str,
    )  # fmt: skip
    return {figure for formatter in formatters for figure in figures_in(formatter(value))}


def test_the_page_speaks_its_language(run: RunDirectory, source: str) -> None:
    pages = {"en": source, "ko": render(run, "ko").read_text(encoding="utf-8")}
    assert set(pages) == set(LANGUAGES)
    for lang, page in pages.items():
        assert f'<html lang="{lang}">' in page
        assert Words(lang)("section.recommendation") in page
        assert Words(lang)("chart.load_line.title") in page
    assert '<span lang="en">' in pages["ko"]  # sentences that the documents carry in English say so


def test_another_language_is_refused_in_one_sentence(run: RunDirectory) -> None:
    with pytest.raises(UsageError, match="choose one of: en, ko"):
        render(run, "fr")


def test_a_hostile_target_stays_text(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=5)
    evil = "<script>alert(1)</script>$\\frac{1}{0}$\x1b[2J\"'"
    summary = run.read_json("summary.json")
    for part in (summary, *summary["stages"]):
        part["endpoints"][evil] = part["endpoints"].pop("generate")
    run.write_json("summary.json", summary)
    plan = synthetic_run.PLAN | {"scale_out": [{"recommended": 2, evil: evil}], "expires_when": [evil]}
    plan["refusals"] = [{"field": evil, "reason": evil, "remedy": evil}]
    run.write_json("plan.json", plan)
    validity = {"valid": False, "checks": [{"check": evil, "state": "invalid", "sentence": evil, "remedy": evil}]}
    run.write_json("validity.json", validity)
    source = render(run).read_text(encoding="utf-8")
    assert executable(source) == [explore.script()]
    assert "<script>alert" not in source
    assert "&lt;script&gt;alert(1)" in source
    assert Page(source).all_of("onerror") == []
    svg = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert "\x1b" not in svg


def test_limits_that_bind_and_traps_stand_in_the_report(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=5)
    summary = run.read_json("summary.json")
    summary["limits"] = [
        {"binds": True, "sentence": "rate limit 10/minute per client binds: 312 of 400 requests"},
        {"binds": False, "sentence": "queue search did not bind <b>"},
    ]
    summary["traps"] = [{"state": "costs", "sentence": "health checks call the LLM at every probe"}]
    run.write_json("summary.json", summary)
    source = render(run).read_text(encoding="utf-8")
    part = source[source.index('id="policies"') : source.index('id="validity"')]
    assert part.index("10/minute per client binds") < part.index("queue search did not bind &lt;b&gt;")
    assert "health checks call the LLM" in part and "costs" in part
    assert 'id="policies"' not in render(synthetic_run.write(tmp_path / "b", rates=[10])).read_text(encoding="utf-8")
