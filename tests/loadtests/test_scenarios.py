"""The shipped scenarios: what users do, as whom, and that a service which accepts what it must refuse is found out."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadtests.identities import Identities
from measurements.rundir import RunDirectory
from plimsoll.measure import Run, measure
from plimsoll.spec import Spec
from targets.contract_file import load, parse
from targets.payload import Payloads, data_folder

SCENARIOS = Path("loadtests/scenarios").resolve()
TOO_LONG = {"question": 500, "message": 1000}


@dataclass
class Asked:
    path: str
    token: str
    address: str
    body: dict[str, Any]


@dataclass
class StandIn:
    """Answers as the four services do, at once; `accepts_all` makes it forget its rules."""

    url: str = ""
    accepts_all: bool = False
    asked: list[Asked] = field(default_factory=list)

    def on(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path]

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        body = asked.body
        too_long = any(len(body.get(key, "")) > most for key, most in TOO_LONG.items())
        wrong = too_long or body.get("query") == "" or len(body.get("history", [])) > 100 or "<script" in str(body)
        if wrong and not self.accepts_all:
            return 422, b"{}"
        if asked.path == "/api/feedback/detailed":
            return (200 if self.accepts_all else 403), b"[]"
        if body.get("stream"):
            said = {"choices": [{"index": 0, "delta": {"content": "갑목의 기운입니다."}}]}
            last = {"session_id": "s-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
            return 200, b"".join(
                b"data: " + json.dumps(e).encode() + b"\n\n" for e in (said, last)
            ) + b"data: [DONE]\n\n"
        answer = {"answer": "안내합니다.", "question_id": 7, "count": 1, "results": [], "analysis": {"summary": "요지"}}
        return 200, json.dumps(answer | {"queue_stats": {"search": {"pending": 0}}}).encode()


@pytest.fixture
def service() -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            token = self.headers.get("X-User-Token", "")
            asked = Asked(self.path, token, self.client_address[0], body)
            if "traceparent" in self.headers:  # of the load; the watch over health and metrics asks without
                stand_in.asked.append(asked)
            status, answer = stand_in.answer(asked)
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield stand_in
    server.shutdown()
    server.server_close()


def run(name: str, service: StandIn, out: Path, **words: Any) -> Run:
    given = {"rate_rps": 40.0, "duration_s": 2.5, "seed": 1, **words}
    return measure(Spec(contract=load(data_folder() / f"{name}.toml"), host=service.url, out=out, **given))


def outcomes(made: Run) -> dict[str, set[str]]:
    return {name: set(entry["outcomes"]) for name, entry in made.summary["endpoints"].items()}


def test_encars_employees_are_spread_over_its_users_and_repeat_what_everybody_asks(service: StandIn, tmp_path: Path):
    made = run("encar", service, tmp_path)
    assert set.union(*outcomes(made).values()) == {"ok"}
    assert {"ask", "ask_known", "ask invalid", "feedback", "feedback_detailed"} <= set(outcomes(made))
    journeys = made.summary["offered_rps"] * made.summary["duration_s"]
    tokens = Counter(asked.token for asked in service.asked)
    assert "" not in tokens
    assert len(tokens) == journeys < 397  # every journey came from a client that had not come before
    questions = Counter(asked.body["question"] for asked in service.on("/api/ask"))
    known = set(load(data_folder() / "encar.toml").data.fields["known_question"].choice or [])
    assert {question for question, times in questions.items() if times > 1} <= known
    assert sum(questions[question] for question in known) > len(known)


def test_a_service_that_accepts_what_it_must_refuse_is_found_out(service: StandIn, tmp_path: Path):
    service.accepts_all = True
    made = run("encar", service, tmp_path)
    assert outcomes(made)["ask invalid"] == outcomes(made)["feedback_detailed"] == {"unexpected_body"}
    assert outcomes(made)["ask"] == {"ok"}


def test_sajus_conversations_carry_their_session_and_history_from_addresses_of_their_own(
    service: StandIn, tmp_path: Path
):
    made = run("saju", service, tmp_path, duration_s=2.0)
    assert set.union(*outcomes(made).values()) == {"ok"}
    assert {"chat", "chat_stream", "chat invalid", "refused_script"} <= set(outcomes(made))
    later = [asked for asked in service.asked if "session_id" in asked.body]
    assert later
    for asked in later:
        history = asked.body["history"]
        assert [turn["role"] for turn in history] == ["user", "assistant"] * (len(history) // 2)
        assert history[1]["content"] == "갑목의 기운입니다."
        assert history[0]["content"] not in {asked.body["message"], *[turn["content"] for turn in history[2::2]]}
    assert {len(asked.body["history"]) for asked in later} == {2, 4}
    addresses = {asked.address: asked.body["user_id"] for asked in service.asked}
    assert len(addresses) > 60
    assert all(address.startswith("127.0.1.") for address in addresses)
    for asked in service.asked:
        assert asked.body["user_id"] == addresses[asked.address]  # one client, one address


def test_alaws_analysis_is_the_second_step_of_a_search(service: StandIn, tmp_path: Path):
    made = run("alaw", service, tmp_path)
    assert set.union(*outcomes(made).values()) == {"ok"}
    rows = RunDirectory.open(made.directory.path).table("samples").to_pylist()
    steps = {(row["seq"], row["step"]): row["endpoint"] for row in rows}
    analyses = [key for key, endpoint in steps.items() if endpoint == "analysis"]
    assert analyses
    assert all(step == 1 and steps[seq, 0] == "search" for seq, step in analyses)


def test_two_load_processes_share_no_client(service: StandIn, tmp_path: Path):
    made = run("encar", service, tmp_path, workers=2)
    journeys = made.summary["offered_rps"] * made.summary["duration_s"]
    assert len({asked.token for asked in service.asked}) == journeys


def test_few_clients_take_turns_so_that_each_sends_its_even_share(service: StandIn, tmp_path: Path):
    contract = load(data_folder() / "encar.toml")
    few = contract.model_copy(update={"users": contract.users.model_copy(update={"identities": 5})})
    few._folder = contract.folder
    measure(Spec(contract=few, host=service.url, out=tmp_path, rate_rps=40, duration_s=2, seed=1))
    journeys = Counter(
        asked.token for asked in service.asked if asked.path != "/api/feedback" or "rating" not in asked.body
    )
    assert len(journeys) == 5
    assert max(journeys.values()) < 2 * min(journeys.values()), journeys


@pytest.mark.parametrize("name", ["encar", "saju"])
def test_plain_locust_runs_each_scenario_as_it_is(name: str, service: StandIn):
    locust = str(Path(sys.executable).parent / "locust")
    arguments = ["-f", str(SCENARIOS / f"{name}.py"), "--headless", "--host", service.url, "-u", "20", "-r", "20"]
    process = subprocess.Popen([locust, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None and len(clients(service)) < 20:
            time.sleep(0.1)
        process.terminate()
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert len(clients(service)) == 20, said
    assert "Traceback" not in said
    assert process.returncode == 0, said


def clients(service: StandIn) -> set[str]:
    """Tokens, and addresses where there are none."""
    return {asked.token or asked.address for asked in service.asked}


def test_encar_itself_answers_and_refuses_as_its_scenario_expects(tmp_path: Path):
    started = Spec(contract=load(data_folder() / "encar.toml"), start=True, out=tmp_path)
    made = measure(replace(started, rate_rps=6, duration_s=4, seed=2))
    assert {name: found for name, found in outcomes(made).items() if found != {"ok"}} == {}
    assert {"ask", "ask_known"} <= set(outcomes(made))


def test_an_identity_has_its_token_its_number_and_a_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLIMSOLL_TEST_KEY", "k-{{identity}}")
    header = {"X-Client": "client-{{identity}}", "Authorization": "Key ${env:PLIMSOLL_TEST_KEY}"}
    users = {"identities": 300, "header": header, "addresses": "127.0.9.0/24"}
    document = {"target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": [{"name": "a", "path": "/"}]}
    contract = parse(document | {"users": users}, Path("contract"))
    identities = Identities(contract, Payloads(contract, 1, "n"))
    first, again = identities.of(3), identities.of(303)
    assert first == again
    assert first.header == {"X-Client": "client-3", "Authorization": "Key k-{{identity}}"}  # a secret is no template
    assert first.address == "127.0.9.4"
    assert {identities.of(user).address for user in range(300)} == {f"127.0.9.{k}" for k in range(1, 255)}
