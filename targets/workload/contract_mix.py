"""The mix as a contract: endpoints with the weights of the log, and what no log holds marked "fill in"."""

from __future__ import annotations

import json
import re
from typing import Any

from targets.workload.paths import ID, MALFORMED, NO_SUCH_PATH, NOT_FOUND, OTHER
from targets.workload.shown import printable

CONTRACT_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
WITH_BODY = ("POST", "PUT", "PATCH")
KINDS = {  # a guess by the words in a path, the first that fits
    "health": r"health|ready|readiness|live|liveness|ping|metrics",
    "generation": r"generate|generation|chat|completion|completions|ask|answer|analysis|analyze|summarize|messages",
    "search": r"search|query|retrieve|retrieval|find|suggest|similar|rag",
}
GONE_SHARE = 0.9
SEEN_SHARE = 0.01


def lines(document: dict[str, Any], name: str) -> list[str]:
    """TOML that `contract_file.load` takes as it is; its base_url is a place to fill in."""
    kept = [e for e in document["endpoints"] if not _left_out(e)]
    fields: dict[str, None] = {}
    found = [
        "# An access log holds no bodies, headers, queries or ids: fill in what is marked so, then try it with: check",
        "",
        "[target]",
        f"name = {json.dumps(name)}",
        'base_url = "http://127.0.0.1:8000"        # fill in: where the service listens',
        "",
    ]
    names = _names(kept)
    for endpoint, unique in zip(kept, names, strict=True):
        found += [*_endpoint(endpoint, unique, fields), ""]
    for field in fields:
        found += [f"[data.{field}]", "integer = [1, 1000]                       # fill in: ids that exist", ""]
    found += _slo(document)
    left_out = [e for e in document["endpoints"] if _left_out(e)]
    if left_out:
        found += ["# Left out of the mix:"]
        found += [f"#   {e['endpoint'][:100]}: {e['requests']:,} requests, {_left_out(e)}" for e in left_out]
    return found


def usable(document: dict[str, Any]) -> bool:
    return any(not _left_out(endpoint) for endpoint in document["endpoints"])


def _left_out(endpoint: dict[str, Any]) -> str:
    """Why an endpoint of the log is none of the contract; empty when it is one."""
    statuses = endpoint["statuses"]
    gone = sum(statuses.get(str(status), 0) for status in NO_SUCH_PATH)
    if endpoint["endpoint"] == MALFORMED:
        return "no HTTP requests"
    if endpoint["path"] is None:
        kind = next((k for k in (OTHER, NOT_FOUND) if endpoint["endpoint"].endswith(k)), "")
        return "paths that the service does not have" if kind == NOT_FOUND else "many rare endpoints"
    if endpoint["method"] not in CONTRACT_METHODS:
        return "a method that is not driven"
    if gone > GONE_SHARE * endpoint["requests"]:
        return "nearly all answered as not found or refused"
    if next(iter(statuses)) == "101":
        return "a WebSocket"
    return ""


def _endpoint(endpoint: dict[str, Any], unique: str, fields: dict[str, None]) -> list[str]:
    path, method = endpoint["path"], endpoint["method"]
    found = [
        "[[endpoint]]",
        f"# {_seen(endpoint)}",
        f"name = {json.dumps(unique)}",
        f'kind = "{kind(path)}"',
        f'method = "{method}"',
        f"path = {json.dumps(_with_fields(path, fields))}",
        f"weight = {max(endpoint['share'] * 100, 1e-6):.4g}",
    ]
    if method in WITH_BODY:
        found.insert(-1, "# json = { … }                            # fill in: the body that it takes")
    expected = _expected(endpoint)
    if any(not 200 <= status < 300 for status in expected):
        found.append(f"expect = {{ status = {expected} }}")
    return found


def _seen(endpoint: dict[str, Any]) -> str:
    text = f"{endpoint['requests']:,} requests ({endpoint['share']:.1%}), {endpoint['errors']['rate']:.2%} errors"
    times = endpoint["response_ms"]
    if times:
        known = [f"{q} {times[q]:g} ms" for q in ("p50", "p95", "p99") if times[q] is not None]
        text += "; response " + ", ".join(known or [f"mean {times['mean']:g} ms"])
    return text


def _expected(endpoint: dict[str, Any]) -> list[int]:
    """Successes and redirections that are no rarity, and the most common answer unless it is the service's failure."""
    statuses = {int(status): count for status, count in endpoint["statuses"].items()}
    common = max(statuses, key=lambda status: statuses[status])
    usual = {s for s, count in statuses.items() if 200 <= s < 400 and count >= SEEN_SHARE * endpoint["requests"]}
    return sorted(usual | ({common} if 200 <= common < 500 and common != 429 else set()))


def kind(path: str) -> str:
    words = re.split(r"[^a-z]+", path.lower())
    return next((k for k, pattern in KINDS.items() if any(re.fullmatch(pattern, word) for word in words)), "other")


def _with_fields(path: str, fields: dict[str, None]) -> str:
    """/users/{id}/orders to /users/{{users_id}}/orders; the same segment before it, the same field."""
    parts = path.split("/")
    for k, part in enumerate(parts):
        if part.startswith(ID):
            before = re.sub(r"\W+|^(?=\d)", "_", parts[k - 1], flags=re.ASCII).strip("_") if k > 1 else ""
            field = f"{before[:40]}_id" if before and ID not in parts[k - 1] else f"id_{k}"
            field = field if not field[0].isdigit() else f"n{field}"
            fields[field] = None
            parts[k] = "{{" + field + "}}" + part[len(ID) :]
    return "/".join(parts)


def _names(endpoints: list[dict[str, Any]]) -> list[str]:
    """A short unique name for each: the path's words, after the method where one path has several."""
    paths = [endpoint["path"] for endpoint in endpoints]
    found: list[str] = []
    for endpoint in endpoints:
        words = re.sub(r"[^a-z0-9]+", "_", endpoint["path"].replace(ID, "id").lower()).strip("_") or "root"
        name = f"{endpoint['method'].lower()}_{words}" if paths.count(endpoint["path"]) > 1 else words
        name = name[:60] if name != "all" else "all_"
        number, unique = 2, name
        while unique in found:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found


def _slo(document: dict[str, Any]) -> list[str]:
    lines = ["# What the log shows; keep, tighten or drop it as your target:", "# [slo.all]"]
    lines.append(f"# error_rate = {document['errors']['rate']:.4f}")
    slowest = [e["response_ms"]["p95"] for e in document["endpoints"] if e["response_ms"] and e["response_ms"]["p95"]]
    if slowest:
        lines.append(f"# p95_ms = {max(slowest):g}                            # of the slowest endpoint")
    return [*lines, ""]


def heading(document: dict[str, Any], commands: list[str]) -> list[str]:
    """The first lines of either contract: where it is from, and what to type next."""
    files = ", ".join(printable(file["path"], 80) for file in document["files"][:5])
    more = len(document["files"]) - 5
    span = document["span"]
    found = [f"# Made by plimsoll workload from {files}{f' and {more} more' if more > 0 else ''}:"]
    text = f"# {document['requests']:,} requests"
    if span:
        text += f", {span['first']} to {span['last']}, {span['rps']:.4g} a second"
    return [*found, text + ".", *(f"#   {printable(command, 400)}" for command in commands)]


def by_hour(document: dict[str, Any]) -> list[str]:
    """The daily shape as comment lines."""
    known = [hour for hour in document["hours"] if hour["rps"] is not None]
    if not known:
        return []
    zone = (document["span"] or {}).get("zone") or "since the trace's start"
    return [f"# Requests a second by hour of day ({zone}):"] + [
        "#   " + "  ".join(f"{hour['hour']:02d}h {hour['rps']:.4g}" for hour in known[k : k + 6])
        for k in range(0, len(known), 6)
    ]
