"""Users, growth and dates, prices and the cost of being wrong, the next best measurement."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from math import exp, log
from pathlib import Path

import pytest
from planted import Bench, Service, run

import capacity
from capacity.documents import RunDocuments
from capacity.growth import Growth
from capacity.model import Model, fit
from capacity.plan import make_plan
from capacity.prices import PriceBook
from measurements.errors import UsageError

EXAMPLES = Path(capacity.__file__).with_name("prices.toml")
RESOURCES = {
    "resources": {"cpu": 1.0, "memory_mib": 2048, "workers": 1},
    "upstream": {
        "kind": "emulated",
        "model": "claude-sonnet",
        "tokens_in": 900,
        "tokens_out": 120,
        "calls_per_request": 0.3,
    },
}
BOOK = PriceBook.parse(
    """
    [[machine]]
    name = "one"
    currency = "KRW"
    per_vcpu_hour = 100
    per_gib_hour = 10
    date = "2025-01-01"
    source = "a test"
    [[tokens]]
    model = "claude-sonnet"
    currency = "USD"
    per_million_in = 3
    per_million_out = 15
    date = "2025-01-01"
    source = "a test"
    """,
    "prices.toml",
)


@pytest.fixture(scope="module")
def measured() -> RunDocuments:
    return run(Service(), Bench(contract=RESOURCES))


def test_users_who_think_ask_by_littles_law(measured: RunDocuments) -> None:
    plan = make_plan([measured], None, users=300, think_time_s=10)
    assert plan.demand.today_rps == pytest.approx(300 / 10.1, rel=0.02)
    assert "300 users at once" in plan.demand.note and plan.demand.given


def test_growth_is_planned_for_at_its_horizon_and_says_when_the_line_is_reached(measured: RunDocuments) -> None:
    growth = Growth.parse("10%/month", "12m", date(2025, 1, 1))
    plan = make_plan([measured], 20, growth, lead_time_days=30)
    assert plan.demand.planned_rps == [pytest.approx(20 * 1.1**12)]
    assert plan.do_nothing is not None and plan.capacity_at_least_rps == pytest.approx(40, rel=0.05)
    assert plan.capacity_at_least_rps is not None
    months = log(plan.capacity_at_least_rps / 20) / log(1.1)
    breaks = date(2025, 1, 1) + timedelta(days=months * 365.25 / 12)
    assert plan.do_nothing["breaks_on"] == breaks.isoformat()
    assert plan.do_nothing["order_by"] == (breaks - timedelta(days=30)).isoformat()
    assert plan.do_nothing["today_share_of_line"] == pytest.approx(20 / plan.capacity_at_least_rps)


class TestMoney:
    def test_replicas_cost_by_the_hour_in_their_own_currency(self, measured: RunDocuments) -> None:
        document = make_plan([measured], 120, prices=BOOK, peak_to_mean=3).as_json()
        option = document["scale_out"][0]
        cost = option["cost"][0]
        assert cost["currency"] == "KRW" and cost["price_source"] == "a test"
        assert cost["per_month"] == pytest.approx(option["recommended"] * (100 + 2 * 10) * 730.5)
        assert cost["per_year"] == pytest.approx(12 * cost["per_month"])
        requests = 120 / 3 * 730.5 * 3600 * cost["share_within_slo"]
        assert cost["per_1000_requests_within_slo"] == pytest.approx(1000 * cost["per_month"] / requests)
        assert document["scale_up"][0]["cost"][0]["per_month"] > 0

    def test_only_requests_that_the_run_saw_within_the_slo_share_the_cost(self) -> None:
        failing = run(Service(servers=50, cpu_ms=2), Bench(contract=RESOURCES, slo={"all": {"p50_ms": 15.0}}))
        document = make_plan([failing], 60, prices=BOOK).as_json()
        price = document["scale_out"][0]["cost"][0]
        good = 1 - exp(-15 / 20)  # of exponential times with a mean of 20 ms
        assert price["share_within_slo"] == pytest.approx(good, abs=0.05)
        requests = 60 * 730.5 * 3600 * price["share_within_slo"]
        assert price["per_1000_requests_within_slo"] == pytest.approx(1000 * price["per_month"] / requests)
        assert any("of the requests are within the SLO" in said for said in document["cost_assumptions"])

    def test_failed_requests_of_a_stage_that_passed_are_not_within_the_slo(self) -> None:
        lossy = run(Service(servers=4, service_ms=60, cpu_ms=2, queue=0), Bench(contract=RESOURCES))
        document = make_plan([lossy], 60, prices=BOOK).as_json()
        share = document["scale_out"][0]["cost"][0]["share_within_slo"]
        assert 0.95 <= share < 1

    def test_where_no_stage_passed_the_price_of_a_request_is_left_out_and_said(self) -> None:
        search = {"valid": True, "lower_rps": 8.0, "upper_rps": 9.0, "endpoints": {"all": {"confidence": 0.9}}}
        slow = run(Service(), Bench(contract=RESOURCES, slo={"all": {"p95_ms": 5.0}}))
        document = make_plan([replace(slow, search=search)], 20, prices=BOOK).as_json()
        assert document["scale_out"][0]["cost"][0]["per_1000_requests_within_slo"] is None
        assert any(said.startswith("no stage passed, so how many") for said in document["cost_assumptions"])

    def test_more_memory_costs_by_the_gib_on_as_many_cores(self) -> None:
        idle = Service(servers=50, cpu_ms=2, rss_mib=1800, rss_per_in_flight_mib=0)
        option = make_plan([run(idle, Bench(contract=RESOURCES))], 30, prices=BOOK).as_json()["scale_up"][0]
        assert option["what"] == "memory"
        gib = option["memory_mib"]["high"] / 1024
        assert option["cost"][0]["per_month"] == pytest.approx((100 + 10 * gib) * 730.5)

    def test_a_prices_file_without_machines_is_said_to_price_no_option(self, measured: RunDocuments) -> None:
        document = make_plan([measured], 120, prices=PriceBook.parse("", "mine.toml")).as_json()
        assert any("no [[machine]]" in said for said in document["cost_assumptions"])

    def test_upstream_tokens_are_priced_beside(self, measured: RunDocuments) -> None:
        upstream = make_plan([measured], 120, prices=BOOK).as_json()["upstream_cost"]
        assert upstream["per_1000_requests"] == pytest.approx(1000 * 0.3 * (900 * 3 + 120 * 15) / 1e6)
        assert upstream["currency"] == "USD"

    def test_being_wrong_costs_money_one_way_and_requests_the_other(self, measured: RunDocuments) -> None:
        wrong = make_plan([measured], 120, prices=BOOK).as_json()["cost_of_being_wrong"]
        assert wrong["too_many"][0]["replicas"] >= 1
        assert wrong["too_many"][0]["per_month"] == pytest.approx(wrong["too_many"][0]["replicas"] * 120 * 730.5)
        assert 0 <= wrong["too_few"]["peak_share_beyond_slo"] < 1

    def test_the_examples_that_are_shipped_say_that_they_are(self) -> None:
        book = PriceBook.parse(EXAMPLES.read_text(encoding="utf-8"), str(EXAMPLES))
        assert {price.currency for price in book.machine} == {"USD", "KRW"}
        assert all("example" in price.source and price.date for price in [*book.machine, *book.tokens])

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[[machine]]\nname = 'x'", "machine.0.currency: is missing"),
            (
                "[[machine]]\nname='x'\ncurrency='won'\ndate='2025-01-01'\nsource='abc'\nper_vcpu_hour=1\nper_gib_hour=1",
                "currency: should be three capital letters",
            ),
            ("[machine", "no TOML"),
            ("[[machines]]", "machines: is no key that a prices file has"),
            ("[machine]", r"machine: should be tables: write \[\[machine\]\]"),
        ],
    )
    def test_a_wrong_prices_file_is_refused_with_the_place(self, text: str, place: str) -> None:
        with pytest.raises(UsageError, match=place):
            PriceBook.parse(text, "mine.toml")

    def test_a_date_may_stand_without_quotes(self) -> None:
        price = "name='x'\ncurrency='KRW'\ndate=2025-01-01\nsource='abc'\nper_vcpu_hour=1\nper_gib_hour=1"
        assert PriceBook.parse(f"[[machine]]\n{price}", "mine.toml").machine[0].date == "2025-01-01"


class TestNextBestMeasurement:
    def test_it_narrows_what_is_widest(self) -> None:
        queue = {"work": {"max_concurrent": 4, "max_queue_size": 10_000, "timeout_s": 30}}
        bench = Bench(contract={"limits": {"queue": queue}})
        slots = run(
            Service(servers=4, service_ms=100, cpu_ms=2), bench
        )  # its bracket is wide, its CPU far from binding
        best = make_plan([slots], 1200).as_json()["next_best_measurement"]
        assert best["command"].startswith("plimsoll search ")
        now, after = best["replicas_now"], best["replicas_after"]
        assert after["high"] - after["low"] < now["high"] - now["low"]

    def test_nothing_is_advised_where_nothing_would_narrow_it(self, measured: RunDocuments) -> None:
        assert make_plan([measured], 1200).as_json()["next_best_measurement"] is None

    def test_where_the_upper_end_is_unknown_it_is_a_search(self) -> None:
        best = make_plan([run(Service(servers=50, cpu_ms=2))], 150).as_json()["next_best_measurement"]
        assert best["command"].startswith("plimsoll search")


def test_a_searchs_bracket_takes_the_place_of_the_steps(measured: RunDocuments) -> None:
    search = {"valid": True, "lower_rps": 43.0, "upper_rps": 45.0, "endpoints": {"all": {"confidence": 0.95}}}
    plan = make_plan([replace(measured, search=search)], 120)
    assert plan.capacity_rps is not None
    assert (plan.capacity_rps.low, plan.capacity_rps.high, plan.capacity_rps.confidence) == (43.0, 45.0, 0.95)


@pytest.mark.parametrize(("confidence", "said"), [(0.95, "95 % range"), (0.9, "90 % range"), (0.995, "99.5 % range")])
def test_the_sentence_says_the_confidence_of_the_bracket_that_it_rests_on(
    measured: RunDocuments, confidence: float, said: str
) -> None:
    search = {"valid": True, "lower_rps": 20.0, "upper_rps": 22.0, "endpoints": {"all": {"confidence": confidence}}}
    plan = make_plan([replace(measured, search=search)], 120)
    assert said in plan.sentence
    assert plan.scale_out[0]["replicas"]["confidence"] == plan.scale_up[0]["workers"]["confidence"] == confidence


@pytest.mark.parametrize(
    ("lower", "upper", "confirmed", "by_the_search"),
    [(25.0, 70.0, False, False), (25.0, 70.0, True, True), (43.0, 45.0, False, True)],
    ids=["wider than the steps", "wider, but confirmed", "narrower"],
)
def test_of_a_search_that_ran_out_of_budget_and_a_run_in_steps_the_one_that_knows_the_line_better_says_it(
    measured: RunDocuments, lower: float, upper: float, confirmed: bool, by_the_search: bool
) -> None:
    whole = {"confidence": 0.9, "confirmed": confirmed}
    search = {"valid": True, "lower_rps": lower, "upper_rps": upper, "endpoints": {"all": whole}}
    both = fit([measured, replace(measured, search=search)])
    assert isinstance(both, Model) and both.capacity_rps is not None
    assert both.from_search is by_the_search
    assert ((both.capacity_rps.low, both.capacity_rps.high) == (lower, upper)) is by_the_search
