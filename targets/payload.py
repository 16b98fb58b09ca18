"""Requests from a contract: every payload is a pure function of (seed, nonce, seq), whichever worker sends it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from measurements.errors import ContractError
from targets.contract import FIELD, Contract, Endpoint
from targets.contract_file import secrets_filled, tokens
from targets.sources import DataField
from targets.words import texts

POOL = 2_048
MAX_ROWS = 1_000_000
MASK = (1 << 64) - 1
IN_PATH = "/:?#[]@!$&'()*+,;=%~-._{}"  # as they are written in a contract; the rest is percent-encoded
LINE_BREAK = re.compile(r"[\r\n\0]+")


def draw(seed: int, *parts: int) -> int:
    """64 random bits for a place in the run: SplitMix64 (Steele, Lea, Flood 2014) folded over the parts."""
    state = seed & MASK
    for part in parts:
        state = (state ^ (part & MASK)) + 0x9E3779B97F4A7C15 & MASK
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state


def fraction(seed: int, *parts: int) -> float:
    """`draw` as a number in [0, 1)."""
    return (draw(seed, *parts) >> 11) / (1 << 53)


@dataclass(frozen=True)
class Request:
    """What goes on the wire, without connection headers. `path` is percent-encoded and carries the query."""

    method: str
    path: str
    header: dict[str, str]
    body: bytes | None


class Payloads:
    """Builds the requests of a contract. `nonce` makes texts fresh; the same (seed, nonce) repeats them exactly."""

    def __init__(self, contract: Contract, seed: int, nonce: str) -> None:
        self.seed = draw(seed, contract.data.seed)
        self.nonce = nonce
        self.repeat = contract.data.repeat
        self.identities = contract.users.identities
        self._fields = {
            name: _Pool(name, field, contract, draw(contract.data.seed, index))
            for index, (name, field) in enumerate(sorted(contract.data.fields.items()))
        }
        self._tokens = tokens(contract)
        self._identity_header = contract.users.header
        self._endpoints = [endpoint for endpoint in contract.endpoint if endpoint.enabled and endpoint.weight > 0]
        self._weights = _cumulative([endpoint.weight for endpoint in self._endpoints])

    def endpoint(self, seq: int) -> Endpoint:
        """The endpoint of arrival `seq`, drawn by weight."""
        point = fraction(self.seed, seq, 1)
        return next(e for e, upto in zip(self._endpoints, self._weights, strict=True) if point < upto)

    def content_key(self, seq: int, same: Callable[[int], bool] = lambda _: True) -> int:
        """`seq` itself when the request is fresh; else the earlier arrival (of the `same` kind) that it repeats."""
        attempt = 0
        while seq > 0 and self.repeat and fraction(self.seed, seq, 2) < self.repeat:
            earlier = draw(self.seed, seq, 3, attempt) % seq
            attempt += 1
            if same(earlier):
                seq = earlier
            elif attempt > 64:
                break
        return seq

    def identity_header(self, identity: int) -> dict[str, str]:
        """What client number `identity` sends with every request: [users] header with {{identity}} and {{token}} filled."""

        def fill(text: str) -> str:
            filled = FIELD.sub(lambda match: str(self.value(match.group(1), identity, identity)), text)
            return LINE_BREAK.sub(" ", filled)

        return {name: secrets_filled(value, fill) for name, value in self._identity_header.items()}

    def value(self, field: str, key: int, identity: int = 0) -> Any:
        """The value of {{field}} for content key `key`."""
        if field == "seq":
            return key
        if field == "nonce":
            return f"{self.nonce}-{key:x}"
        if field == "identity":
            return identity
        if field == "token":
            return self._tokens[identity % len(self._tokens)] if self._tokens else ""
        pool = self._fields[field]
        chosen = pool.values[draw(self.seed, key, pool.salt) % len(pool.values)]
        return f"{chosen} ({self.nonce}-{key:x})" if pool.fresh else chosen

    def identity(self, seq: int) -> int:
        return seq % self.identities

    def request(self, endpoint: Endpoint, seq: int) -> Request:
        """The request that arrival `seq` sends to `endpoint`."""
        key = self.content_key(seq, lambda other: self.endpoint(other).name == endpoint.name)
        identity = self.identity(seq)

        def fill(text: str) -> str:
            return FIELD.sub(lambda match: str(self.value(match.group(1), key, identity)), text)

        literal = quote(endpoint.path, safe=IN_PATH)
        path = FIELD.sub(lambda m: quote(str(self.value(m.group(1), key, identity)), safe=""), literal)
        if endpoint.query:
            pairs = (f"{quote(k, safe='')}={quote(fill(_plain(v)), safe='')}" for k, v in endpoint.query.items())
            path += ("&" if "?" in path else "?") + "&".join(pairs)
        header = {
            name: secrets_filled(value, lambda text: LINE_BREAK.sub(" ", fill(text)))
            for name, value in {**endpoint.header, **self._identity_header}.items()
        }
        body = None
        if endpoint.json_ is not None:
            filled = _fill_json(endpoint.json_, fill, lambda field: self.value(field, key, identity))
            body = json.dumps(filled, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            if not any(name.lower() == "content-type" for name in header):
                header["Content-Type"] = "application/json"
        elif endpoint.body is not None:
            body = fill(endpoint.body).encode()
        return Request(endpoint.method, path, header, body)

    def is_constant(self, endpoint: Endpoint) -> bool:
        """True when no field varies in it, so that it can be built once."""
        from targets.contract import fields_used

        return not fields_used(endpoint) and not any(FIELD.search(v) for v in self._identity_header.values())


class _Pool:
    """The values that a field draws from."""

    def __init__(self, name: str, field: DataField, contract: Contract, seed: int) -> None:
        self.salt = seed
        self.fresh = field.nonce if field.nonce is not None else any((field.text, field.jsonl, field.csv))
        if field.text:
            self.values: list[Any] = list(texts(field.text, field.length, POOL, seed))
        elif field.integer:
            low, high = field.integer
            self.values = [low + draw(seed, k) % (high - low + 1) for k in range(min(65_536, 8 * (high - low + 1)))]
            if high - low < 65_536:
                self.values = list(range(low, high + 1))
        elif field.choice:
            self.values = list(field.choice)
        else:
            self.values = _rows(name, field, contract)


def _rows(name: str, field: DataField, contract: Contract) -> list[Any]:
    path, key = contract.beside(field.jsonl or field.csv or ""), field.key or name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = map(json.loads, filter(str.strip, file)) if field.jsonl else csv.DictReader(file)
            values = [_clean(row[key]) for row, _ in zip(rows, range(MAX_ROWS), strict=False)]
    except (KeyError, TypeError) as error:
        raise ContractError(
            [f"{path}: a row has no {key!r}; set data.{name}.key to a key that every row has"]
        ) from error
    except UnicodeDecodeError as error:
        raise ContractError([f"{path}: is no text in UTF-8 (at byte {error.start}); save it as that"]) from error
    except (ValueError, OSError, csv.Error) as error:
        raise ContractError(
            [f"{path}: cannot be read as {'JSON lines' if field.jsonl else 'CSV'} ({error})"]
        ) from error
    if not values:
        raise ContractError([f"{path}: holds no rows; data.{name} needs at least one"])
    return values


def _clean(value: Any) -> Any:
    """JSON can hold half a surrogate pair, which no UTF-8 can."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _fill_json(node: Any, fill: Callable[[str], str], value: Callable[[str], Any]) -> Any:
    """Substitutes in every string; a string that is one {{field}} and nothing else takes the value with its type."""
    if isinstance(node, dict):
        return {fill(key): _fill_json(child, fill, value) for key, child in node.items()}
    if isinstance(node, list):
        return [_fill_json(child, fill, value) for child in node]
    if isinstance(node, str):
        whole = FIELD.fullmatch(node)
        return value(whole.group(1)) if whole else fill(node)
    return node


def _plain(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cumulative(weights: list[float]) -> list[float]:
    total, upto, found = sum(weights), 0.0, []
    for weight in weights:
        upto += weight / total
        found.append(upto)
    return [*found[:-1], 1.0] if found else []


def data_folder() -> Path:
    """Where the shipped contracts and their request data lie."""
    return Path(__file__).parent
