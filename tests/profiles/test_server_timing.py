"""The Server-Timing header: what the standard allows, and what a hostile server sends."""

import time

import pytest

from profiles.timing import server_timing


@pytest.mark.parametrize(
    ("header", "stages"),
    [
        ("retrieval;dur=3.100, upstream;dur=120, rest;dur=0.4", {"retrieval": 3.1, "upstream": 120.0, "rest": 0.4}),
        (b"db;dur=53.2", {"db": 53.2}),
        ('cache;desc="Cache; read, hit";dur=23.2', {"cache": 23.2}),
        ("a ; dur = 1 ,b;dur=2", {"a": 1.0, "b": 2.0}),
        ("llm;dur=100,llm;dur=50", {"llm": 150.0}),
        ("a;dur=1,,b;dur=2,", {"a": 1.0, "b": 2.0}),
        ('a;DUR="7.5"', {"a": 7.5}),
        ("a;dur=1;dur=2", {"a": 1.0}),
        ("missed, a;dur=1", {"a": 1.0}),
        ("", {}),
    ],
)
def test_stages_are_read_in_milliseconds(header: str | bytes, stages: dict[str, float]) -> None:
    assert server_timing(header) == stages


@pytest.mark.parametrize("duration", ["-1", "nan", "inf", "1e3", "0x10", "1e999", "99999999999", "٣", "1_0", "", "+1"])
def test_a_stage_without_a_usable_duration_is_left_out(duration: str) -> None:
    found = server_timing(f"a;dur={duration}, b;dur=1")
    assert found in ({"b": 1.0}, {})
    assert "a" not in found


@pytest.mark.parametrize(
    "header",
    [
        "a;dur=1, b;dur=2;<script>",
        'a;desc="open;dur=1',
        "a;dur=1 b;dur=2",
        ",".join(f"s{n};dur=1" for n in range(33)),
        "a;dur=1," + "x" * 5_000,
        "a" * 65 + ";dur=1",
        "a;dur=1\x00",
    ],
)
def test_a_header_that_breaks_the_grammar_or_the_bounds_gives_nothing(header: str) -> None:
    assert server_timing(header) == {}


@pytest.mark.parametrize(
    "attack", [" " * 4_095 + "\x00", "a;" * 2_000, "a" + " ;a=a" * 800 + "\x00", 'a;b="' + "\\" * 4_000]
)
def test_no_header_takes_longer_than_a_few_milliseconds(attack: str) -> None:
    began_s = time.perf_counter()
    server_timing(attack)
    assert time.perf_counter() - began_s < 0.05
