"""A value for every parameter and body, from examples, defaults and schemas; texts become {{fields}} of [data]."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from targets.openapi.document import Json, OpenApi, Parameter, listed, table
from targets.openapi.document import words as known

DEEPEST = 6
MOST_VALUES = 300
MOST_EXAMPLES = 20
MOST_PARTS = 50  # of allOf, anyOf, oneOf
MOST_WORK = 50_000  # schemas looked at for one document: aliases of aliases multiply
LONGEST = 2_000
MOST_QUANTIFIERS = 3
NONCE_CHARS = 40  # " (nonce-seq)", so that a text with a length limit keeps it
TEXTS = known("question query q prompt message text input content request keyword keywords search term sentence document "
            "passage case topic utterance instruction context body description")  # fmt: skip
COUNTS = {"k": 5, "n": 1, "limit": 5, "size": 5, "count": 5, "page": 1, "offset": 0, "skip": 0, "tokens": 128}
FORMATS = {
    "date": "2026-01-15", "date-time": "2026-01-15T09:00:00Z", "time": "09:00:00", "email": "user@example.com",
    "uuid": "00000000-0000-4000-8000-000000000001", "uri": "https://example.com/", "ipv4": "192.0.2.1",
    "byte": "ZXhhbXBsZQ==", "hostname": "example.com",
}  # fmt: skip
CANDIDATES = ("example", "user-1", "user_1", "1", "a", "A1", "2026-01-15", "010-1234-5678", "ko", "true")


class NoValue(Exception):
    """Nothing in the document says what could stand there."""


@dataclass
class Filler:
    """`language` of generated texts. `fields`: what [data.NAME] has to hold, found while values were filled."""

    document: OpenApi
    language: str
    fields: dict[str, Json] = field(default_factory=dict)
    _left: int = MOST_VALUES
    _work: int = MOST_WORK

    def body(self, schema: Json, example: Any) -> Any:
        self._left = MOST_VALUES
        return self._value("", schema, 0, example)

    def parameter(self, parameter: Parameter) -> Any:
        """Raises NoValue for a path parameter that nothing exemplifies: an invented id finds nothing."""
        self._left = MOST_VALUES
        given = _given(parameter.schema, parameter.example)
        if given is None and parameter.where == "path":
            raise NoValue(parameter.name)
        value = self._value(parameter.name, parameter.schema, 0, parameter.example)
        return ",".join(map(str, value)) if isinstance(value, list) else value

    def _value(self, name: str, raw: Any, depth: int, example: Any = None) -> Any:
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            raise NoValue(name)
        schema = self._flat(raw)
        given = _given(schema, example)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "string")
        if kind == "object" or "properties" in schema or (kind is None and isinstance(given, dict)):
            return self._object(schema, given if isinstance(given, dict) else {}, depth)
        if kind == "array" or (kind is None and isinstance(given, list)):
            return self._array(name, schema, given, depth)
        if kind in ("integer", "number", "boolean"):
            return clean(given) if isinstance(given, int | float) else _number(name, kind, schema)
        return self._text(name, schema, given)

    def _flat(self, raw: Any) -> Json:
        """allOf merged; of anyOf and oneOf the first that is not null."""
        schema = dict(self.document.resolve(raw))
        parts = listed(schema.pop("allOf", None))[:MOST_PARTS]
        self._work -= 1 + len(parts)
        if self._work < 0:
            raise NoValue("too much in one document")
        for part in parts:
            inner = self.document.resolve(part)
            merged = {**table(schema.get("properties")), **table(inner.get("properties"))}
            required = [*listed(schema.get("required")), *listed(inner.get("required"))][:MOST_VALUES]
            schema = {**inner, **schema, "required": required} | ({"properties": merged} if merged else {})
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, list):
                known = [
                    inner
                    for one in branches[:MOST_PARTS]
                    if (inner := self.document.resolve(one)).get("type") != "null"
                ]
                schema = {**(known[0] if known else {}), **{k: v for k, v in schema.items() if k != key}}
        return schema

    def _object(self, schema: Json, given: Json, depth: int) -> Json:
        """What is required, what the example of the whole has, and what has an example or default of its own."""
        properties = table(schema.get("properties"))
        required = {name for name in listed(schema.get("required")) if isinstance(name, str)}
        found: Json = {}
        for name, raw in list(properties.items())[:MOST_VALUES]:
            inner = self._flat(raw)
            if name in required or name in given or _given(inner, None) not in (None, "", [], {}):
                found[clean(name)] = self._value(str(name), raw, depth + 1, given.get(name))
        extra = {clean(k): clean(v) for k, v in given.items() if k not in properties}
        return {name: value for name, value in {**found, **extra}.items() if value is not None}

    def _array(self, name: str, schema: Json, given: Any, depth: int) -> list[Any]:
        if isinstance(given, list):
            return [self._value(name, schema.get("items"), depth + 1, item) for item in given[:MOST_EXAMPLES]]
        fewest = schema.get("minItems")
        wanted = min(fewest, 3) if isinstance(fewest, int) and fewest > 0 else 1
        return [self._value(name, schema.get("items"), depth + 1) for _ in range(wanted)]

    def _text(self, name: str, schema: Json, given: Any) -> Any:
        if schema.get("const") is not None or schema.get("enum"):
            return clean(given)
        words = set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))
        if schema.get("format") in FORMATS:
            return clean(given) or FORMATS[schema["format"]]
        if words & TEXTS and not schema.get("pattern"):
            return self._field(name, schema, given)
        if isinstance(given, str | int | float):
            return clean(given)
        return _matching(name, words, schema)

    def _field(self, name: str, schema: Json, given: Any) -> str:
        """{{name}}, drawn from the examples there are, else generated in the limits of the schema."""
        examples = [e for e in [given, *_all_examples(schema)] if isinstance(e, str) and e.strip()]
        source: Json
        most = schema.get("maxLength")
        most = most if isinstance(most, int) and 0 < most <= 1_000_000 else None
        roomy = most is None or most >= 2 * NONCE_CHARS
        if examples:
            source = {"choice": list(dict.fromkeys(str(clean(e)) for e in examples[:MOST_EXAMPLES]))}
            source |= {"nonce": True} if most is None or max(map(len, source["choice"])) + NONCE_CHARS <= most else {}
        else:
            source = {"text": self.language}
            if most is not None and most < 1_000 + NONCE_CHARS:
                longest = most - NONCE_CHARS if roomy else most
                source["length"] = {"median": min(80, longest), "min": min(10, longest), "max": longest}
            source |= {} if roomy else {"nonce": False}
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:40] or "text"
        base = f"{base}_text" if base in ("seq", "nonce", "identity", "token", "repeat", "seed") else base
        base = base if not base[0].isdigit() else f"f_{base}"
        chosen, number = base, 2
        while self.fields.get(chosen, source) != source:
            chosen, number = f"{base}_{number}", number + 1
        self.fields[chosen] = source
        return "{{" + chosen + "}}"


def _given(schema: Json, example: Any) -> Any:
    """What the document itself says could stand there."""
    enum = schema.get("enum")
    options = [example, schema.get("const"), *_all_examples(schema), schema.get("default")]
    options += enum[:1] if isinstance(enum, list) else []
    return next((option for option in options if option is not None), None)


def _all_examples(schema: Json) -> list[Any]:
    several = schema.get("examples")
    return [schema.get("example"), *(several if isinstance(several, list) else [])]


def _number(name: str, kind: str, schema: Json) -> Any:
    if kind == "boolean":
        return False
    words = re.split(r"[^a-z]+", name.lower())
    wanted: float = next((COUNTS[word] for word in reversed(words) if word in COUNTS), 1)
    low, high = (value if _finite(value := schema.get(key)) else None for key in ("minimum", "maximum"))
    wanted = max(wanted, low) if low is not None else wanted
    wanted = min(wanted, high) if high is not None else wanted
    return int(wanted) if kind == "integer" else wanted


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**63


def _matching(name: str, words: set[str], schema: Json) -> str:
    """A short text that fits the pattern; ids carry the identity, so that [users] identities spreads them."""
    ids = "user-{{identity}}" if words & {"user", "client", "member"} else "session-{{seq}}"
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return ids if "id" in words or words & {"user", "session"} else _sized("example", schema)
    if len(pattern) > 200 or len(re.findall(r"[*+{]", pattern)) > MOST_QUANTIFIERS or re.search(r"\)[*+{]", pattern):
        raise NoValue(name)  # a hostile expression would search for years
    try:
        fits = re.compile(pattern).search
    except (re.error, RecursionError, OverflowError):
        raise NoValue(name) from None
    if "id" in words and all(fits(text) for text in ("user-0", "user-1", "session-1")):
        return ids
    found = next((text for text in CANDIDATES if fits(text)), None)
    if found is None:
        raise NoValue(name)
    return found


def _sized(text: str, schema: Json) -> str:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least <= LONGEST:
        text = (text + " ") * (least // len(text) + 1)
        text = text[:least]
    return text[:most] if isinstance(most, int) and most > 0 else text


def clean(value: Any, depth: int = 0) -> Any:
    """A value of the target as a contract may hold it: no template, no secret's place, no half characters, no null."""
    if depth > DEEPEST:
        return None
    if isinstance(value, str):
        text = value[:LONGEST].encode("utf-8", "replace").decode().replace("\x7f", " ").replace("\x00", " ")
        return re.sub(r"\{(?=\{)|\$(?=\{)", r"\g<0> ", text)
    if isinstance(value, dict):
        kept = {clean(str(key)): clean(inner, depth + 1) for key, inner in list(value.items())[:MOST_VALUES]}
        return {key: inner for key, inner in kept.items() if inner is not None}
    if isinstance(value, list):
        return [inner for one in value[:MOST_EXAMPLES] if (inner := clean(one, depth + 1)) is not None]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return None
    return value
