"""The files that a plan names, so that it can be carried out where they are not: data, tokens, the locustfile."""

from __future__ import annotations

import copy
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from loadtests.plan import LoadPlan
from measurements.errors import UsageError

MOST_BYTES = 64 << 20


def pack(plan: LoadPlan) -> dict[str, Any]:
    """The plan as JSON with its files. Secrets are none of them: a contract has only names of environment variables."""
    files: list[dict[str, str]] = []
    contract = copy.deepcopy(plan.contract)
    total = 0
    for holder, key in _named(contract):
        path = _found(Path(plan.contract_folder), holder[key])
        data = path.read_bytes()
        total += len(data)
        holder[key] = f"{len(files)}"
        files.append({"suffix": path.suffix, "data": b64encode(data).decode()})
    locustfile = None
    if plan.locustfile:
        path = Path(plan.locustfile).resolve()
        data = path.read_bytes()
        total += len(data)
        locustfile = {"path": str(path), "data": b64encode(data).decode()}
    if total > MOST_BYTES:
        raise UsageError(
            f"the contract's files have {total / 2**20:.0f} MiB, and {MOST_BYTES >> 20} travel with a plan: shorten the data"
        )
    return {"plan": replace(plan, contract=contract).as_json(), "files": files, "locustfile": locustfile}


def unpack(packed: dict[str, Any], folder: Path) -> LoadPlan:
    """Writes the files into `folder`, under names of our own. A locustfile that lies here under the same path with the same
    text is taken where it is, with what it imports beside it."""
    plan = LoadPlan.from_json(packed["plan"])
    folder.mkdir(parents=True, exist_ok=True)
    contract = copy.deepcopy(plan.contract)
    for holder, key in _named(contract):
        number = int(holder[key])
        file = packed["files"][number]
        suffix = file["suffix"] if file["suffix"] in (".jsonl", ".csv", ".txt", ".gz", ".json") else ""
        path = folder / f"{number:03d}{suffix}"
        _keep(path, b64decode(file["data"]))
        holder[key] = path.name
    locustfile = None
    if packed["locustfile"]:
        data = b64decode(packed["locustfile"]["data"])
        here = Path(packed["locustfile"]["path"])
        if not (here.is_file() and _digest(here.read_bytes()) == _digest(data)):
            here = folder / "sent_locustfile.py"
            _keep(here, data)
        locustfile = str(here.resolve())
    if contract and contract["target"].get("locustfile"):
        contract["target"]["locustfile"] = locustfile
    return replace(plan, contract=contract, contract_folder=str(folder.resolve()), locustfile=locustfile)


def _keep(path: Path, data: bytes) -> None:
    """For our eyes only: identities' tokens are secrets."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def _named(contract: dict[str, Any] | None) -> Iterator[tuple[dict[str, Any], str]]:
    """(table, key) of every file name in a contract that a load process reads."""
    if contract is None:
        return
    for source in (contract.get("data") or {}).values():
        if isinstance(source, dict):
            for key in ("jsonl", "csv"):
                if source.get(key):
                    yield source, key
    users = contract.get("users") or {}
    if users.get("tokens"):
        yield users, "tokens"


def _found(folder: Path, name: str) -> Path:
    """As the contract looks its files up: beside it, then in the current folder."""
    beside = folder / name
    return beside if beside.exists() or not Path(name).exists() else Path(name)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
