"""The contract that init writes: what was found, what is enabled and why, and what only its owner knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from targets.openapi import toml
from targets.openapi.document import one_line
from targets.openapi.endpoints import Found

GUESSED_P95_MS = {"generation": 5000, "search": 500, "other": 1000}
RULE = "# " + "-" * 98
UNTOLD_STREAM = '# stream = "sse"                          # if it streams its answer; plimsoll check tells'
OFF = "# Off, so that nothing is destroyed by curiosity. Remove the # of a block that may be loaded."


@dataclass(frozen=True)
class Place:
    """Where the service is and what was seen of it. `process`: a sentence on who listens; `start`: how it may be started."""

    name: str
    base_url: str
    source: str
    day: str
    port: int | None = None
    process: str = ""
    start: str = ""
    ready: str = "/health"
    prometheus: str = ""
    metrics: str = ""
    workers: int = 1
    notes: tuple[str, ...] = field(default=())


def lines(place: Place, found: Sequence[Found], file: str) -> list[str]:
    on = [one for one in found if one.judged.enabled]
    off = [one for one in found if not one.judged.enabled]
    loaded = [one for one in on if one.judged.kind != "health"]
    return [
        f"# Written by plimsoll init on {place.day} from {place.source}.",
        "# It is yours now: read it through, then",
        f"#   plimsoll check {file}       asks each endpoint once",
        f"#   plimsoll run {file} --shape breakpoint",
        "# A line that starts with # is off. A misspelt key is refused with the nearest right one.",
        "",
        *_target(place),
        "",
        RULE,
        f"# What is asked: {len(on)} of {len(found)} operations. Each arrival is one of these, drawn by weight; equal weights are",
        "# a guess (plimsoll workload ACCESS.LOG reads the real mix). Weight 0: asked by check, not part of the load.",
        "",
        *(line for one in on for line in [*_endpoint(one), ""]),
        *_data(loaded),
        *_promises(loaded),
        *_money(loaded),
        *_deployed(place),
        *([RULE, OFF, ""] if off else []),
        *(line for one in off for line in [*_left_off(one, on), ""]),
    ]  # fmt: skip


def _target(place: Place) -> list[str]:
    found = ["[target]", toml.assigned("name", place.name), toml.assigned("base_url", place.base_url), ""]
    found.append("[target.observe]" + " " * 26 + "# whose CPU and memory are recorded while a run goes on")
    if place.port:
        found.append(toml.assigned("port", place.port, place.process))
    else:
        found.append(f"# {place.process}")
    if place.prometheus:
        found.append(toml.assigned("prometheus", place.prometheus, place.metrics))
    else:
        found.append('# prometheus = "/metrics"                 # no metrics page answered')
    start = place.start or "uvicorn app:app --port {port} --workers {workers}"
    return [
        *found, "",
        *toml.off([
            "[target.control]                        # lets plimsoll run … --start start a copy of its own on a free port",
            toml.assigned("start", start),
            toml.assigned("ready", place.ready),
        ]),
    ]  # fmt: skip


def _endpoint(one: Found) -> list[str]:
    found = ["[[endpoint]]", *(toml.assigned(key, value, _remark(key, one)) for key, value in one.entry.items())]
    untold = one.judged.enabled and one.judged.kind == "generation" and not {"stream", "expect"} & set(one.entry)
    return found + ([UNTOLD_STREAM] if untold else [])


def _remark(key: str, one: Found) -> str:
    if key == "weight" and one.judged.kind == "health":
        return "asked by check, not part of the load"
    if key == "header" and one.secrets:
        return f"export {one.secrets[0]}=… before check and run"
    if key == "expect":
        return "an answer without it counts as failed"
    return "an answer later than this counts as failed" if key == "timeout_s" else ""


def _data(loaded: Sequence[Found]) -> list[str]:
    fields: dict[str, Any] = {}
    for one in loaded:
        for name, source in one.fields.items():
            fields.setdefault(name, source)
    found = [
        RULE,
        '# What stands for the {{fields}}. Your users\' own texts measure better: jsonl = "questions.jsonl", an object a line.',
    ]
    for name, source in fields.items():
        found += ["", f"[data.{name}]", *(toml.assigned(key, value, _source(key)) for key, value in source.items())]
    return [*found, ""] if fields else []


def _source(key: str) -> str:
    return {
        "text": "generated sentences",
        "choice": "the examples of the service's own description",
        "nonce": "adds the run's mark to each, so that no cache knows it",
    }.get(key, "")


def _promises(loaded: Sequence[Found]) -> list[str]:
    found = [RULE, "# What you promise. The latencies are guesses: the report judges by them, so put your own.", "",
             "[slo.all]", toml.assigned("error_rate", 0.01, "one in a hundred may fail")]  # fmt: skip
    for one in loaded:
        limit = GUESSED_P95_MS[one.judged.kind]
        found += [
            "",
            f"[slo.{toml.key(one.entry['name'])}]",
            toml.assigned("p95_ms", limit, "a guess: 95 of 100 answers within this"),
        ]
    return [*found, ""]


def _money(loaded: Sequence[Found]) -> list[str]:
    if not any(one.judged.kind == "generation" for one in loaded):
        return []
    return [
        RULE,
        "# If these answers come from a paid LLM, every request costs money. Say so, and a run ends at max_usd:",
        "",
        *toml.off([
            "[upstream]", "paid = true", 'kind = "real"                           # or replayed, emulated',
            "usd_per_1k_tokens_in = 0.003", "usd_per_1k_tokens_out = 0.015", "calls_per_request = 1.0",
            "tokens_in = 800                         # of one call", "tokens_out = 200", "max_usd = 5.0",
        ]),
        "",
    ]  # fmt: skip


def _deployed(place: Place) -> list[str]:
    return [
        RULE,
        "# One replica as production has it. Without cpu and memory_mib a plan is marked \"not for purchase\".",
        "",
        "[resources]",
        toml.assigned("workers", place.workers, "worker processes" + (" seen here" if place.process and place.port else "")),
        "# cpu = 1                                 # cores",
        "# memory_mib = 1024",
        "",
    ]  # fmt: skip


def _left_off(one: Found, on: Sequence[Found]) -> list[str]:
    known = {name for other in on for name in other.fields}
    body = _endpoint(one) if one.entry else []
    for name, source in one.fields.items():
        if name not in known:
            body += ["", f"[data.{name}]", *(toml.assigned(key, value) for key, value in source.items())]
    return [f"# {one.operation}: {one_line(one.judged.why, 160)}", *toml.off(body)]
