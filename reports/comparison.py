"""Two runs beside each other: what differs between them, and which figures can be told apart.

Two runs at two times also differ by what the machine did meanwhile, which no interval of either holds. So this shows
and never judges: `plimsoll gate` interleaves both versions and does.
"""

from dataclasses import dataclass
from typing import Any

from measurements.rundir import RunDirectory
from reports import documents as docs
from reports import quantities as q
from reports.charts.forest import forest
from reports.documents import Document, Documents, amount, doubt, entry_of, quantile, section
from reports.page import page_of
from reports.wording import Words

QUANTILES = ("mean", "p50", "p95", "p99")
SAME_LEVEL = 0.1  # stages of one name are compared where their offered rates differ by less; runs where all stages do
ANOTHER = "another_load"
SETTINGS = (
    ("contract", "target", "name"), ("git_commit",), ("host", "cpu_model"), ("host", "cores"), ("schedule", "loop"),
    ("schedule", "process"), ("contract", "resources", "workers"), ("versions", "plimsoll"),
)  # fmt: skip

Ends = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """A figure with its 95 % interval; either may be missing."""

    value: float | None
    ci95: Ends | None


def compare(first: RunDirectory, second: RunDirectory) -> Document:
    """The document: `differences` in circumstances, and `comparisons` with ratio second / first and its bounds.

    `range` bounds the ratio by both intervals, [low/high, high/low]: wider than a 95 % interval of the ratio.
    `state`: higher, lower, not_told_apart (the range holds 1), unknown (a side has no value or no interval), or, of the whole
    runs where they were not driven alike, another_load.
    """
    a, b = docs.read(first), docs.read(second)
    alike = _driven_alike(a, b)
    return {
        "schema": 1,
        "a": _identity(a),
        "b": _identity(b),
        "differences": [
            {"what": " ".join(path), "a": left, "b": right}
            for path in SETTINGS
            if (left := _setting(a.run, path)) != (right := _setting(b.run, path))
        ],
        "driven_alike": alike,
        "comparisons": [one if alike else one | {"state": ANOTHER} for one in _whole_run(a, b)] + _by_stage(a, b),
        "missing": a.missing + b.missing,
    }


def _identity(read: Documents) -> Document:
    valid = read.validity.get("valid", read.summary.get("valid"))
    return {
        "run": read.identity, "name": read.name, "valid": valid, "command": read.run.get("command"), "rates_rps": _rates(read)
    }  # fmt: skip


def _rates(read: Documents) -> list[float]:
    """What each stage was offered, lowest first; none of a closed loop, whose rate is the service's answer."""
    return sorted(rate for stage in read.stages if (rate := amount(stage, "offered_rps")))


def _driven_alike(a: Documents, b: Documents) -> bool:
    mine, its = _rates(a), _rates(b)
    return len(mine) == len(its) and all(abs(y / x - 1) <= SAME_LEVEL for x, y in zip(mine, its, strict=True))


def _setting(document: Document, path: tuple[str, ...]) -> Any:
    return section(document, *path[:-1]).get(path[-1])


def _whole_run(a: Documents, b: Documents) -> list[Document]:
    found = []
    for name in ["all", *(name for name in a.endpoints if name in b.endpoints)]:
        left, right = entry_of(a.summary, name), entry_of(b.summary, name)
        if not left or not right:
            continue
        found += [
            _compared("", name, f"{metric}_ms", _side(left, metric), _side(right, metric)) for metric in QUANTILES
        ]
        shares = [Side(amount(entry, "error_rate"), None) for entry in (left, right)]
        found.append(_compared("", name, "error_rate", *shares))
    rates = [Side(amount(read.summary, "achieved_rps"), None) for read in (a, b)]
    return [*found, _compared("", "all", "achieved_rps", *rates)] if found else []


def _by_stage(a: Documents, b: Documents) -> list[Document]:
    others = {str(stage.get("name")): stage for stage in b.stages}
    found = []
    for stage in a.stages if len(a.stages) > 1 else []:
        other = others.get(str(stage.get("name")), {})
        level, its_level = docs.level_rps(stage), docs.level_rps(other)
        if not level or not its_level or abs(its_level / level - 1) > SAME_LEVEL:
            continue
        for name in a.endpoints:
            left, right = entry_of(stage, name), entry_of(other, name)
            if left and right:
                found.append(_compared(str(stage["name"]), name, "p95_ms", _side(left, "p95"), _side(right, "p95")))
    return found


def _side(entry: Document, metric: str) -> Side:
    return Side(quantile(entry, "response_ms", metric), doubt(entry, "response_ms", metric))


def _compared(stage: str, endpoint: str, metric: str, a: Side, b: Side) -> Document:
    ratio = b.value / a.value if a.value and b.value is not None and metric != "error_rate" else None
    span = None
    if ratio is not None and a.ci95 and b.ci95 and min(*a.ci95, *b.ci95) > 0:
        span = (b.ci95[0] / a.ci95[1], b.ci95[1] / a.ci95[0])
    state = "unknown" if span is None else "higher" if span[0] > 1 else "lower" if span[1] < 1 else "not_told_apart"
    return {
        "stage": stage or None,
        "endpoint": endpoint,
        "metric": metric,
        "a": a.value,
        "a_ci95": list(a.ci95) if a.ci95 else None,
        "b": b.value,
        "b_ci95": list(b.ci95) if b.ci95 else None,
        "ratio": ratio,
        "range": list(span) if span else None,
        "state": state,
    }


def rows(document: Document, words: Words) -> list[dict[str, str]]:
    """The comparisons as written text, for HTML, Markdown and the terminal."""
    return [
        {
            "stage": str(one.get("stage") or words("comparison.whole_run")),
            "endpoint": str(one.get("endpoint")),
            "metric": words.known("slo", str(one.get("metric"))),
            "a": _written(one, "a"),
            "b": _written(one, "b"),
            "ratio": q.shown(one.get("ratio"), q.ratio),
            "range": q.span(one.get("range"), q.ratio),
            "state": words(f"comparison.{one.get('state')}"),
        }
        for one in docs.listed(document, "comparisons")
    ]


def _written(one: Document, side: str) -> str:
    formatter = q.by_key(str(one.get("metric")))
    value = q.shown(one.get(side), formatter)
    ends = q.span(one.get(f"{side}_ci95"), formatter)
    return value if ends == q.NOTHING else f"{value} ({ends})"


def remarks(document: Document, words: Words) -> list[str]:
    """What makes the two no pair at all."""
    a, b = section(document, "a"), section(document, "b")
    if a.get("run") == b.get("run"):
        return [words("comparison.itself")]
    if document.get("driven_alike") is False:
        return [words("comparison.loads", a=_span(a), b=_span(b))]
    return []


def _span(side: Document) -> str:
    rates = side.get("rates_rps") or []
    return q.between(rates[0], rates[-1], q.rate) if len(rates) > 1 else q.rate(rates[0]) if rates else q.NOTHING


def page(document: Document, lang: str = "en") -> str:
    """The document as one offline HTML page."""
    words = Words(lang)
    chart = forest(document, words)
    return page_of(
        "comparison.html.j2",
        words,
        a=section(document, "a"),
        b=section(document, "b"),
        differences=docs.listed(document, "differences"),
        remarks=remarks(document, words),
        rows=rows(document, words),
        charts=[chart] if chart else [],
    )


def lines(document: Document, lang: str = "en") -> list[str]:
    """For the terminal: what differs, then every figure that can be told apart, then how many cannot."""
    words = Words(lang)
    a, b = section(document, "a"), section(document, "b")
    found = [words("comparison.headline", a=a.get("run"), b=b.get("run"))]
    found += [words("comparison.invalid", run=side.get("run")) for side in (a, b) if side.get("valid") is not True]
    found += remarks(document, words)
    found += [words("comparison.differs", what=one["what"], a=one["a"], b=one["b"]) for one in document["differences"]]
    apart = {words("comparison.higher"), words("comparison.lower")}
    written = [row for row in rows(document, words) if row["state"] != words(f"comparison.{ANOTHER}")]
    for row in written:
        if row["state"] in apart:
            where = f"{row['stage']}, {row['endpoint']} {row['metric']}"
            found.append(f"  {where}: {row['a']} → {row['b']}, × {row['ratio']} [{row['range']}], {row['state']}")
    same = sum(row["state"] == words("comparison.not_told_apart") for row in written)
    unknown = len(written) - same - sum(row["state"] in apart for row in written)
    if written:
        found.append(words("comparison.rest", same=same, unknown=unknown))
    found.append(words("comparison.caution"))
    return ["".join(c if c.isprintable() else " " for c in line) for line in found]
