"""From an OpenAPI document to endpoints: what is enabled, what is filled in, and what a hostile document cannot do."""

import tomllib
from typing import Any

import pytest

from targets.contract import Contract, Endpoint
from targets.openapi import toml
from targets.openapi.contract_lines import Place, lines
from targets.openapi.document import OpenApi
from targets.openapi.endpoints import Found, found_in

PLACE = Place("shop", "http://127.0.0.1:8000", "here", "2026-01-01", port=8000, process="uvicorn app:app")


def described(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": paths, **more}


def found(paths: dict[str, Any], **more: Any) -> dict[str, Found]:
    return {one.operation: one for one in found_in(OpenApi(described(paths, **more)), "SHOP_TOKEN")}


def posting(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}, **more}}


def contract(paths: dict[str, Any], **more: Any) -> Contract:
    return Contract.model_validate(tomllib.loads(written(paths, **more)))


def written(paths: dict[str, Any], **more: Any) -> str:
    return "\n".join(lines(PLACE, found_in(OpenApi(described(paths, **more)), "SHOP_TOKEN"), "plimsoll.toml"))


TEXT = {"type": "object", "required": ["question"], "properties": {"question": {"type": "string"}}}


@pytest.mark.parametrize(
    ("path", "item", "kind"),
    [
        ("/api/ask", posting(TEXT), "generation"),
        ("/v1/chat/completions", posting(TEXT), "generation"),
        ("/api/v1/templates/generate", posting(TEXT), "generation"),
        ("/api/v1/policies/search", {"get": {}}, "search"),
        ("/api/faq", {"get": {"operationId": "lookup_faq"}}, "search"),
        ("/v1/embeddings", posting(TEXT), "other"),
        ("/find-similar", posting(TEXT), "search"),
        ("/run", posting({"properties": {"prompt": {"type": "string"}}}), "generation"),
        ("/health/ready", {"get": {}}, "health"),
    ],
)
def test_generation_search_and_health_are_recognised_and_enabled(path: str, item: Any, kind: str) -> None:
    [one] = [o for o in found({path: item, "/api/search": {"get": {}}}).values() if o.operation.endswith(path)]
    assert (one.judged.kind, one.judged.enabled) == (kind, True)


@pytest.mark.parametrize(
    ("path", "item", "why"),
    [
        ("/api/search", {"delete": {}}, "DELETE changes"),
        ("/api/ask", {"put": {}}, "PUT changes"),
        ("/api/queue/clear", {"post": {}}, '"clear"'),
        ("/admin/search", {"get": {}}, '"admin"'),
        ("/api/resetChat", {"post": {}}, '"reset"'),
        ("/api/search", {"get": {"tags": ["Admin"]}}, '"admin"'),
        ("/api/ask", {"post": {"operationId": "purge_and_ask"}}, '"purge"'),
        ("/api/generate/send-mail", {"post": {}}, "store or send"),
        ("/api/orders", {"post": {}}, "not recognised"),
        ("/api/search", {"get": {"deprecated": True}}, "deprecated"),
        ("/metrics", {"get": {}}, "read once a second"),
        ("/api/ask", {"post": {"requestBody": {"content": {"multipart/form-data": {}}}}}, "file upload"),
        ("/api/search/{index}", {"get": {"parameters": [{"name": "index", "in": "path"}]}}, "stand for index"),
    ],
)
def test_what_could_do_harm_or_is_unknown_is_off_with_its_reason(path: str, item: Any, why: str) -> None:
    everything = found({path: item, "/ok/query": {"get": {}}})
    [one] = [o for o in everything.values() if o.operation.endswith(path)]
    assert not one.judged.enabled and why in one.judged.why


def test_bodies_are_filled_from_examples_defaults_enums_and_limits() -> None:
    schema = {
        "type": "object",
        "required": ["question", "mode", "top_k", "user_id", "day", "filters", "history"],
        "properties": {
            "question": {"$ref": "#/components/schemas/Question"},
            "mode": {"enum": ["fast", "slow"]},
            "top_k": {"type": "integer", "maximum": 3},
            "user_id": {"type": "string", "pattern": "^[a-z0-9-]{1,50}$"},
            "day": {"type": "string", "format": "date"},
            "filters": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"lang": {"default": "ko"}}}]},
            "history": {"type": "array", "default": []},
            "debug": {"type": "boolean"},
            "style": {"allOf": [{"type": "string"}], "example": "formal"},
        },
    }
    parts = {"schemas": {"Question": {"type": "string", "maxLength": 500, "examples": ["how?", "why?"]}}}
    [one] = found({"/ask": posting(schema)}, components=parts).values()
    assert one.entry["json"] == {
        "question": "{{question}}", "mode": "fast", "top_k": 3, "user_id": "user-{{identity}}", "day": "2026-01-15",
        "filters": {"lang": "ko"}, "history": [], "style": "formal",
    }  # fmt: skip
    assert one.fields == {"question": {"choice": ["how?", "why?"], "nonce": True}}


def test_a_text_without_examples_is_generated_within_its_length_and_in_the_documents_language() -> None:
    short = {"type": "object", "required": ["query"], "properties": {"query": {"type": "string", "maxLength": 60}}}
    [one] = found({"/search": posting(short, tags=["상품 검색"])}).values()
    assert one.fields == {"query": {"text": "ko", "length": {"median": 60, "min": 10, "max": 60}, "nonce": False}}


def test_an_answers_required_key_becomes_what_is_expected() -> None:
    answer = {"type": "object", "required": ["took_ms", "results"], "properties": {"took_ms": {}, "results": {}}}
    reply = {"200": {"content": {"application/json": {"schema": answer}}}}
    stream = {"200": {"content": {"text/event-stream": {}}}}
    both = found({"/search": {"get": {"responses": reply}}, "/chat": posting(TEXT, responses=stream)})
    assert both["GET /search"].entry["expect"] == {"json_path": "$.results"}
    assert both["POST /chat"].entry["stream"] == "sse" and "expect" not in both["POST /chat"].entry


def test_credentials_come_from_the_environment_and_never_from_the_document() -> None:
    schemes = {"bearer": {"type": "http", "scheme": "bearer"}, "query": {"type": "apiKey", "in": "query", "name": "k"}}
    header = [{"name": "X-Api-Key", "in": "header", "required": True, "schema": {"example": "${env:HOME}"}},
              {"name": "X-Tenant", "in": "header", "required": True, "schema": {"example": "${env:HOME}"}}]  # fmt: skip
    everything = found(
        {"/ask": posting(TEXT, security=[{"bearer": []}]), "/search": {"get": {"parameters": header}},
         "/query": {"get": {"security": [{"query": []}]}}},
        components={"securitySchemes": schemes},
    )  # fmt: skip
    assert everything["POST /ask"].entry["header"] == {"Authorization": "Bearer ${env:SHOP_TOKEN}"}
    assert everything["POST /ask"].secrets == ("SHOP_TOKEN",)
    assert everything["GET /search"].entry["header"] == {"X-Api-Key": "${env:SHOP_TOKEN}", "X-Tenant": "$ {env:HOME}"}
    assert "key goes into the query" in everything["GET /query"].judged.why


def test_paths_start_with_the_servers_prefix_and_its_host_is_ignored() -> None:
    [one] = found({"/ask": posting(TEXT)}, servers=[{"url": "https://evil.example/api/v1/"}]).values()
    assert one.entry["path"] == "/api/v1/ask"


def test_where_nothing_is_recognised_plain_reads_are_enabled_and_writes_are_not() -> None:
    both = found({"/orders": {"get": {}, "post": {}}, "/orders/clear": {"get": {}}})
    assert [name for name, one in both.items() if one.judged.enabled] == ["GET /orders"]


def test_the_contract_is_valid_and_so_is_each_block_that_is_switched_on() -> None:
    paths = {
        "/ask": posting(TEXT), "/search": {"get": {"parameters": [{"name": "q", "in": "query", "required": True}]}},
        "/live": {"get": {}}, "/notes": {**posting({"required": ["note", "text"], "properties": {"note": {}, "text": {}}}),
                                        "put": {}, "delete": {}},
    }  # fmt: skip
    text = written(paths)
    assert [e.name for e in contract(paths).endpoint] == ["ask", "search", "live"]
    head, *blocks = text.split("\n# [[endpoint]]\n")
    assert len(blocks) == 3
    for block in blocks:
        body = [line.removeprefix("# ") for line in block.split("\n\n# POST")[0].splitlines()]
        body = body[: next((k for k, line in enumerate(body) if line.startswith(("PUT ", "DELETE "))), len(body))]
        Contract.model_validate(tomllib.loads("\n".join([head, "[[endpoint]]", *body])))


HOSTILE: list[dict[str, Any]] = [
    {"/ask": posting({"$ref": "#/paths/~1ask/post/requestBody/content/application~1json/schema"})},
    {"/ask": posting({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/components/schemas/Loop"}}})},
    {"/ask": posting({"properties": {"question": {"type": "string", "pattern": "(a+)+(b|b)*$" * 9, "example": 3}}})},
    {'/ask"\n[limits]\nreplicas = 3\n#': {"get": {"operationId": 'x\n[limits]\n"""', "tags": ["\u202e", 5, None]}}},
    {"/ask": posting({"required": ["text"], "properties": {"text": {"examples": ["{{{secret}}}", "${env:HOME}", "\ud800\x00"]}}})},
    {"/ask": {"post": {"requestBody": 5, "parameters": "x", "responses": [], "security": 3}}},
    {"/ask": posting({"example": {"question": float("nan"), "n": 10**30, "deep": [[[[[[[[[[1]]]]]]]]]]}})},
    {f"/ask/{k}": {"get": {}} for k in range(1000)},
    {"ask": {"get": {}}, "/search": None, "/query": {"get": {"x-y": {"$ref": "http://203.0.113.9/x"}}}},
]  # fmt: skip


@pytest.mark.parametrize("paths", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_document_makes_a_valid_contract_or_none_and_nothing_of_it_is_evaluated(
    paths: dict[str, Any],
) -> None:
    loop = {"schemas": {"Loop": {"type": "object", "required": ["x", "y"],
                                 "properties": {k: {"$ref": "#/components/schemas/Loop"} for k in "xy"}}}}  # fmt: skip
    everything = found_in(OpenApi(described({**paths, "/ok/search": {"get": {}}}, components=loop)), "T")
    text = "\n".join(lines(PLACE, everything, "plimsoll.toml"))
    made = Contract.model_validate(tomllib.loads(text))
    assert made.limits.replicas is None and len(made.endpoint) <= 200
    assert "${env:HOME}" not in text and "{{secret}}" not in text
    text.encode("utf-8")


@pytest.mark.parametrize("raw", [{}, [], None, {"swagger": "2.0"}, {"openapi": 3}])
def test_what_is_no_openapi_3_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match=r"openapi|OpenAPI"):
        OpenApi(raw)


def test_values_survive_the_way_through_toml() -> None:
    value = {"a b": [1, 2.5, True, 'q"\\\n\x7f', {"k": "값"}], "n": {}}
    assert tomllib.loads(toml.assigned("x", value)) == {"x": value}
    Endpoint.model_validate({"name": "a", "path": "/", "json": value})
