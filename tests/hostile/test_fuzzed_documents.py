"""Metrics pages, status documents, OpenAPI documents and contracts made to hurt, drawn by hypothesis and by hand: bounded
in time, never an error that escapes."""

import json
import time
import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurements.errors import ContractError
from profiles import exposition
from profiles.breakdown import of_headers
from targets.contract import Contract
from targets.contract_file import load
from targets.openapi.contract_lines import Place, lines
from targets.openapi.document import OpenApi
from targets.openapi.endpoints import found_in

QUICK = settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
PLACE = Place(
    name="x",
    base_url="http://127.0.0.1:1",
    source="x",
    day="2026-01-01",
    port=None,
    process="",
    start="",
    ready="/",
    prometheus="",
    metrics="",
    workers=1,
)

words = st.sampled_from(
    [
        "# TYPE a counter",
        "# HELP a b\\n",
        "a_total",
        "a",
        "{",
        "}",
        'b="c"',
        'b="\\"',
        ",",
        "=",
        " ",
        "1",
        "1e400",
        "NaN",
        "-Inf",
        "0x1p3",
        "1_0",
        "9" * 400,
        "\n",
        "\\n",
        "# EOF",
        'a_bucket{le="+Inf"} 1',
        "\x00",
        "\u202e",
        "é",
        "# TYPE a histogram",
        'a 1 2 # {x="y"} 3',
        "# UNIT a s",
    ]
)


@QUICK
@given(page=st.lists(st.one_of(words, st.text(max_size=8)), max_size=40).map("".join))
def test_any_metrics_page_is_readings_or_a_sentence(page: str) -> None:
    readings, wrong = exposition.prometheus(page.encode("utf-8", "replace"))
    assert wrong is None or isinstance(wrong, str)
    assert all(isinstance(json.loads(reading.labels), dict) for reading in readings)


PAGES = {
    "one endless line": b"a{" + b'x="y",' * 600_000 + b"} 1\n",
    "very many lines": b"a 1\n" * 900_000,
    "very many series": b"".join(b'a{x="%d"} 1\n' % k for k in range(150_000)),
    "backslashes": b'a{x="' + b"\\" * 4_000_000,
    "quotes": b'a{x="' + b'"' * 4_000_000,
    "comments": b"# TYPE " * 500_000,
    "types": b"".join(b"# TYPE a%d counter\n" % k for k in range(150_000)),
    "long labels": (b'a{x="' + b"z" * 8_000 + b'"} 1\n') * 480,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_metrics_page_made_to_hurt_costs_seconds_at_most(name: str) -> None:
    began_s = time.process_time()
    readings, _ = exposition.prometheus(PAGES[name][: 4 << 20])
    assert len(readings) <= exposition.MOST_SERIES
    assert time.process_time() - began_s < 6


@QUICK
@given(
    document=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab0"), inner, max_size=3)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    key=st.sampled_from(["a", "a.b", "0.a", "a.0.b", "", ".", "99999999999"]),
)
def test_any_status_document_is_a_number_or_a_sentence(document: bytes, key: str) -> None:
    readings, wrong = exposition.status_json(document, [key])
    assert len(readings) == 1 or wrong
    assert exposition.status_json(b"[" * 1_000_000, [key])[0] == []


@QUICK
@given(
    said=st.lists(
        st.sampled_from(
            ["db", ";", "dur=", "1.5", "1e999", "-1", "desc=", '"', "\\", ",", " ", "é", "\x9b", "=", ";;dur"]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_server_timing_header_is_parts_or_nothing(said: str) -> None:
    assert of_headers([(0, 1, 0, said)]).num_rows >= 0


scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**40, 1e308, float("inf"), float("nan"), -1.5]),
    st.sampled_from(
        [
            "string",
            "integer",
            "object",
            "array",
            "null",
            "query",
            "path",
            "header",
            "#/paths",
            "#/components/schemas/a",
            "http://203.0.113.9/x",
            "a",
            "question",
            "id",
            "(a+)+$",
            "[",
            "{{seq}}",
            "${env:HOME}",
            "date",
            "\ud800",
            "\x1b[2J",
            "apiKey",
            "http",
            "basic",
            "text/event-stream",
        ]
    ),
)
key = st.sampled_from(
    [
        "get",
        "post",
        "put",
        "$ref",
        "parameters",
        "name",
        "in",
        "required",
        "schema",
        "type",
        "properties",
        "items",
        "allOf",
        "anyOf",
        "oneOf",
        "enum",
        "default",
        "example",
        "examples",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "requestBody",
        "content",
        "application/json",
        "responses",
        "200",
        "security",
        "tags",
        "operationId",
        "deprecated",
        "value",
        "question",
        "a",
        "description",
        "const",
    ]
)
node = st.recursive(
    scalar, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(key, inner, max_size=5)), max_leaves=25
)


def made_of(document: Any) -> None:
    """What `init` does with it: a contract that loads, or a sentence."""
    try:
        found = found_in(OpenApi(document), "T")
    except ValueError:
        return
    text = "\n".join(lines(PLACE, found, "made.toml"))
    Contract.model_validate(tomllib.loads(text)) if any(
        one.judged.enabled and one.judged.kind != "health" for one in found
    ) else tomllib.loads(text)


body = st.fixed_dictionaries({"schema": node}, optional={"example": node, "examples": node})
content = st.fixed_dictionaries({"content": st.fixed_dictionaries({"application/json": st.one_of(node, body)})})
where = st.sampled_from(["query", "path", "header", "cookie"])
parameter = st.fixed_dictionaries({"name": scalar, "in": where}, optional={"schema": node, "example": node})
operation = st.fixed_dictionaries(
    {},
    optional={
        "requestBody": st.one_of(node, content),
        "parameters": st.one_of(node, st.lists(st.one_of(node, parameter), max_size=3)),
        "responses": st.one_of(node, st.fixed_dictionaries({"200": st.one_of(node, content)})),
        "tags": node,
        "operationId": node,
        "security": node,
    },
)
item = st.one_of(node, st.dictionaries(st.sampled_from(["get", "post"]), operation, min_size=1))
path = st.sampled_from(["/ask", "/search", "/health", "/a/{id}", "x"])


@settings(QUICK, max_examples=300)
@given(paths=st.dictionaries(path, item, max_size=3), schemas=node)
def test_any_openapi_document_is_a_contract_or_a_sentence(paths: Any, schemas: Any) -> None:
    made_of({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas, "securitySchemes": schemas}})


def deep(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "required": ["a"], "properties": {"a": schema}}
    return schema


def posting(schema: Any) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {"200": {}}}}


ALIASES = {
    f"s{k}": {
        "type": "object",
        "required": ["a", "b"],
        "properties": {n: {"$ref": f"#/components/schemas/s{k + 1}"} for n in "ab"},
    }
    for k in range(60)
}
DOCUMENTS = {
    "deep": ({"/ask": posting(deep(900))}, {}),
    "exponential aliases": ({"/ask": posting({"$ref": "#/components/schemas/s0"})}, ALIASES),
    "aliases in allOf": (
        {"/ask": posting({"$ref": "#/components/schemas/t0"})},
        {f"t{k}": {"allOf": [{"$ref": f"#/components/schemas/t{k + 1}"}] * 40} for k in range(40)},
    ),
    "a cycle of references": (
        {"/ask": posting({"$ref": "#/components/schemas/u0"})},
        {"u0": {"$ref": "#/components/schemas/u1"}, "u1": {"$ref": "#/components/schemas/u0"}},
    ),
    "very many parts": ({"/ask": posting({"allOf": [{"required": ["a"], "properties": {"a": {}}}] * 100_000})}, {}),
    "very many properties": (
        {f"/ask/{k}": posting({"properties": {f"p{n}": {"example": 1} for n in range(2_000)}}) for k in range(60)},
        {},
    ),
    "very many operations": (
        {f"/ask/{k}/{'x' * 200}": posting({"example": {"question": "y" * 900}}) for k in range(3_000)},
        {},
    ),
    "huge numbers": (
        {
            "/ask": posting(
                {
                    "properties": {
                        "question": {"minLength": 10**30, "maxLength": -5},
                        "n": {"minimum": 1e999, "type": "integer", "example": 10**400},
                    },
                    "required": ["question", "n"],
                }
            )
        },
        {},
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_openapi_document_made_to_hurt_costs_seconds_at_most(name: str) -> None:
    paths, schemas = DOCUMENTS[name]
    began_s = time.process_time()
    made_of({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}})
    assert time.process_time() - began_s < 5


toml_word = st.sampled_from(
    [
        "[target]\n",
        'name = "a"\n',
        'base_url = "http://127.0.0.1:1"\n',
        "[[endpoint]]\n",
        'path = "/x"\n',
        "json = {a = 1}\n",
        "[slo.all]\n",
        "p95_ms = -1\n",
        "p95_ms = nan\n",
        "timeout_s = inf\n",
        "weight = 1e308\n",
        "[data]\n",
        "[data.q]\n",
        'text = "ko"\n',
        'header = { A = "${env:NOPE}" }\n',
        'header = { A = "x\\r\\nB: y" }\n',
        'path = "{{q}}{{q}}"\n',
        "[limits]\n",
        "replicas = 0\n",
        'base_url = "http://user:pw@h"\n',
        'base_url = ["http://127.0.0.1:1", "file:///etc/passwd"]\n',
        "[users]\n",
        "identities = 999999999\n",
        "a = [" + "[" * 300 + "]" * 300 + "]\n",
        "x.y.z = 1\n",
        "\x00",
        "é = 1\n",
        "[upstream]\n",
        "paid = true\n",
        "max_usd = -1\n",
        "= \n",
    ]
)


@QUICK
@given(text=st.lists(st.one_of(toml_word, st.text(max_size=6)), max_size=14).map("".join))
def test_any_contract_file_loads_or_is_sentences(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        load(path)
    except ContractError as error:
        assert error.findings and all(finding.strip() for finding in error.findings)
