"""A run's documents as plain dicts; what is missing or damaged is named, never fatal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory

EXPECTED = ("run", "summary", "validity")
OPTIONAL = ("plan", "search", "verification", "verdict")

Document = dict[str, Any]
ALIKE = 1.02  # requests per arrival up to which the two are not told apart


@dataclass(frozen=True)
class Documents:
    """Each document is {} where its file is not there; `missing` says so for those that every run should have."""

    identity: str
    run: Document
    summary: Document
    validity: Document
    plan: Document
    search: Document
    verification: Document
    verdict: Document
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The target's name; without run.json the part of the directory's name that holds it."""
        named = section(self.run, "contract", "target").get("name") or self.run.get("name")
        return str(named or re.sub(r"^\d{8}T\d{6}Z-(.+)-[0-9a-f]{6}$", r"\1", self.identity))

    @property
    def stages(self) -> list[Document]:
        """Measured stages in their order; warm-up is not among them."""
        stages = [stage for stage in listed(self.summary, "stages") if not stage.get("warmup")]
        return stages or ([self._whole_run()] if self.summary.get("endpoints") else [])

    def _whole_run(self) -> Document:
        return {"name": "run", "start_s": 0, "whole_run": True} | self.summary

    @property
    def endpoints(self) -> list[str]:
        """Those with a limit of their own first, then by requests."""
        limited = {finding.get("endpoint") for finding in listed(self.summary, "slo")}
        found = section(self.summary, "endpoints")
        return sorted(
            found, key=lambda name: (name not in limited, -(amount(section(found, name), "count") or 0), name)
        )

    def why_null(self, *keys: str) -> str:
        """The reason that the summary gives for a null, or an empty text."""
        return str(section(self.summary, "why_null").get(".".join(keys), ""))


def read(run: RunDirectory) -> Documents:
    found: dict[str, Document] = {}
    missing: list[str] = []
    for name in (*EXPECTED, *OPTIONAL):
        found[name] = {}
        if name in OPTIONAL and not run.has(f"{name}.json"):
            continue
        try:
            document = run.read_json(f"{name}.json")
            found[name] = document if isinstance(document, dict) else {}
        except PlimsollError as error:
            missing.append(str(error))
    return Documents(run.identity, **found, missing=missing)


def section(document: Document, *keys: str) -> Document:
    """The table at `keys`, {} where any step is missing or null."""
    for key in keys:
        inner = document.get(key) if isinstance(document, dict) else None
        document = inner if isinstance(inner, dict) else {}
    return document


def listed(document: Document, key: str) -> list[Document]:
    """The list of tables at `key`; a single table counts as a list of one."""
    value = document.get(key)
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """A list of texts; a single text counts as a list of one, anything else as none."""
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def amount(document: Document, key: str) -> float | None:
    """A number in a document; None where it is null, absent or not a number."""
    value = document.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def quantile(entry: Document, metric: str, name: str) -> float | None:
    """`name` (p95, mean, …) of a distribution such as response_ms; None where null or absent."""
    return amount(section(entry, metric), name)


def doubt(entry: Document, metric: str, name: str) -> tuple[float, float] | None:
    """The 95 % interval of that quantile."""
    ends = section(entry, metric, "ci95").get(name)
    if isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends):
        return ends[0], ends[1]
    return None


def entry_of(stage: Document, endpoint: str) -> Document:
    return section(stage, "all") if endpoint == "all" else section(stage, "endpoints", endpoint)


def level_rps(stage: Document) -> float | None:
    """The load that a stage stood for: what was offered, or in a closed loop what came back."""
    offered = amount(stage, "offered_rps")
    return offered if offered is not None else amount(stage, "achieved_rps")


def requests_per_arrival(stage: Document) -> float:
    """How many requests an arrival made: 1, or more where it is a journey."""
    count, offered, duration_s = (
        amount(section(stage, "all"), "count"), amount(stage, "offered_rps"), amount(stage, "duration_s")
    )  # fmt: skip
    return max(1.0, count / (offered * duration_s)) if count and offered and duration_s else 1.0


def served_rps(stage: Document) -> float | None:
    """Arrivals a second that were answered as expected, beside those that were offered."""
    served = amount(stage, "ok_rps")
    served = served if served is not None else amount(stage, "achieved_rps")
    return served / requests_per_arrival(stage) if served is not None else None


def walk(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document with its dotted path."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from walk(value, f"{path}.{key}" if path else str(key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from walk(value, f"{path}.{index}")
    else:
        yield path, document
