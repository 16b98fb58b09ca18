"""The decision paper: a reader can say from the first screen what to buy, how sure, and why; absent parts say so."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import synthetic_run

from measurements.rundir import RunDirectory
from reports import costs, decision, quantities, untested, verified
from reports.charts.predictions import predictions
from reports.documents import Documents, read
from reports.render import render
from reports.wording import LANGUAGES, Words

EN = Words("en")


@pytest.fixture(scope="module")
def documents(run: RunDirectory) -> Documents:
    return read(run)


def changed(documents: Documents, **plan: Any) -> Documents:
    return Documents(**{**documents.__dict__, "plan": deepcopy(documents.plan) | plan})


def test_the_ask_is_one_sentence_with_doubt_money_and_grade(documents: Documents) -> None:
    found = decision.paper(documents, EN)
    assert found is not None
    assert found.ask == (
        "Run 5 replicas of kakao (need 4–5, 90 % confidence) for 120 requests a second at peak, at US$412 a month "
        "(US$4,944 a year); evidence grade C, not for purchase."
    )
    assert found.tone == "warn"  # what is not for purchase is never green


def test_example_prices_are_called_so_in_the_sentence_itself(documents: Documents) -> None:
    found = decision.paper(changed(documents, prices_are_examples=True), EN)
    assert found is not None and "(US$4,944 a year) by example prices; evidence grade C" in found.ask


def test_every_option_stands_beside_doing_nothing_with_its_money(documents: Documents) -> None:
    found = decision.paper(documents, EN)
    assert found is not None
    nothing, up, out = found.choices
    assert "Breaks" in nothing.outcome and "2027-03-01" in nothing.outcome and nothing.tone == "bad"
    assert (up.per_month, out.per_month, out.per_year) == ("US$73.25", "US$412", "US$4,944")
    assert out.asked and not up.asked and "also with one lost" in out.outcome
    assert "example price list" in found.price_note


def test_dates_and_what_it_was_measured_on_are_facts(documents: Documents) -> None:
    found = decision.paper(documents, EN)
    assert found is not None
    dates = {fact.label: fact.value for fact in found.dates}
    assert dates == {
        "Demand today": "60.0/s",
        "Headroom": "none: today is 156 % of what was shown to hold",
        "Planned for": "120/s",
        "Line is reached": "2027-03-01",
        "Lead time": "28 days",
        "Order by": "2027-02-01",
    }
    assert "Example CPU" in {fact.label: fact.value for fact in found.measured_on}["Machine"]


def test_without_prices_growth_or_a_sized_option_the_paper_says_so(documents: Documents) -> None:
    bare = [{k: v for k, v in option.items() if k != "cost"} for option in documents.plan["scale_out"]]
    still = {"demand_rps": 120.0, "given": True, "planned_rps": [120.0]}
    unknown = {"scale_out": bare, "scale_up": [], "do_nothing": {"state": "unknown"}}
    found = decision.paper(changed(documents, demand=still, **unknown), EN)
    assert found is not None and "US$" not in found.ask
    assert "No prices were given" in found.price_note
    assert [fact.value for fact in found.dates][-1] == "not dated, for no growth was given"
    growing = decision.paper(changed(documents, **unknown), EN)
    assert growing is not None and growing.dates[-1].value == "not dated, for no capacity was found"
    refusal = {"field": "capacity_rps", "reason": "two stages are too few", "remedy": "drive more stages"}
    refused = decision.paper(changed(documents, scale_out=[], scale_up=[], refusals=[refusal]), EN)
    assert refused is not None and refused.ask == "Nothing is asked for yet: two stages are too few."
    assert refused.because == ["What would help: drive more stages."]
    assert refused.price_note == "Nothing was sized, so nothing is priced."
    assert [c.outcome for c in refused.choices if c.kind != "do_nothing"] == [EN("option.same_reason")] * 2


def test_a_date_that_had_passed_when_the_plan_was_made_is_no_date(documents: Documents) -> None:
    passed = documents.plan["do_nothing"] | {"breaks_on": "2026-11-20", "order_by": "2026-11-20"}
    found = decision.paper(changed(documents, do_nothing=passed, made_at="2026-11-20T09:00:00+00:00"), EN)
    assert found is not None
    dates = {fact.label: fact.value for fact in found.dates}
    assert (dates["Line is reached"], dates["Order by"]) == ("already, by today's demand", "now")
    assert found.choices[0].outcome.endswith("Today's demand is already above what was shown to hold")


def test_the_first_screen_says_what_tokens_take_beside_the_machines_and_what_a_replica_is(documents: Documents) -> None:
    found = decision.paper(documents, EN)
    assert found is not None
    assert found.because == ["Beside the machines: US$51,234 a month (US$614,808 a year) for tokens of some-llm."]
    assert found.choices[-1].size == "each 1 core, 2,048 MiB"


def test_an_invalid_run_asks_for_nothing(documents: Documents) -> None:
    found = decision.paper(Documents(**{**documents.__dict__, "validity": {"valid": False}}), EN)
    assert found is not None and found.ask.startswith("Nothing may be asked for") and found.tone == "bad"
    assert not any(choice.asked for choice in found.choices)


def test_without_a_plan_there_is_no_paper(documents: Documents) -> None:
    assert decision.paper(Documents(**{**documents.__dict__, "plan": {}}), EN) is None


def test_costs_are_shown_for_every_machine_priced_and_for_being_wrong(documents: Documents) -> None:
    found = costs.costs(documents.plan, EN)
    assert found is not None
    assert {row["machine"] for row in found.rows} == {"example.large", "dear.large"}
    assert found.rows[-2]["range"] == "US$330 – US$412"
    assert [fact.value for fact in found.upstream][:2] == ["some-llm", "US$51,234"]
    assert "up to one replica too many, US$82.40 a month" in found.wrong[0] and "20 %" in found.wrong[1]
    assert costs.costs({"scale_out": [{"recommended": 2}]}, EN) is None


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [(41.2, "USD", "US$41.20"), (1240, "USD", "US$1,240"), (352000, "KRW", "₩352,000"), (5, "SEK", "5.00 SEK"),
     (-3, "EUR", "−€3.00")],
)  # fmt: skip
def test_money_is_written_in_its_currency(value: float, currency: str, text: str) -> None:
    assert quantities.money(value, currency) == text


def test_predictions_stand_beside_measurements_and_the_record_of_past_ones(documents: Documents) -> None:
    found = verified.verified(documents, EN)
    assert found is not None and found.mark is not None and found.mark.word == "MISSED"
    assert [row["mark"].word for row in found.rows] == ["inside", "outside", "not tested"]
    assert found.rows[0]["predicted"] == "38.5–48.9/s" and found.rows[1]["measured"] == "900 ms"
    assert "not testable here" in found.rows[2]["why_not"]
    assert "12 predictions 75 % held" in found.record[0] and "times 1.40" in found.record[-1]
    chart = predictions(documents.verification, EN)
    assert chart is not None and len(chart.table.rows) == 2
    untried = verified.verified(Documents(**{**documents.__dict__, "verification": {}}), EN)
    assert untried is not None and "Nobody has tried" in untried.sentence and untried.rows == []


def test_fewer_than_ten_predictions_are_no_record(documents: Documents) -> None:
    few = changed(documents, track_record={"entries": 3, "verdict": "no track record yet", "needed": 7})
    found = verified.verified(few, EN)
    assert found is not None and found.record == [
        "No track record yet: 3 predictions were checked, 7 more are needed before a rate means anything."
    ]


def test_what_was_not_tested_is_read_from_the_documents(documents: Documents) -> None:
    said = " ".join(untested.untested(documents, EN))
    assert "the load came from the machine itself" in said
    assert "driven for 100 s" in said
    assert "120/s is planned" in said
    assert "nobody has yet run the service as recommended" not in said  # there is a verification
    run = deepcopy(documents.run)
    run["contract"] |= {
        "upstream": {"kind": "emulated"},
        "endpoint": [{"name": "off"}, {"name": "live", "kind": "health"}],
    }
    run["contract"]["target"]["base_url"] = "https://staging.example.com"
    said = " ".join(untested.untested(Documents(**{**documents.__dict__, "run": run}), EN))
    assert "an emulator stood in for it" in said and "no load: off." in said
    assert "the load came from the machine itself" not in said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_whole_review_is_on_one_page_in_the_order_of_a_decision(run: RunDirectory, lang: str) -> None:
    source = render(run, lang).read_text(encoding="utf-8")
    order = ["decision", "findings", "load", "binds", "recommendation", "verified", "endpoints", "evidence",
             "limits-of-this", "validity", "provenance", "glossary"]  # fmt: skip
    assert re.findall(r'<section id="([\w-]+)"', source) == order
    for chart in ("load-line", "percentiles", "heatmap", "outcomes", "response-service", "tokens", "token-percentiles",
                  "resources", "scalability", "memory", "predictions"):  # fmt: skip
        assert f'<figure class="chart" id="{chart}"' in source
    assert Words(lang)("signoff.owner") in source
    assert len(source.encode()) < 2 << 20


def test_todays_and_the_planned_demand_stand_in_the_load_line(run: RunDirectory) -> None:
    source = render(run).read_text(encoding="utf-8")
    line = source.split('id="load-line"')[1].split("</figure>")[0]
    assert "today 60.0/s" in line and "planned 120/s" in line


def test_a_run_without_a_plan_is_a_load_report_as_before(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[20], stage_s=4, plan=False)
    source = render(run).read_text(encoding="utf-8")
    assert 'id="decision"' not in source and "Load report" in source


def test_a_bound_is_shown_as_one_with_what_it_leaves_open(documents: Documents) -> None:
    test = {
        "what": "capacity with 4 replicas", "factor": None, "measured": None, "at_least": 8.8, "at_most": None,
        "within": None, "predicted": {"low": 7.7, "mid": 8.8, "high": 8.9, "confidence": 0.9}, "note": "it is at least 8.8 rps",
    }  # fmt: skip
    open_question = {"verdict": "UNDECIDED", "tests": [test]}
    found = verified.verified(Documents(**{**documents.__dict__, "verification": open_question}), EN)
    assert found is not None and found.mark is not None and found.mark.word == "UNDECIDED"
    row = found.rows[0]
    assert (row["measured"], row["mark"].word, row["why_not"]) == (
        "at least 8.80",
        "undecided",
        "it is at least 8.8 rps",
    )
