"""Operations as endpoints of a contract: each checked by the contract's own types before it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from targets.contract import Endpoint, fields_used
from targets.openapi.classify import Judged, judge, kind_of, path_words
from targets.openapi.document import Json, OpenApi, Operation, one_line, table
from targets.openapi.examples import Filler, NoValue, clean

HANGUL = re.compile("[가-힣]")
MOST_LOOKED_AT = 5_000
TELLING = ("answer", "response", "text", "content", "message", "output", "result", "results", "items", "choices", "documents",
           "hits", "data", "template")  # fmt: skip
PARAMETER = re.compile(r"\{([^{}/]+)\}")
TIMEOUT_S = {"generation": 60, "search": 10, "health": 5}
CREDENTIAL = re.compile(r"(?i)authorization|token|secret|api[-_]?key")
LEFT_TO_US = {"content-type", "content-length", "accept", "host", "connection", "transfer-encoding", "traceparent"}


@dataclass(frozen=True)
class Found:
    """`entry`: the keys of [[endpoint]]; `fields`: its [data.NAME]; `secrets`: names of environment variables."""

    operation: str
    judged: Judged
    entry: Json
    fields: Json = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def found_in(document: OpenApi, variable: str) -> list[Found]:
    """Every operation, recognised or not. `variable`: name of the environment variable that a credential comes from.

    Where nothing is recognised, plain reads (GET) that can be filled are enabled: better a first look than none.
    """
    operations = document.operations()
    names = _names(operations)
    korean = HANGUL.search(document.title) or any(_has_hangul(_texts(operation)) for operation in operations)
    language = "ko" if korean else "en"
    judgements = [judge(operation, document) for operation in operations]
    filler = Filler(document, language)
    made = {
        index: _endpoint(operations[index], judgements[index], names[index], filler, variable)
        for index in sorted(range(len(operations)), key=lambda index: not judgements[index].enabled)
    }
    found = [made[index] for index in range(len(operations))]
    if any(one.judged.enabled and one.judged.kind != "health" for one in found):
        return found
    return [_read(one, operation, document) for one, operation in zip(found, operations, strict=True)]


def _read(one: Found, operation: Operation, document: OpenApi) -> Found:
    unknown = one.judged.why == "not recognised as generation, search or health"
    plain = unknown and operation.method == "GET" and kind_of(operation, document) is None
    return Found(one.operation, Judged("other", True), one.entry, one.fields, one.secrets) if plain else one


def _has_hangul(value: Any) -> bool:
    """Somewhere in a document's value; it may be nested as deep as it likes, and is looked at in part only."""
    waiting, looked = [value], 0
    while waiting and looked < MOST_LOOKED_AT:
        one, looked = waiting.pop(), looked + 1
        if isinstance(one, str) and HANGUL.search(one):
            return True
        waiting += list(one.values()) if isinstance(one, dict) else one if isinstance(one, list | tuple) else []
    return False


def _texts(operation: Operation) -> list[Any]:
    return [*operation.tags, operation.body_example, *(p.example for p in operation.parameters), operation.body]


def _endpoint(operation: Operation, judged: Judged, name: str, filler: Filler, variable: str) -> Found:
    entry: Json = {"name": name, "kind": judged.kind, "method": operation.method, "path": clean(operation.path)}
    named = f"{operation.method} {one_line(operation.path, 120)}"
    try:
        secrets = _fill(entry, operation, filler, variable)
        entry["weight"] = 0 if judged.kind == "health" else 1
        entry["timeout_s"] = TIMEOUT_S.get(judged.kind, 30)
        if operation.streams:
            entry["stream"] = "sse"
        elif path := _telling(filler.document, operation):
            entry["expect"] = {"json_path": path}
        used = fields_used(Endpoint.model_validate(entry))
    except NoValue as missing:
        what = one_line(str(missing), 60) or "its body"
        entry["path"] = PARAMETER.sub("1", str(entry["path"]))
        return Found(named, _off(judged, f"nothing says what could stand for {what}; fill it in"), _plain(entry))
    except ValidationError:
        return Found(named, _off(judged, "its description does not fit a contract"), {})
    fields = {key: value for key, value in filler.fields.items() if key in used}
    return Found(named, judged, entry, fields, secrets)


def _off(judged: Judged, why: str) -> Judged:
    return judged if judged.why else Judged(judged.kind, False, why)


def _plain(entry: Json) -> Json:
    """What is certain of an endpoint whose values could not be filled; {} where not even that is valid."""
    kept = {key: entry[key] for key in ("name", "kind", "method", "path")}
    try:
        Endpoint.model_validate(kept)
    except ValidationError:
        return {}
    return kept


def _fill(entry: Json, operation: Operation, filler: Filler, variable: str) -> tuple[str, ...]:
    """Path, query, headers and body into `entry`; returns the environment variables that its headers need."""
    query: Json = {}
    header: dict[str, str] = {}
    secrets = []
    path = operation.path
    for parameter in operation.parameters:
        if parameter.where == "path":
            path = path.replace("{" + parameter.name + "}", str(clean(filler.parameter(parameter))))
        elif parameter.where == "query" and (parameter.required or _worth(parameter.schema, parameter.example)):
            query[clean(parameter.name)] = filler.parameter(parameter)
        elif parameter.where == "header" and parameter.required and parameter.name.lower() not in LEFT_TO_US:
            if CREDENTIAL.search(parameter.name):
                secrets.append(variable)
                header[parameter.name] = f"${{env:{variable}}}"
            else:
                header[parameter.name] = str(filler.parameter(parameter))
    if operation.credential and operation.credential.header:
        secrets.append(variable)
        header[operation.credential.header] = f"{operation.credential.prefix}${{env:{variable}}}"
    entry["path"] = PARAMETER.sub("1", str(clean(path)))
    if query:
        entry["query"] = query
    if header:
        entry["header"] = header
    if operation.body is not None:
        value = filler.body(operation.body, operation.body_example)
        if operation.body_type.endswith("json"):
            entry["json"] = value
        elif isinstance(value, dict) and "urlencoded" in operation.body_type:
            entry["body"] = "&".join(f"{name}={one}" for name, one in value.items())
            entry["header"] = {**header, "Content-Type": operation.body_type}
        elif not operation.body_type.startswith("multipart/"):
            entry["body"] = value if isinstance(value, str) else ""
            entry["header"] = {**header, "Content-Type": operation.body_type}
    return tuple(dict.fromkeys(secrets))


def _worth(schema: Json, example: Any) -> bool:
    """An optional parameter is sent where the document gives it a value of its own."""
    return example is not None or schema.get("example") is not None or bool(schema.get("examples"))


def _telling(document: OpenApi, operation: Operation) -> str:
    """The path of a required key of the answer, the one that looks most like its content."""
    schema = document.resolve(operation.answer)
    if schema.get("allOf"):
        schema = document.resolve(schema["allOf"][0]) if isinstance(schema["allOf"], list) else {}
    required = schema.get("required")
    keys = (
        [k for k in required if isinstance(k, str) and re.fullmatch(r"[\w-]+", k)] if isinstance(required, list) else []
    )
    known = [key for key in keys if key in table(schema.get("properties"))]
    best = next((key for key in TELLING if key in known), known[0] if known else "")
    return f"$.{best}" if best else ""


def _names(operations: Sequence[Operation]) -> list[str]:
    """A short unique name each: the path's last word, more of its words where two share it."""
    words = [path_words(operation.path) or ["root"] for operation in operations]
    lasts = [one[-1] for one in words]
    found: list[str] = []
    for operation, own in zip(operations, words, strict=True):
        short = own[-1] if lasts.count(own[-1]) == 1 else "_".join(own)
        options = [short, f"{operation.method.lower()}_{short}"]
        options += [f"{short}_{number}" for number in range(2, len(operations) + 2)]
        found.append(next(name for name in options if name[:60] not in found and name != "all")[:60])
    return found
