"""What error texts give away about a limit: the services' own words, where enough requests came back with them."""

from __future__ import annotations

import re

from capacity.facts import Facts
from capacity.sign import Sign

SHARE = 0.05
# (kind, words, what they are): of SQLAlchemy, PostgreSQL, MySQL, SQLite, httpx, nginx, slowapi and limits, OpenAI, Anthropic.
TEXTS = (
    (
        "connection_pool",
        r"QueuePool limit|PoolTimeout|pool exhausted|too many (connections|clients)|remaining connection slots",
    ),
    ("lock", r"database is locked|deadlock|lock wait timeout|could not obtain lock"),
    (
        "upstream",
        r"overloaded_error|upstream (timed out|rate.?limit|is busy|\S+ refused)|provider.{0,20}429|insufficient_quota",
    ),
    ("memory", r"MemoryError|out of memory|cannot allocate memory"),
    ("concurrency_limit", r"queue is full|QueueFull|too many (concurrent|running)|server is busy"),
    ("rate_limit", r"rate.?limit(ed| exceeded)|too many requests|\d+ per \d+ (second|minute|hour)"),
)


def words(facts: Facts) -> Sign | None:
    """At least 5 % of the requests at the plateau failed, and most of the texts say the same."""
    failed = sum(stage.count - int(stage.overall.get("ok") or 0) for stage in facts.top)
    total = sum(stage.count for stage in facts.top)
    if not facts.plateau or not total or failed < SHARE * total or facts.own_cpu_is_high:
        return None
    counts: dict[str, int] = {}
    example: dict[str, str] = {}
    known = 0
    for error in facts.run.errors:
        text, count = str(error.get("excerpt") or ""), int(error.get("count") or 0)
        known += count
        kind = next((kind for kind, pattern in TEXTS if re.search(pattern, text, re.IGNORECASE)), None)
        if kind is not None:
            counts[kind] = counts.get(kind, 0) + count
            example.setdefault(kind, " ".join(text.split())[:120])
    if not counts:
        return None
    kind, count = max(counts.items(), key=lambda item: item[1])
    if count < 0.5 * known:
        return None
    return Sign(kind, 0.75, [f"{count} of {known} error texts of the run speak of it, such as: {example[kind]}"])
