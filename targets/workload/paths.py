"""Request lines to endpoints: "GET /api/users/4711/orders" to "GET /api/users/{id}/orders", a bounded number of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote

METHODS = frozenset(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
MALFORMED = "(malformed request)"  # a TLS handshake on a plain port, an empty line, a method that is none
OTHER = "(other)"
NOT_FOUND = "(not found)"
NO_SUCH_PATH = (400, 403, 404, 405, 410)
ID = "{id}"
MANY = "{*}"  # a position found to be a parameter by its many values; shown as {id}
MOST_VALUES = 100
DEEPEST = 12
REMEMBERED = 50_000
LONGEST_HEAD_BYTES = 512

# A segment of a path that is a value, not a name. Linear in its length: a name costs one look for a digit.
IDENTIFIER = re.compile(
    rb"""/(?:(?=[^/\n0-9]*+[0-9])(?:
          \d++(?:[-_:,]\d++)*+                                     # 4711, 2026-11-21
        | [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}     # UUID
        | [0-9a-fA-F]{8,64}                                        # hash
        | [A-Za-z]{1,32}[-_:]\d{3,}                                # user-1234
        | [\w=~-]{20,}                                             # token, ULID, long slug with a number
        | [A-Za-z][\w-]{0,40}?[.-][0-9a-f]{8,40}(?=\.)             # app.3f2a91bc.js
        | eyJ[\w.=-]{10,}                                          # JWT
      )
    | [^/\n%@\x00-\x20\x7f-\xff]*+[^/\n]++                       # free text, mail address
    | [^/\n]{65,}+
    )(?=(?:\.[A-Za-z][A-Za-z0-9]{0,4})?(?:/|\n|\Z))""",
    re.VERBOSE,
)


SAFE = re.compile(rb"(?:/(?:\{id\})?[\w!$&'()*+,;=:@%~.-]*+)++")


class Endpoints:
    """Endpoints of request heads (b"GET /path"); what was once folded is remembered, within bounds."""

    def __init__(self) -> None:
        self._of_shape: dict[bytes, str] = {}

    def of(self, heads: Collection[bytes]) -> dict[bytes, str]:
        """The endpoint of every head among `heads`. A head holds no line break."""
        distinct = list(set(heads))
        cut = b"\n".join([head[:LONGEST_HEAD_BYTES] for head in distinct])
        shapes = IDENTIFIER.sub(b"/{id}", cut).split(b"\n") if distinct else []
        if len(self._of_shape) > REMEMBERED:
            self._of_shape.clear()
        for shape in set(shapes).difference(self._of_shape):
            self._of_shape[shape] = _endpoint(shape)
        return dict(zip(distinct, map(self._of_shape.__getitem__, shapes), strict=True))


def _endpoint(shape: bytes) -> str:
    """`METHOD /path` in plain ASCII without space or brace (but for {id}), or MALFORMED."""
    method, _, raw = shape.partition(b" ")
    if method.decode("ascii", "replace") not in METHODS:
        return MALFORMED
    path = raw.partition(b"?")[0].partition(b"#")[0]
    if path[:4] == b"http" and b"://" in path[:8]:  # the absolute form, as proxies get it
        path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
    if path[:1] != b"/":
        return f"{method.decode()} {OTHER}"
    if not SAFE.fullmatch(path):
        path = quote(path, safe=b"/!$&'()*+,;=:@%~.-_").replace("%7Bid%7D", ID).encode()
    text = path.decode()
    if text.count("/") > DEEPEST:
        text = "/".join([*text.split("/")[: DEEPEST + 1], MANY])
    return f"{method.decode()} {text}"


def folded(seen: Mapping[str, tuple[int, int]], most: int = MOST_VALUES) -> dict[str, str]:
    """Endpoint to endpoint, with the positions folded that have more than `most` values under one prefix.

    `seen[endpoint]` is (requests, those whose path exists: not answered by a status in NO_SUCH_PATH). Where more than
    `most` of a position's values exist, it is a parameter: values with under 1 % of its requests become {*} (and so
    they do where an earlier folding left a {*}). Else the values that never existed are a scanner's: (not found).
    Level by level, so that what is folded above counts as one below.
    """
    split = {endpoint: endpoint.split("/") for endpoint in seen}
    deep = [(parts, seen[endpoint]) for endpoint, parts in split.items()]
    for depth in range(1, DEEPEST + 2):
        values: dict[tuple[str, ...], dict[str, list[int]]] = {}
        deep = [(parts, counts) for parts, counts in deep if len(parts) > depth]
        for parts, (requests, existing) in deep:
            total = values.setdefault(tuple(parts[:depth]), {}).setdefault(parts[depth], [0, 0])
            total[0] += requests
            total[1] += existing
        replaced = {prefix: _replaced(found, most) for prefix, found in values.items()}
        for parts, _ in deep:
            change = replaced[tuple(parts[:depth])].get(parts[depth])
            if change == NOT_FOUND:
                parts[:] = [parts[0] + NOT_FOUND]
            elif change:
                parts[depth] = change
    return {endpoint: "/".join(parts) for endpoint, parts in split.items()}


def _replaced(values: dict[str, list[int]], most: int) -> dict[str, str]:
    """What becomes of the values of one position: {*}, (not found), or nothing."""
    if len(values) <= most and MANY not in values:
        return {}
    exist = sum(1 for _, existing in values.values() if existing)
    if exist > most or MANY in values:
        total = sum(requests for requests, _ in values.values())
        return {value: MANY for value, (requests, _) in values.items() if requests * most < total}
    return {value: NOT_FOUND for value, (_, existing) in values.items() if not existing}


def shown(endpoint: str) -> str:
    return endpoint.replace(MANY, ID)


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """(method, path); the path of what is no path is empty."""
    method, _, path = endpoint.partition(" ")
    return (method, path) if path.startswith("/") else ("", "")
