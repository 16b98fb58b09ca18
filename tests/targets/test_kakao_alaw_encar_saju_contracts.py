"""The shipped contracts: they load, and every request that they build obeys the rules of the service."""

import json
from pathlib import Path
from typing import Any

import pytest

from targets.contract_file import load
from targets.payload import Payloads, data_folder
from targets.reference.alaw.settings import DEFAULTS
from targets.reference.encar.settings import STAGING_LIMITS

SERVICES = ("kakao", "alaw", "encar", "saju")
LONGEST = {"user_request": 2000, "query": 500, "case_text": 20_000, "question": 500, "message": 1000}


def contract(name: str) -> Any:
    return load(data_folder() / f"{name}.toml")


@pytest.mark.parametrize("name", SERVICES)
def test_a_thousand_requests_stay_within_what_the_service_accepts(name: str):
    loaded = contract(name)
    payloads = Payloads(loaded, seed=1, nonce="0123456789abcdef")
    bodies = set()
    for seq in range(1000):
        request = payloads.request(payloads.endpoint(seq), seq)
        for field, value in json.loads(request.body or b"{}").items():
            assert field not in LONGEST or 0 < len(value) <= LONGEST[field], field
        bodies.add((request.path, request.body))
    assert len(bodies) > 850  # the nonce keeps requests with content apart


@pytest.mark.parametrize("name", SERVICES)
def test_the_mix_holds_no_health_check_but_the_contract_knows_one(name: str):
    endpoints = contract(name).endpoint
    assert any(endpoint.kind == "health" for endpoint in endpoints)
    assert all(endpoint.weight == 0 for endpoint in endpoints if endpoint.kind == "health")


@pytest.mark.parametrize("name", SERVICES)
def test_the_start_command_serves_that_service_and_names_its_upstream_where_it_has_one(name: str):
    control = contract(name).target.control
    assert control.start.startswith(f"plimsoll serve {name} --port {{port}}")
    assert [need.name for need in control.needs] == ([] if name == "alaw" else ["llm"])


@pytest.mark.parametrize("name", SERVICES)
def test_request_data_is_korean_first_with_english_and_lengths_that_vary(name: str):
    for file in sorted(Path(data_folder() / "data").glob(f"{name}_*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        korean = sum(row["lang"] == "ko" for row in rows)
        assert korean > len(rows) / 2, file
        lengths = sorted(len(next(iter(row.values()))) for row in rows)
        assert lengths[-1] > 4 * lengths[len(lengths) // 10], file


def test_the_contracts_state_the_limits_that_the_services_keep():
    queues = contract("alaw").limits.queue
    assert {name: tuple(queue.model_dump().values()) for name, queue in queues.items()} == DEFAULTS
    assert ";".join(contract("encar").limits.per_client) == STAGING_LIMITS
