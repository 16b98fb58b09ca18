"""Rates, quantiles and hit ratios second by second, from scrapes whose truth is known."""

import json

import pyarrow as pa
import pytest
from test_rates import rising, scraped

from profiles.derived import derived
from profiles.rates import per_window


def series(table: pa.Table, kind: str, name: str, **labels: str) -> list[float]:
    rows = derived(table).to_pylist()
    wanted = json.dumps(labels, sort_keys=True) if labels else "{}"
    return [row["value"] for row in rows if (row["kind"], row["name"], row["labels"]) == (kind, name, wanted)]


def test_a_counter_is_a_rate_in_every_second() -> None:
    table = scraped(("requests_total", "{}", "counter", rising(7.0)))
    assert series(table, "rate", "requests_total") == pytest.approx([7.0] * 10)


def test_a_restart_costs_no_rate_and_a_counter_of_several_workers_has_none() -> None:
    again = scraped(("c_total", "{}", "counter", {0.0: 100.0, 1.0: 110.0, 2.0: 4.0, 3.0: 14.0}))
    assert series(again, "rate", "c_total") == pytest.approx([10, 4, 10])
    mixed = {float(s): 100.0 + s if s % 2 else 50.0 + s for s in range(11)}
    assert series(scraped(("c_total", "{}", "counter", mixed)), "rate", "c_total") == []


def test_a_histogram_has_quantiles_of_the_new_observations_alone() -> None:
    """100 a second: all below 0.1 s for five seconds, then all between 0.5 and 1 s."""
    fast = {float(s): 100.0 * min(s, 5) for s in range(11)}
    slow = {float(s): 100.0 * s for s in range(11)}
    table = scraped(
        *(("t_bucket", f'{{"le": "{le}", "path": "/ask"}}', "histogram", fast) for le in ("0.1", "0.5")),
        *(("t_bucket", f'{{"le": "{le}", "path": "/ask"}}', "histogram", slow) for le in ("1.0", "+Inf")),
        ("t_count", '{"path": "/ask"}', "histogram", slow),
    )
    assert series(table, "quantile", "t", path="/ask", quantile="0.5") == pytest.approx([0.05] * 5 + [0.75] * 5)
    assert series(table, "quantile", "t", path="/ask", quantile="0.95") == pytest.approx([0.095] * 5 + [0.975] * 5)


def test_above_the_last_bucket_a_quantile_is_at_least_its_bound() -> None:
    table = scraped(
        ("t_bucket", '{"le": "1.0"}', "histogram", rising(1.0)),
        ("t_bucket", '{"le": "+Inf"}', "histogram", rising(9.0)),
    )
    assert series(table, "quantile", "t", quantile="0.99") == pytest.approx([1.0] * 10)


def test_a_hit_ratio_follows_the_lookups_and_is_absent_without_any() -> None:
    hits = {0.0: 0.0, 1.0: 9.0, 2.0: 10.0, 3.0: 10.0}
    misses = {0.0: 5.0, 1.0: 6.0, 2.0: 9.0, 3.0: 9.0}
    by_label = scraped(
        ("cache_total", '{"result": "hit"}', "counter", hits), ("cache_total", '{"result": "miss"}', "counter", misses)
    )
    assert series(by_label, "ratio", "cache:hit_ratio") == pytest.approx([0.9, 0.25])
    by_name = scraped(
        ("kv_cache_hits_total", "{}", "counter", hits), ("kv_cache_misses_total", "{}", "counter", misses)
    )
    assert series(by_name, "ratio", "kv_cache:hit_ratio") == pytest.approx([0.9, 0.25])


def test_a_window_of_the_file_counts_only_what_was_scraped() -> None:
    table = scraped(("requests_total", "{}", "counter", rising(7.0)), ("queue_waiting", "{}", "gauge", rising(1.0)))
    whole = pa.concat_tables([table, derived(table)]).unify_dictionaries()
    assert per_window(whole, [("stage", 0, 10)]) == per_window(table, [("stage", 0, 10)])


def test_nothing_scraped_gives_nothing() -> None:
    assert derived(scraped()).num_rows == 0


def test_a_long_run_has_at_most_three_hundred_steps() -> None:
    values = {float(s): 3.0 * s for s in range(0, 3600, 10)}
    found = series(scraped(("requests_total", "{}", "counter", values)), "rate", "requests_total")
    assert found == pytest.approx([3.0] * 300)
