"""What -o writes: a contract that loads, arrivals that `run --arrivals` takes, a day's shape at its true rates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from workload_logs import DAY_START_S, nginx_lines

from loadtests.replay import read_times
from measurements.errors import UsageError
from targets.contract_file import load
from targets.payload import Payloads
from targets.reference.embedding import count_tokens
from targets.sources import Length
from targets.words import texts
from targets.workload import arrivals as module
from targets.workload.arrivals import Arrivals, daily_times_s
from targets.workload.contract_mix import kind
from targets.workload.document import document
from targets.workload.reading import read
from targets.workload.tokens import TokenCounts
from targets.workload.trace_contract import CHARACTERS_PER_TOKEN
from targets.workload.writing import check_out, write


def workload(tmp_path: Path, *lines: str, name: str = "a.log"):
    log = tmp_path / name
    log.write_text("\n".join(lines) + "\n")
    out = tmp_path / "mix.toml"
    reading = read([log])
    found = document(reading)
    return write(reading, found, out), found, out


def line(path="/a", status=200, method="GET", hour=10, second=0):
    return f'h - - [21/Nov/2026:{hour:02d}:00:{second:02d} +0900] "{method} {path} HTTP/1.1" {status} 5 "-" "x"'


def test_the_contract_loads_and_sends_the_logs_mix(tmp_path):
    _, found, out = workload(tmp_path, *nginx_lines(5_000))
    contract = load(out)
    shares = {e["path"]: e["share"] for e in found["endpoints"]}
    weights = {e.path: e.weight for e in contract.endpoint}
    assert weights["/api/v1/policies/search"] == pytest.approx(shares["/api/v1/policies/search"] * 100, rel=1e-3)
    assert contract.endpoint_named("api_v1_policies_search").kind == "search"
    assert contract.endpoint_named("api_v1_templates_generate").method == "POST"
    payloads = Payloads(contract, seed=1, nonce="n")
    sent = [payloads.endpoint(k).name for k in range(2_000)]
    assert sent.count("api_v1_policies_search") / 2_000 == pytest.approx(0.6, abs=0.04)
    assert payloads.request(contract.endpoint_named("api_v1_templates_id"), 3).path.split("/")[-1].isdigit()


def test_what_cannot_or_should_not_be_driven_is_left_out_and_said(tmp_path):
    _, _, out = workload(
        tmp_path, *[line("/api")] * 50, *[line("/.env", 404)] * 20, *[line("/ws", 101)] * 3, line("*", method="OPTIONS"),
        line("/dav", method="PROPFIND"), 'h - - [21/Nov/2026:10:00:00 +0900] "\\x16" 400 5 "-" "x"',
    )  # fmt: skip
    assert [endpoint.path for endpoint in load(out).endpoint] == ["/api"]
    text = out.read_text()
    for words in ("GET /.env: 20 requests, nearly all", "a WebSocket", "PROPFIND /dav", "(malformed request)"):
        assert words in text


def test_a_redirection_that_is_usual_is_expected(tmp_path):
    _, _, out = workload(tmp_path, *[line("/login", 302)] * 9, *[line("/a")] * 9, line("/a", 404))
    contract = load(out)
    assert contract.endpoint_named("login").expect.status == [302]
    assert contract.endpoint_named("a").expect.status is None


def test_hostile_paths_and_names_still_make_a_contract(tmp_path):
    paths = [
        "/all",
        "/{{secret}}",
        "/a{b}",
        "/${env:HOME}",
        '/q"uote',
        "/a\\b",
        "/7/8/9",
        "/x/7/x/8",
        "/%EC%98%88",
        "/",
    ]
    made, _, out = workload(tmp_path, *(line(path) for path in paths for _ in range(3)), name='e"vil\n[[x]].log')
    contract = load(out)
    assert made["contract"] == {"path": str(out)}
    assert len({endpoint.name for endpoint in contract.endpoint}) == len(contract.endpoint)
    payloads = Payloads(contract, seed=1, nonce="n")
    for endpoint in contract.endpoint:
        assert payloads.request(endpoint, 1).path.startswith("/")


def test_one_path_with_two_methods_is_two_endpoints(tmp_path):
    _, _, out = workload(tmp_path, line(), line(method="POST"), line("/a/"))
    assert sorted(endpoint.name for endpoint in load(out).endpoint) == ["a", "get_a", "post_a"]


def test_arrivals_are_replayed_at_the_logged_times(tmp_path):
    rows = [{"ts": 1_795_000_000.25 + k * 0.125, "path": "/a", "status": 200} for k in range(40)]
    made, _, _ = workload(tmp_path, *map(json.dumps, rows))
    assert made["arrivals"]["resolution"] == "as logged"
    assert read_times(Path(made["arrivals"]["path"])) == pytest.approx([k * 0.125 for k in range(40)], abs=2e-6)


def test_times_of_whole_seconds_are_spread_within_them(tmp_path):
    made, _, _ = workload(tmp_path, *(line(second=k // 4) for k in range(240)))
    times = np.array([float(t) for t in Path(made["arrivals"]["path"]).read_text().split()[1:]])
    assert np.bincount(times.astype(int)).tolist() == [4] * 60
    assert len(set(times % 1)) > 200
    assert made["arrivals"]["resolution"] == "1 s"


def test_the_same_log_gives_the_same_files(tmp_path):
    texts_of = []
    for _ in range(2):
        made, _, _ = workload(tmp_path, *nginx_lines(2_000))
        texts_of.append([Path(made[key]["path"]).read_text() for key in ("contract", "arrivals")])
    assert texts_of[0] == texts_of[1]


def test_too_many_arrivals_become_the_busiest_stretch(monkeypatch):
    monkeypatch.setattr(module, "MOST_WRITTEN", 5_000)
    found = Arrivals()
    seconds = np.arange(DAY_START_S, DAY_START_S + 86_400)
    counts = np.where((seconds >= DAY_START_S + 50_000) & (seconds < DAY_START_S + 53_600), 2, 1)
    found.add(seconds, counts, None)
    stretch = found.stretch()
    assert (stretch.length_s, stretch.count, stretch.whole) == (600, 1_200, False)
    assert DAY_START_S + 50_000 <= stretch.start_s < DAY_START_S + 53_600
    assert len(found.times_s(stretch)) == 1_200


def test_the_daily_shape_keeps_the_rates_and_the_hours(tmp_path):
    made, found, _ = workload(tmp_path, *nginx_lines(60_000, days=2))
    times = np.array(read_times(Path(made["daily"]["path"])))
    assert made["daily"]["hour_s"] == 60
    rates = [hour["rps"] for hour in found["hours"]]
    assert rates.index(max(rates)) in (14, 15, 16)
    assert rates.index(min(rates)) in (2, 3, 4)
    assert len(times) == pytest.approx(sum(rates) * 60, abs=5 * (sum(rates) * 60) ** 0.5)


def test_a_rate_too_high_for_a_minute_an_hour_gets_shorter_hours():
    times, hour_s = daily_times_s([1_000.0] * 24)
    assert hour_s == pytest.approx(1e6 / 24_000)
    assert len(times) == pytest.approx(1_000_000, rel=0.01)
    assert (np.diff(times) >= 0).all()


def test_poisson_arrivals_have_dispersion_one_and_batches_more():
    chance = np.random.default_rng(1)
    seconds = np.arange(DAY_START_S, DAY_START_S + 7_200)
    for counts, expected in ((chance.poisson(3, 7_200), 1.0), (4 * chance.poisson(1, 7_200), 4.0)):
        found = Arrivals()
        found.add(seconds[counts > 0], counts[counts > 0], None)
        assert found.dispersion() == pytest.approx(expected, rel=0.06)


def test_without_times_there_is_a_contract_and_a_reason(tmp_path):
    made, found, out = workload(tmp_path, *['INFO:     127.0.0.1:1 - "GET /a HTTP/1.1" 200 OK'] * 5)
    assert load(out).endpoint[0].path == "/a"
    assert made["arrivals"] == {"why_not": "no line has a time"}
    assert not out.with_suffix(".arrivals.csv").exists()
    assert "uvicorn's default format has none" in found["notes"][0]


def test_files_of_an_earlier_log_do_not_stay_beside_the_new_contract(tmp_path):
    _, _, out = workload(tmp_path, *nginx_lines(3_000))
    assert out.with_suffix(".arrivals.csv").exists()
    workload(tmp_path, 'INFO:     127.0.0.1:1 - "GET /a HTTP/1.1" 200 OK')
    assert not out.with_suffix(".arrivals.csv").exists()


def test_an_o_that_cannot_be_is_refused_before_reading(tmp_path):
    log = tmp_path / "mix.arrivals.csv"
    log.write_text("x")
    for out, says in (
        ("mix.csv", "end its name in .toml"),
        ("no/mix.toml", "no folder"),
        ("mix.toml", "overwrite the log"),
    ):
        with pytest.raises(UsageError, match=says):
            check_out(tmp_path / out, [log])


@pytest.mark.parametrize(("path", "guess"), [("/healthz/ready", "health"), ("/v1/chat/completions", "generation"),
                                             ("/api/search", "search"), ("/orders", "other"), ("/chatty", "other")])  # fmt: skip
def test_kinds_are_guessed_by_whole_words(path, guess):
    assert kind(path) == guess


def lognormal_trace(rows: int = 4_000) -> tuple[list[str], np.ndarray]:
    chance = np.random.default_rng(3)
    prompts = np.maximum(1, chance.lognormal(np.log(800), 0.7, rows)).astype(int)
    answers = np.maximum(1, chance.lognormal(np.log(120), 0.5, rows)).astype(int)
    at_ms = np.sort(chance.integers(0, 3_600_000, rows))
    triples = zip(at_ms.tolist(), prompts.tolist(), answers.tolist(), strict=True)
    return [
        json.dumps({"timestamp": t, "input_length": p, "output_length": a, "hash_ids": [1]}) for t, p, a in triples
    ], prompts


def test_a_traces_lengths_are_recovered_and_written(tmp_path):
    rows, prompts = lognormal_trace()
    made, found, out = workload(tmp_path, *rows)
    fit = found["tokens"]["prompt"]["lognormal"]
    assert fit["median"] == pytest.approx(800, rel=0.05)
    assert fit["sigma"] == pytest.approx(0.7, rel=0.05)
    assert fit["ks"] < 0.03
    assert found["tokens"]["prompt"]["p95"] == np.sort(prompts)[int(np.ceil(0.95 * len(prompts))) - 1]
    contract = load(out)
    assert contract.endpoint[0].stream == "sse"
    payloads = Payloads(contract, seed=1, nonce="n")
    bodies = [json.loads(payloads.request(contract.endpoint[0], k).body) for k in range(300)]
    sent = [count_tokens(body["messages"][0]["content"]) for body in bodies]
    assert np.median(sent) == pytest.approx(800, rel=0.2)
    assert np.median([body["max_tokens"] for body in bodies]) == pytest.approx(120, rel=0.2)
    assert made["arrivals"]["resolution"] == "as logged"


def test_characters_per_token_are_those_of_the_generated_texts():
    made = texts("en", Length(median=3_000, sigma=0.3, min=100, max=9_000), 200, 1)
    assert sum(map(len, made)) / sum(map(count_tokens, made)) == pytest.approx(CHARACTERS_PER_TOKEN, rel=0.03)


def test_a_fit_to_what_is_not_lognormal_says_so():
    counts = TokenCounts()
    counts.add(np.array([10] * 500 + [10_000] * 500))
    assert counts.lognormal()["ks"] > 0.2
    assert TokenCounts().as_json() is None


def test_the_command_line_reads_writes_and_ends_with_examples_that_work(tmp_path):
    log = tmp_path / "access.log"
    log.write_text("\n".join(nginx_lines(500)) + "\n")
    command = [sys.executable, "-m", "plimsoll.cli", "workload", str(log), "-o", str(tmp_path / "w.toml")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "By hour of day (+0900)" in text
    assert "Top errors" in text
    assert load(tmp_path / "w.toml").endpoint
    parsed = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert parsed["requests"] == 500
    refused = subprocess.run([*command[:4], "no.log"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (2, "plimsoll: there is no log no.log\n")
