"""The users file: who may ask, and who may read all feedback."""

import json
from dataclasses import dataclass
from pathlib import Path

from targets.reference.settings import refuse

TOKEN_HEADER = "X-User-Token"
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    id: str
    role: str


def read_users(path: Path) -> dict[str, User]:
    """Users by token. A file that cannot be read ends in one sentence and exit code 2."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {row["token"]: User(row["id"], row["role"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse(f"encar: the users file {path} must be a JSON list of objects with id, role and token ({error}).")
