"""What was done to a service under load (a replica killed, a version replaced) and what it cost, for page and terminal."""

from dataclasses import dataclass

from reports import quantities as q
from reports.documents import Document, listed, section, texts


@dataclass(frozen=True)
class Step:
    at: str
    what: str
    replica: str


@dataclass(frozen=True)
class Incident:
    sentences: list[str]  # English, as the run wrote them
    steps: list[Step]


def incident_of(summary: Document) -> tuple[str, Document] | None:
    """(shape, what the run found of it)."""
    return next(((shape, found) for shape in ("failover", "rollout") if (found := section(summary, shape))), None)


def incident(summary: Document) -> Incident | None:
    shape_and_found = incident_of(summary)
    if shape_and_found is None:
        return None
    found = shape_and_found[1]
    steps = [
        Step(
            q.shown(step.get("at_s"), q.number),
            str(step.get("what")),
            str(step.get("replica") or step.get("strategy") or ""),
        )
        for step in listed(found, "steps")
    ]
    return Incident(texts(found.get("sentences")), steps)
