"""Requests from a contract: what goes on the wire, and that (seed, nonce, arrival) alone decides it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from measurements.errors import ContractError
from targets.contract import Contract
from targets.contract_file import parse, secret_values
from targets.payload import Payloads, Request, draw, fraction


def contract(folder: Path, *endpoints: dict[str, Any], **sections: Any) -> Contract:
    chosen = [{"name": f"e{k}", "path": "/", **endpoint} for k, endpoint in enumerate(endpoints or ({},))]
    raw = {"target": {"name": "t", "base_url": "http://127.0.0.1:1"}, "endpoint": chosen, **sections}
    return parse(raw, folder / "c.toml")


def request(folder: Path, endpoint: dict[str, Any], seq: int = 5, seed: int = 1, **sections: Any) -> Request:
    made = contract(folder, endpoint, **sections)
    return Payloads(made, seed, "n").request(made.endpoint[0], seq)


POST = {"method": "POST", "json": {"user_request": "{{prompt}}", "k": 5}}
DATA = {"prompt": {"text": "mixed"}}


def test_the_same_seed_and_nonce_give_the_same_bytes_and_another_of_either_gives_others(tmp_path: Path) -> None:
    made = contract(tmp_path, POST, data=DATA)

    def bytes_of(seed: int, nonce: str) -> list[bytes | None]:
        payloads = Payloads(made, seed, nonce)
        return [payloads.request(made.endpoint[0], seq).body for seq in range(40)]

    assert bytes_of(1, "a") == bytes_of(1, "a")
    assert not set(bytes_of(1, "a")) & set(bytes_of(2, "a"))
    assert not set(bytes_of(1, "a")) & set(bytes_of(1, "b"))


def test_every_arrival_has_a_payload_of_its_own_unless_repeats_are_asked_for(tmp_path: Path) -> None:
    made = contract(tmp_path, POST, data=DATA)
    payloads = Payloads(made, 1, "n")
    assert len({payloads.request(made.endpoint[0], seq).body for seq in range(5_000)}) == 5_000


@pytest.mark.parametrize("repeat", [0.0, 0.3, 0.8, 1.0])
def test_the_share_of_repeated_requests_is_what_the_contract_says(tmp_path: Path, repeat: float) -> None:
    made = contract(tmp_path, POST, data={**DATA, "repeat": repeat})
    payloads = Payloads(made, 7, "n")
    seen: set[bytes | None] = set()
    repeated = 0
    for seq in range(4_000):
        body = payloads.request(made.endpoint[0], seq).body
        repeated += body in seen
        seen.add(body)
    assert repeated / 4_000 == pytest.approx(repeat, abs=0.025)


def test_a_repeat_is_of_an_earlier_request_to_the_same_endpoint_to_the_letter(tmp_path: Path) -> None:
    made = contract(tmp_path, POST, {**POST, "path": "/b", "weight": 3}, data={**DATA, "repeat": 0.5})
    payloads = Payloads(made, 3, "n")
    sent: dict[str, list[bytes | None]] = {"e0": [], "e1": []}
    repeated = Counter()
    for seq in range(3_000):
        endpoint = payloads.endpoint(seq)
        body = payloads.request(endpoint, seq).body
        repeated[endpoint.name] += body in sent[endpoint.name]
        other = "e1" if endpoint.name == "e0" else "e0"
        assert body not in sent[other]
        sent[endpoint.name].append(body)
    assert repeated["e0"] / len(sent["e0"]) == pytest.approx(0.5, abs=0.06)
    assert repeated["e1"] / len(sent["e1"]) == pytest.approx(0.5, abs=0.04)


def test_endpoints_are_drawn_by_weight_and_disabled_or_weightless_ones_never(tmp_path: Path) -> None:
    made = contract(tmp_path, {"weight": 3}, {"weight": 7}, {"weight": 0}, {"weight": 5, "enabled": False})
    payloads = Payloads(made, 1, "n")
    drawn = Counter(payloads.endpoint(seq).name for seq in range(20_000))
    assert set(drawn) == {"e0", "e1"}
    assert drawn["e0"] / 20_000 == pytest.approx(0.3, abs=0.012)


def test_korean_goes_out_as_utf_8_and_not_as_escapes(tmp_path: Path) -> None:
    body = request(tmp_path, {"method": "POST", "json": {"q": "{{q}}"}}, data={"q": {"choice": ["판례 검색"]}}).body
    assert body == '{"q":"판례 검색"}'.encode()


def test_values_are_percent_encoded_in_path_and_query_so_that_nothing_breaks_out(tmp_path: Path) -> None:
    nasty = "a b&c=d/../%2e?#\r\n한글"
    made = request(
        tmp_path, {"path": "/items/{{q}}/x", "query": {"q": "{{q}}", "k": 5, "deep": True}},
        data={"q": {"choice": [nasty]}},
    )  # fmt: skip
    assert made.path.isascii() and not set(made.path) & set(" \r\n#")
    parts = urlsplit(made.path)
    assert unquote(parts.path) == f"/items/{nasty}/x" and parts.path.count("/") == 3
    assert parse_qs(parts.query) == {"q": [nasty], "k": ["5"], "deep": ["true"]}


def test_a_query_joins_one_that_stands_in_the_path_already(tmp_path: Path) -> None:
    assert request(tmp_path, {"path": "/s?a=1", "query": {"b": 2}}).path == "/s?a=1&b=2"


def test_a_path_written_in_korean_is_encoded_too(tmp_path: Path) -> None:
    made = request(tmp_path, {"path": "/검색?이름=값&x=%20"})
    assert made.path.isascii()
    assert unquote(made.path) == "/검색?이름=값&x= "


def test_a_field_alone_keeps_its_json_type_and_inside_a_text_it_becomes_text(tmp_path: Path) -> None:
    body = request(
        tmp_path, {"method": "POST", "json": {"n": "{{n}}", "t": "n={{n}}", "list": ["{{flag}}", {"x": "{{ n }}"}], "{{flag}}": 1}},
        data={"n": {"integer": [7, 7]}, "flag": {"choice": [True]}},
    ).body  # fmt: skip
    assert json.loads(body or b"") == {"n": 7, "t": "n=7", "list": [True, {"x": 7}], "True": 1}


def test_quotes_and_braces_in_data_cannot_break_the_json(tmp_path: Path) -> None:
    nasty = '"},{"admin":true,"x":"{{n}}\\'
    body = request(tmp_path, {"method": "POST", "json": {"q": "say: {{q}}"}}, data={"q": {"choice": [nasty]}}).body
    assert json.loads(body or b"") == {"q": f"say: {nasty}"}


def test_json_gets_its_content_type_unless_the_contract_says_otherwise(tmp_path: Path) -> None:
    assert request(tmp_path, {"method": "POST", "json": {}}).header == {"Content-Type": "application/json"}
    own = {"method": "POST", "json": {}, "header": {"Content-Type": "application/vnd.api+json"}}
    assert request(tmp_path, own).header == {"Content-Type": "application/vnd.api+json"}
    lower = {"method": "POST", "json": {}, "header": {"content-type": "application/x"}}
    assert list(request(tmp_path, lower).header.values()) == ["application/x"]


def test_a_body_as_text_is_filled_and_sent_as_it_is(tmp_path: Path) -> None:
    made = request(tmp_path, {"method": "POST", "body": "id={{seq}}&nonce={{nonce}}"}, seq=31)
    assert made.body == b"id=31&nonce=n-1f" and made.header == {}


def test_a_line_break_in_data_cannot_smuggle_a_header(tmp_path: Path) -> None:
    made = request(tmp_path, {"header": {"X-Q": "{{q}}"}}, data={"q": {"choice": ["a\r\nEvil: 1"]}})
    assert not set(made.header["X-Q"]) & set("\r\n")


def test_secrets_are_filled_from_the_environment_only_when_the_request_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIMSOLL_TEST_KEY", "s3cret-{{seq}}")
    made = contract(tmp_path, {"header": {"Authorization": "Bearer ${env:PLIMSOLL_TEST_KEY} {{seq}}"}})
    assert "s3cret" not in made.model_dump_json()
    assert secret_values(made) == ["s3cret-{{seq}}"]
    sent = Payloads(made, 1, "n").request(made.endpoint[0], 4).header["Authorization"]
    assert sent == "Bearer s3cret-{{seq}} 4"  # a secret is no template


def test_a_credential_written_out_in_the_contract_is_a_secret_too(tmp_path: Path) -> None:
    made = contract(
        tmp_path, {"header": {"Authorization": "Bearer abc123", "X-Api-Key": "k-9", "Accept": "text/plain"}}
    )
    assert {"abc123", "k-9"} <= set(secret_values(made)) and "text/plain" not in secret_values(made)


def test_data_cannot_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_TEST_KEY", "s3cret")
    made = request(tmp_path, {"header": {"X": "{{q}}"}}, data={"q": {"choice": ["${env:PLIMSOLL_TEST_KEY}"]}})
    assert made.header["X"] == "${env:PLIMSOLL_TEST_KEY}"


def test_half_a_surrogate_pair_in_a_data_file_is_sent_as_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"q": "a\\ud83db"}\n')
    made = request(
        tmp_path, {"method": "POST", "path": "/{{q}}", "json": "{{q}}", "header": {"X": "{{q}}"}},
        data={"q": {"jsonl": "q.jsonl", "nonce": False}},
    )  # fmt: skip
    assert (made.path, made.body, made.header["X"]) == ("/a%3Fb", b'"a?b"', "a?b")


def test_identities_share_the_load_evenly_each_with_its_header_and_token(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("alpha\nbeta\n")
    users = {
        "identities": 3,
        "tokens": "tokens.txt",
        "header": {"X-User": "u{{identity}}", "Authorization": "Bearer {{token}}"},
    }
    made = contract(tmp_path, users=users)
    payloads = Payloads(made, 1, "n")
    headers = [tuple(payloads.request(made.endpoint[0], seq).header.values()) for seq in range(30)]
    assert Counter(headers) == {("u0", "Bearer alpha"): 10, ("u1", "Bearer beta"): 10, ("u2", "Bearer alpha"): 10}
    assert secret_values(made) == ["alpha", "beta"]


def test_rows_come_from_jsonl_and_csv_by_the_fields_name_or_by_key(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"q": "하나"}\n\n{"q": "둘"}\n', encoding="utf-8")
    (tmp_path / "p.csv").write_text('id,prompt\n1,"x, y"\n2,z\n', encoding="utf-8")
    made = contract(
        tmp_path, {"method": "POST", "json": ["{{q}}", "{{p}}"]},
        data={"q": {"jsonl": "q.jsonl", "nonce": False}, "p": {"csv": "p.csv", "key": "prompt", "nonce": False}},
    )  # fmt: skip
    payloads = Payloads(made, 1, "n")
    pairs = {tuple(json.loads(payloads.request(made.endpoint[0], seq).body or b"")) for seq in range(200)}
    assert pairs == {(q, p) for q in ("하나", "둘") for p in ("x, y", "z")}


def test_rows_of_a_file_carry_the_nonce_so_that_caches_miss_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"q": "same"}\n')
    data = {"q": {"jsonl": "q.jsonl"}}
    bodies = {request(tmp_path, {"method": "POST", "json": "{{q}}"}, seq=seq, data=data).body for seq in range(50)}
    assert len(bodies) == 50 and all(b"same (n-" in (body or b"") for body in bodies)


@pytest.mark.parametrize(
    ("content", "part"),
    [('{"p": 1}\n', "has no 'q'; set data.q.key"), ("[1]\n", "has no 'q'"), ("{\n", "cannot be read as JSON lines"),
     ("", "holds no rows"), ("5\n", "has no 'q'")],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_a_sentence_with_its_name(tmp_path: Path, content: str, part: str) -> None:
    (tmp_path / "q.jsonl").write_text(content)
    made = contract(tmp_path, {"path": "/{{q}}"}, data={"q": {"jsonl": "q.jsonl"}})
    with pytest.raises(ContractError) as caught:
        Payloads(made, 1, "n")
    assert str(tmp_path / "q.jsonl") in str(caught.value) and part in str(caught.value)


def test_integers_cover_their_range_evenly_and_both_ends(tmp_path: Path) -> None:
    made = contract(tmp_path, {"method": "POST", "json": "{{n}}"}, data={"n": {"integer": [3, 12]}})
    payloads = Payloads(made, 1, "n")
    found = Counter(int(payloads.request(made.endpoint[0], seq).body or b"0") for seq in range(10_000))
    assert set(found) == set(range(3, 13))
    assert chisquare(list(found.values())).pvalue > 1e-4


def test_a_wide_range_of_integers_is_not_cut(tmp_path: Path) -> None:
    made = contract(tmp_path, {"method": "POST", "json": "{{n}}"}, data={"n": {"integer": [0, 10**9]}})
    payloads = Payloads(made, 1, "n")
    found = [int(payloads.request(made.endpoint[0], seq).body or b"0") for seq in range(2_000)]
    assert kstest(np.array(found) / 10**9, "uniform").pvalue > 1e-4


def test_generated_texts_have_the_length_distribution_that_was_asked_for(tmp_path: Path) -> None:
    data = {"q": {"text": "ko", "length": {"median": 120, "sigma": 0.5, "min": 20, "max": 400}, "nonce": False}}
    made = contract(tmp_path, {"method": "POST", "json": "{{q}}"}, data=data)
    payloads = Payloads(made, 1, "n")
    lengths = [len(json.loads(payloads.request(made.endpoint[0], seq).body or b'""')) for seq in range(2_000)]
    assert max(lengths) <= 400 and min(lengths) >= 10
    assert np.median(lengths) == pytest.approx(120, rel=0.1)
    assert np.std(np.log(lengths)) == pytest.approx(0.5, abs=0.1)


def test_draws_are_uniform_and_neighbours_are_independent() -> None:
    points = np.array([fraction(1, seq, 2) for seq in range(20_000)])
    assert points.min() >= 0 and points.max() < 1
    assert kstest(points, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(points[:-1], points[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(points, [fraction(1, seq, 3) for seq in range(20_000)])[0, 1]) < 0.03
    assert abs(np.corrcoef(points, [fraction(2, seq, 2) for seq in range(20_000)])[0, 1]) < 0.03
    ones = np.array([draw(1, seq).bit_count() for seq in range(4_000)])
    assert ones.mean() == pytest.approx(32, abs=0.3)


words = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=100)
@given(
    value=words, seq=st.integers(0, 2**40), seed=st.integers(0, 2**63), nonce=st.text("abcdef0123456789", min_size=1)
)
def test_any_text_survives_path_query_header_and_body(
    tmp_path_factory: pytest.TempPathFactory, value: str, seq: int, seed: int, nonce: str
) -> None:
    made = contract(
        tmp_path_factory.getbasetemp(),
        {"method": "POST", "path": "/p/{{v}}", "query": {"q": "{{v}}"}, "json": {"v": "{{v}}"}, "header": {"X-V": "{{v}}"}},
        data={"v": {"choice": [value]}},
    )  # fmt: skip
    sent = Payloads(made, seed, nonce).request(made.endpoint[0], seq)
    assert sent == Payloads(made, seed, nonce).request(made.endpoint[0], seq)
    parts = urlsplit(sent.path)
    assert sent.path.isascii() and unquote(parts.path) == f"/p/{value}"
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [value]}
    assert json.loads(sent.body or b"") == {"v": value}
    assert not set(sent.header["X-V"]) & set("\r\n")
