"""What the plan's model was fitted to: what a request of each endpoint costs, and the queues' settings beside the advised."""

from __future__ import annotations

from typing import Any

from reports import quantities as q
from reports.documents import Document, listed, section
from reports.wording import Words

COSTS = ("cpu_s", "upstream_s", "bytes_in", "bytes_out", "tokens_in", "tokens_out")


def _of_second(value: float) -> str:
    return q.milliseconds(value * 1000)


def _bytes(value: float) -> str:
    return f"{q.number(value)} B" if value < 10_240 else f"{q.number(value / 1024)} KiB"


FORMS = {"cpu_s": _of_second, "upstream_s": _of_second, "bytes_in": _bytes, "bytes_out": _bytes}


def cost_columns(plan: Document) -> list[str]:
    """Kinds of cost that some endpoint has a figure for; other processes' CPU after the service's own."""
    kinds: set[str] = set()
    for endpoint in section(plan, "per_endpoint").values():
        kinds |= {kind for kind, one in section(endpoint, "costs").items() if section(one, "per_request")}
    others = sorted(kind for kind in kinds if kind not in COSTS)
    return [kind for kind in COSTS if kind in kinds] + others


def cost_rows(plan: Document, words: Words) -> tuple[list[str], list[list[str]]]:
    """(headings, a row per endpoint): the 90 % interval of each cost per request; empty where none was fitted."""
    kinds = cost_columns(plan)
    if not kinds:
        return [], []
    headings = [words("column.endpoint"), *(_heading(kind, words) for kind in kinds)]
    rows = []
    for name, endpoint in section(plan, "per_endpoint").items():
        costs = section(endpoint, "costs")
        cells = [q.interval(section(costs, kind).get("per_request"), FORMS.get(kind, _form(kind))) for kind in kinds]
        rows.append([name, *cells])
    return headings, rows


def _form(kind: str) -> Any:
    return _of_second if kind.endswith("_s") else q.number


def _heading(kind: str, words: Words) -> str:
    if kind in COSTS:
        return words(f"fitted.{kind}")
    return words("fitted.other_cpu_s", who=kind.removesuffix("_cpu_s"))


def queue_rows(plan: Document) -> tuple[list[list[str]], list[str]]:
    """(queue, running, waiting, seconds, rps it carries) in force → advised, and what was said of each."""
    rows, said = [], []
    for found in listed(plan, "queue_settings"):
        now, then = section(found, "in_force"), section(found, "advised")
        carried = section(found, "carries_rps")
        pairs = [(now.get(key), then.get(key)) for key in ("max_concurrent", "max_queue_size", "timeout_s")]
        pairs.append((carried.get("in_force"), carried.get("advised")))
        forms = (q.count, q.count, q.seconds, q.rate)
        cells = [f"{q.shown(a, form)} → {q.shown(b, form)}" for (a, b), form in zip(pairs, forms, strict=True)]
        rows.append([str(found.get("queue")), *cells])
        said += [str(sentence) for sentence in found.get("sentences") or []]
    return rows, said
