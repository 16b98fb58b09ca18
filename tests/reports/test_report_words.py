"""One source of wording per language, one of number formats, and the lines for terminal and CI."""

import re
import string
import tomllib
from pathlib import Path

import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from reports import quantities as q
from reports import wording
from reports.documents import Documents, read
from reports.made import made
from reports.markdown import escape, markdown
from reports.terminal import MOST_LINES, summary_lines
from reports.wording import LANGUAGES, Words


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_the_same_sentences_with_the_same_fields() -> None:
    english = Words("en")
    for lang in LANGUAGES:
        words = Words(lang)
        assert words.keys() == english.keys()
        for key in sorted(english.keys()):
            assert placeholders(words._texts[key]) == placeholders(english._texts[key]), f"{lang}: {key}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sentence_stands_in_two_files(lang: str) -> None:
    folder = Path(wording.__file__).parent / "templates"
    keys = [
        key
        for file in folder.glob(f"*_{lang}.toml")
        for key, _ in wording._flat(tomllib.loads(file.read_text("utf-8")), "")
    ]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (q.number(0.0123), "0.0123"),
        (q.number(9.996), "10.0"),
        (q.number(999.7), "1,000"),
        (q.number(-5), "−5.00"),
        (q.milliseconds(812.4), "812 ms"),
        (q.milliseconds(5200), "5.20 s"),
        (q.limit_ms(5000), "5 s"),
        (q.percent(0.002), "0.2 %"),
        (q.rate(99.94), "99.9/s"),
        (q.seconds(90), "90 s"),
        (q.seconds(600), "10 min"),
        (q.mebibytes(2048), "2,048 MiB"),
        (q.between(780, 850, q.milliseconds), "780–850 ms"),
        (q.between(780, 1250, q.milliseconds), "780 ms – 1.25 s"),
        (q.between(38.5, 48.9, q.rate), "38.5–48.9/s"),
        (q.between(3, 4, q.plain), "3–4"),
        (q.between(4, 4, q.plain), "4"),
        (q.between(None, 4, q.plain), "–"),
        (q.shown(None, q.rate), "–"),
        (q.shown(True, q.rate), "–"),
    ],
)
def test_a_figure_is_written_in_one_way(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_terminal_gets_at_most_fifteen_lines_that_end_with_the_report(run: RunDirectory, lang: str) -> None:
    found = read(run)
    lines = summary_lines(found.summary, found.validity, found.plan, "runs/x/report.html", lang)
    assert len(lines) <= MOST_LINES
    assert lines[-1].endswith("runs/x/report.html")
    text = "\n".join(lines)
    assert "38.5–48.9/s" in text
    assert Words(lang)("bottleneck.cpu_one_core") in text


def test_many_reasons_still_leave_room_for_the_path(run: RunDirectory) -> None:
    found = read(run)
    checks = [{"check": str(k), "state": "invalid", "sentence": f"reason {k}\x1b[31m\nmore"} for k in range(30)]
    lines = summary_lines(found.summary, {"valid": False, "checks": checks}, None, Path("report.html"))
    assert len(lines) == MOST_LINES
    assert lines[-1].endswith("report.html")
    assert all(line.isprintable() for line in lines)


def test_a_refused_plan_says_its_reason_once_and_what_to_do_next(run: RunDirectory) -> None:
    found = read(run)
    refusal = {"field": "capacity_rps", "reason": "3 requests are too few", "remedy": "plimsoll run x --duration 600"}
    plan = {"refusals": [refusal], "evidence_grade": "C"}
    text = "\n".join(summary_lines(found.summary, found.validity, plan, "report.html"))
    assert text.count("3 requests are too few") == 1
    assert "What would help: plimsoll run x --duration 600" in text


def test_an_invalid_run_says_its_reason_and_no_advice(run: RunDirectory) -> None:
    found = read(run)
    checks = [{"check": "cpu", "state": "invalid", "sentence": "the generator was hot", "remedy": "give it a core"}]
    refusal = {"field": "capacity_rps", "reason": "the run is INVALID: the generator was hot", "remedy": "again"}
    lines = summary_lines(found.summary, {"valid": False, "checks": checks}, {"refusals": [refusal]}, "report.html")
    assert "\n".join(lines).count("the generator was hot") == 2  # the headline, and beside its remedy
    assert any(line.endswith("the generator was hot; give it a core") for line in lines)
    assert not any(line.startswith("advice") for line in lines)


def test_under_the_title_stand_address_start_and_length(run: RunDirectory) -> None:
    found = read(run)
    asked = found.run | {"run": "20261129T062002Z-shop-d38868", "base_urls": ["http://a:1", "http://b:2"]}
    parts = made(Documents(**{**found.__dict__, "run": asked}))
    assert parts[:2] == ["http://a:1 + 1", "2026-11-29 06:20:02 UTC"] and parts[2].endswith((" s", " min"))
    assert made(Documents(**{**found.__dict__, "run": {}, "summary": {}})) == []


def test_markdown_carries_the_same_verdict_and_no_markup_of_the_target(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=4)
    text = markdown(run)
    assert "one CPU core binds first" in text
    assert "| **38.5–48.9/s** |" in text
    hostile = escape("[x](http://evil) <img> @team | `a`\n# b")
    assert "\n" not in hostile
    assert not re.search(r"(?<!\\)[\[\]<>|`@#]", hostile)


def test_a_p95_of_too_few_samples_says_how_many_it_needs() -> None:
    few = {"n": 7, "p95": None, "bounds": {}, "ci95": {}}
    why = {"all.response_ms.p95": "needs 72 samples, has 7"}
    summary = {
        "all": {"count": 7, "response_ms": few},
        "stages": [{"name": "steady", "all": {"response_ms": few}}],
        "why_null": why,
    }
    lines = summary_lines(summary, {"valid": True, "checks": []}, None, "report.html")
    assert "p95       –  (over the whole run; needs 72 samples, has 7)" in lines


def test_a_null_without_a_reason_leaves_no_loose_end() -> None:
    summary = {"all": {}, "stages": [{"name": "steady", "all": {}}]}
    assert "p95       –  (over the whole run)" in summary_lines(summary, {"valid": True}, None, "report.html")
