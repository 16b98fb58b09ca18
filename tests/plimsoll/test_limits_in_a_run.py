"""A run against a service with a rate limit, a dear health check and metrics: what of it stands in the run directory."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from plimsoll import health_checks, observed
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from targets.contract import Contract
from targets.contract_file import parse

PER_MINUTE = 5


class Limited:
    """Lets each X-User ask five times; its health check calls an LLM; `metrics_status` may be an error."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.sources: dict[str, set[str]] = {}
        self.health_calls = 0
        self.health_status = self.metrics_status = 200

    def answer(self, path: str, user: str) -> tuple[int, bytes]:
        if path == "/ask":
            self.asked[user] += 1
            if self.asked[user] > PER_MINUTE:
                return 429, b'{"detail": "rate limit exceeded: 5 per 1 minute"}'
            return 200, b"{}"
        if path == "/health":
            self.health_calls += 1
            return self.health_status, b"{}"
        return self.metrics_status, self.metrics().encode()

    def metrics(self) -> str:
        hits = sum(self.asked.values())
        return (
            "# TYPE llm_calls counter\n"
            f"llm_calls_total {self.health_calls}\n"
            "# TYPE llm_tokens counter\n"
            f'llm_tokens_total{{direction="in"}} {3 * self.health_calls}\n'
            f'llm_tokens_total{{direction="out"}} {self.health_calls}\n'
            "# TYPE cache counter\n"
            f'cache_total{{operation="hit"}} {hits}\ncache_total{{operation="miss"}} {3 * hits}\n'
        )


@pytest.fixture
def service() -> Iterator[tuple[Limited, str]]:
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Limited, Run]]:
    """One run, looked at by several tests."""
    with served() as (limited, url):
        yield limited, loaded(contract(url), tmp_path_factory.mktemp("runs"))


@contextmanager
def served() -> Iterator[tuple[Limited, str]]:
    limited = Limited()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            limited.sources.setdefault(self.path, set()).add(self.client_address[0])
            status, body = limited.answer(self.path, self.headers.get("X-User", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield limited, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def contract(url: str, **changes: Any) -> Contract:
    document = {
        "target": {"name": "limited", "base_url": url, "observe": {"prometheus": "/metrics"}},
        "endpoint": [
            {"name": "ask", "path": "/ask"},
            {"name": "health", "kind": "health", "path": "/health", "weight": 0},
        ],
        "users": {"identities": 2, "header": {"X-User": "{{identity}}"}},
        "limits": {"per_client": ["5/minute"], "client_key": "header:X-User"},
        "resources": {"replicas": 3},
        "upstream": {"usd_per_1k_tokens_in": 1.0, "usd_per_1k_tokens_out": 2.0},
    }
    return parse(document | changes, Path(__file__))


def loaded(made: Contract, out: Path) -> Run:
    return measure(Spec(contract=made, rate_rps=20, duration_s=2, seed=3, out=out))


def test_a_run_names_the_limit_that_bound_and_what_its_health_checks_will_cost(ran: tuple[Limited, Run]):
    made = ran[1]
    summary = made.summary
    refused = summary["endpoints"]["ask"]["outcomes"]["rejected"]
    count = summary["endpoints"]["ask"]["count"]
    assert refused == count - 2 * PER_MINUTE > 0
    first = summary["limits"][0]
    assert first["sentence"].startswith(
        f"rate limit 5/minute per client binds: {refused} of {count} requests to ask were refused with 429, to 2 clients"
    )
    assert summary["all"]["error_rate"] == first["share"] == refused / count  # one definition, two words
    trap = summary["traps"][0]
    assert trap["trap"] == "health_calls_paid_llm"
    calls = 3 * 86_400 / 5  # one check: an orchestrator asks it at the readiness period
    assert trap["figures"] == {"calls_per_day": calls, "usd_per_day": pytest.approx(calls * (3 * 1.0 + 1 * 2.0) / 1000)}
    assert summary["health"]["health"]["asked"] >= 1
    assert summary["health"]["health"]["failed"] == 0
    assert json.loads((made.directory.path / "run.json").read_text())["health_checks"][0]["calls"] == 1


def test_the_services_own_metrics_stand_in_server_parquet_and_in_the_summary(ran: tuple[Limited, Run]):
    limited, made = ran
    table = pq.read_table(made.directory.path / observed.FILE).to_pandas()
    counters = table[table["kind"] == "counter"]
    hits = counters[(counters["name"] == "cache_total") & counters["labels"].str.contains("hit")]
    assert len(hits) >= 2
    assert hits["value"].iloc[-1] == sum(limited.asked.values())
    assert (table["at_ns"] > -1e9).all() and table["at_ns"].max() > 1e9
    assert made.summary["server"]["cache_hit_ratio"][0]["ratio"] == pytest.approx(0.25)
    assert made.summary["server"]["failures"] == []
    by_stage = observed.server(made.directory)
    assert by_stage is not None and by_stage["steady"]["cache_hit_ratio"][0]["ratio"] == pytest.approx(0.25)


def test_scrapes_and_health_checks_come_from_addresses_that_are_not_the_loads(ran: tuple[Limited, Run]):
    limited, _ = ran
    assert "127.0.0.2" in limited.sources["/metrics"]
    assert "127.0.0.3" in limited.sources["/health"]
    assert limited.sources["/ask"] == {"127.0.0.1"}


def test_a_metrics_page_that_fails_and_a_health_check_that_fails_are_told_and_end_no_run(
    service: tuple[Limited, str], tmp_path: Path
):
    limited, url = service
    limited.health_status, limited.metrics_status = 503, 500
    made = loaded(contract(url), tmp_path)
    assert made.summary["ended"] == "completed"
    assert not made.directory.has(observed.FILE)
    assert {failure["reason"] for failure in made.summary["server"]["failures"]} == {"answered 500"}
    told = made.summary["health"]["health"]
    assert told["failed"] == told["asked"] >= 1
    assert told["failures"][0]["said"] == "status 503"
    accused = {trap["trap"] for trap in made.summary["traps"]}
    three_in_a_row = told["failed_in_a_row"] >= 3  # as an orchestrator counts
    assert accused == ({"health_fails_under_load"} if three_in_a_row else set())  # nothing counted: nothing accused


def test_a_health_check_is_not_charged_with_what_other_traffic_moves(service: tuple[Limited, str]):
    limited, url = service
    busy = threading.Event()

    def traffic() -> None:
        while not busy.wait(0.005):
            limited.health_calls += 1

    threading.Thread(target=traffic, daemon=True).start()
    try:
        assert health_checks.ask(contract(url), url, [])[0].calls is None
    finally:
        busy.set()


def test_a_paid_upstream_without_a_cap_is_not_probed(service: tuple[Limited, str], tmp_path: Path):
    from plimsoll.ready import _ask_health

    limited, url = service
    paid = {"paid": True, "usd_per_1k_tokens_in": 1.0, "tokens_in": 100}
    assert _ask_health(Spec(contract=contract(url, upstream=paid)), url, {}) == []
    assert limited.health_calls == 0
    capped = contract(url, upstream=paid | {"max_usd": 5.0})
    asked = _ask_health(Spec(contract=capped), url, {})
    assert asked[0].calls == 1
    assert health_checks.watched(capped, url, asked) == []  # not asked again and again at somebody's expense


@pytest.mark.parametrize(
    ("names", "purposes"),
    [
        (["/health", "/health/ready", "/health/live"], {"/health/ready": "readiness", "/health/live": "liveness"}),
        (["/health", "/readiness", "/liveness"], {"/readiness": "readiness", "/liveness": "liveness"}),
        (["/", "/api/queue/health"], {"/api/queue/health": "readiness"}),
        (["/health"], {"/health": "readiness"}),
        (["/ping"], {"/ping": "readiness"}),
    ],
)
def test_an_orchestrators_checks_are_found_by_their_names(names: list[str], purposes: dict[str, str]):
    endpoints = [{"name": name, "path": name, "kind": "health"} for name in names]
    assert health_checks.purposes(contract("http://127.0.0.1:1", endpoint=endpoints)) == purposes
