"""A run's documents as plain dicts; what is missing or damaged is named, never fatal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory

EXPECTED = ("run", "summary", "validity")
OPTIONAL = ("plan", "search", "verification", "verdict")

Document = dict[str, Any]


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
        return str(section(self.run, "contract", "target").get("name") or self.identity)

    @property
    def stages(self) -> list[Document]:
        """Measured stages in their order; warm-up is not among them."""
        stages = [stage for stage in listed(self.summary, "stages") if not stage.get("warmup")]
        return stages or ([self._whole_run()] if self.summary.get("endpoints") else [])

    def _whole_run(self) -> Document:
        return {"name": "run", "start_s": 0, "whole_run": True} | self.summary

    @property
    def endpoints(self) -> list[str]:
        return [str(name) for name in section(self.summary, "endpoints")]

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


def quantile(entry: Document, metric: str, name: str) -> float | None:
    """`name` (p95, mean, …) of a distribution such as response_ms; None where null or absent."""
    value = section(entry, metric).get(name)
    return float(value) if isinstance(value, int | float) else None


def doubt(entry: Document, metric: str, name: str) -> tuple[float, float] | None:
    """The 95 % interval of that quantile."""
    ends = section(entry, metric, "ci95").get(name)
    return (float(ends[0]), float(ends[1])) if isinstance(ends, list) and len(ends) == 2 else None


def entry_of(stage: Document, endpoint: str) -> Document:
    return section(stage, "all") if endpoint == "all" else section(stage, "endpoints", endpoint)


def level_rps(stage: Document) -> float | None:
    """The load that a stage stood for: what was offered, or in a closed loop what came back."""
    offered = stage.get("offered_rps")
    value = offered if isinstance(offered, int | float) else stage.get("achieved_rps")
    return float(value) if isinstance(value, int | float) else None


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
