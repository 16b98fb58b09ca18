"""What the contract's limits and the known traps did in a run, as rows: what it met first."""

from dataclasses import dataclass

from reports.documents import Documents, listed
from reports.key_figures import Tone
from reports.tables import Mark
from reports.wording import Words

TRAP_TONES: dict[str, Tone] = {"binds": "bad", "costs": "warn", "declared": "warn"}


@dataclass(frozen=True)
class Row:
    mark: Mark
    sentence: str  # English, as the run wrote it


def limit_rows(documents: Documents, words: Words) -> list[Row]:
    return [
        Row(
            Mark(words("policy.binds"), "warn") if limit.get("binds") else Mark(words("policy.not_reached"), "good"),
            str(limit.get("sentence")),
        )
        for limit in listed(documents.summary, "limits")
    ]


def trap_rows(documents: Documents, words: Words) -> list[Row]:
    return [
        Row(Mark(words.known("policy", state), TRAP_TONES.get(state, "warn")), str(trap.get("sentence")))
        for trap in listed(documents.summary, "traps")
        for state in [str(trap.get("state"))]
    ]
