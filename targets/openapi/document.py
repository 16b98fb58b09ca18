"""An OpenAPI 3 document as flat operations; references resolved, size and depth bounded, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

METHODS = ("get", "post", "put", "patch", "delete")
MOST_OPERATIONS = 200
MOST_HOPS = 20
Json = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """`where`: path, query, header or cookie."""

    name: str
    where: str
    required: bool
    schema: Json
    example: Any = None


@dataclass(frozen=True)
class Credential:
    """What an operation asks for: the header that carries it ("" where it is no header), and what stands before it."""

    header: str
    prefix: str = ""
    where: str = "header"


@dataclass(frozen=True)
class Operation:
    """`path` starts with the server's prefix. `body`: the request's schema, None without a body. `answer`: that of 2xx."""

    method: str
    path: str
    operation_id: str = ""
    tags: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Json | None = None
    body_type: str = ""
    body_example: Any = None
    answer: Json = field(default_factory=dict)
    streams: bool = False
    credential: Credential | None = None
    deprecated: bool = False


class OpenApi:
    """`raw`: the parsed JSON. ValueError where it is no OpenAPI 3 document."""

    def __init__(self, raw: Any) -> None:
        version = raw.get("openapi") if isinstance(raw, dict) else None
        if not isinstance(version, str) or not version.startswith("3"):
            older = isinstance(raw, dict) and "swagger" in raw
            raise ValueError("it is Swagger 2, and OpenAPI 3 is read" if older else "it has no openapi = 3.x")
        self._raw: Json = raw

    @property
    def title(self) -> str:
        return one_line((table(self._raw.get("info"))).get("title"), 60)

    @property
    def version(self) -> str:
        return one_line((table(self._raw.get("info"))).get("version"), 30)

    def operations(self) -> list[Operation]:
        """In the document's order, at most `MOST_OPERATIONS`."""
        found: list[Operation] = []
        prefix = self._prefix()
        for path, item in table(self._raw.get("paths")).items():
            entry = self.resolve(item)
            for method in METHODS:
                if isinstance(entry.get(method), dict) and str(path).startswith("/"):
                    found.append(self._operation(method, prefix + str(path), entry, entry[method]))
                    if len(found) == MOST_OPERATIONS:
                        return found
        return found

    def resolve(self, node: Any) -> Json:
        """The table that a $ref within this document leads to; {} where it leads nowhere or outside."""
        for _ in range(MOST_HOPS):
            if not isinstance(node, dict):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            if not reference.startswith("#/"):
                return {}
            node = self._raw
            for part in reference[2:].split("/"):
                node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
        return {}

    def _prefix(self) -> str:
        """The path of the first server: FastAPI's root_path. Its host is ignored, for load goes where the user said."""
        servers = self._raw.get("servers")
        url = table(servers[0]).get("url") if isinstance(servers, list) and servers else None
        try:
            path = urlsplit(url).path.rstrip("/") if isinstance(url, str) else ""
        except ValueError:
            return ""
        return path if re.fullmatch(r"(/[\w.~-]+)*", path) else ""

    def _operation(self, method: str, path: str, item: Json, raw: Json) -> Operation:
        media, body_type, example = self._body(raw)
        answer, streams = self._answer(raw)
        return Operation(
            method=method.upper(),
            path=path,
            operation_id=one_line(raw.get("operationId"), 100),
            tags=tuple(one_line(tag, 40) for tag in listed(raw.get("tags")) if isinstance(tag, str)),
            parameters=tuple(self._parameters(item, raw)),
            body=media,
            body_type=body_type,
            body_example=example,
            answer=answer,
            streams=streams,
            credential=self._credential(raw),
            deprecated=raw.get("deprecated") is True,
        )

    def _parameters(self, item: Json, raw: Json) -> Iterator[Parameter]:
        named: dict[tuple[str, str], Parameter] = {}
        both = [found for owner in (item, raw) if isinstance(found := owner.get("parameters"), list)]
        for entry in (self.resolve(one) for many in both for one in many):
            name, where = str(entry.get("name") or ""), str(entry.get("in") or "")
            if name:
                named[name, where] = Parameter(
                    name, where, entry.get("required") is True or where == "path", self.resolve(entry.get("schema")),
                    self._example(entry),
                )  # fmt: skip
        yield from named.values()

    def _body(self, raw: Json) -> tuple[Json | None, str, Any]:
        content = table(self.resolve(raw.get("requestBody")).get("content"))
        if not content:
            return None, "", None
        kinds = [str(kind) for kind in content]
        chosen = next((kind for kind in kinds if kind.split(";")[0].endswith("json")), kinds[0])
        media = self.resolve(content[chosen])
        return self.resolve(media.get("schema")), chosen.split(";")[0].strip(), self._example(media)

    def _answer(self, raw: Json) -> tuple[Json, bool]:
        """(schema of the first 2xx answer in JSON, whether it is a stream of server-sent events)."""
        for status, response in table(raw.get("responses")).items():
            if str(status).startswith("2"):
                content = table(self.resolve(response).get("content"))
                streams = any(str(kind).startswith("text/event-stream") for kind in content)
                media = next((self.resolve(v) for k, v in content.items() if str(k).endswith("json")), {})
                return self.resolve(media.get("schema")), streams
        return {}, False

    def _example(self, owner: Json) -> Any:
        if owner.get("example") is not None:
            return owner["example"]
        examples = owner.get("examples")
        if isinstance(examples, dict):
            return next((self.resolve(one).get("value") for one in examples.values()), None)
        return examples[0] if isinstance(examples, list) and examples else None

    def _credential(self, raw: Json) -> Credential | None:
        needed = raw.get("security", self._raw.get("security"))
        if not isinstance(needed, list) or not needed or any(one == {} for one in needed):
            return None
        schemes = table(table(self._raw.get("components")).get("securitySchemes"))
        names = [name for one in needed if isinstance(one, dict) for name in one]
        scheme = self.resolve(schemes.get(names[0])) if names else {}
        kind = str(scheme.get("type") or "")
        if kind == "apiKey":
            where = str(scheme.get("in") or "header")
            return Credential(str(scheme.get("name") or "X-API-Key") if where == "header" else "", where=where)
        if kind == "http" and str(scheme.get("scheme")).lower() == "basic":
            return Credential("Authorization", "Basic ")
        return Credential("Authorization", "Bearer ")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def table(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def one_line(text: Any, most: int) -> str:
    """A text of the target as it may stand in a comment or a name: one printable line, no longer than `most`."""
    cleaned = "".join(c if c.isprintable() else " " for c in text) if isinstance(text, str) else ""
    cleaned = " ".join(cleaned.encode("utf-8", "replace").decode().split())
    return cleaned if len(cleaned) <= most else cleaned[: most - 1] + "…"
