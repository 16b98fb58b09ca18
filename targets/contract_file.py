"""Reads a contract; every finding is a sentence with file, key, what is allowed, and the nearest valid spelling."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from measurements.errors import ContractError, UsageError
from targets.contract import Contract
from targets.sources import DataField

ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
UNFINISHED_ENV = re.compile(r"\$\{(?!env:[A-Za-z_][A-Za-z0-9_]*\})[^}]*\}?")


def load(path: Path) -> Contract:
    """The checked contract. ContractError holds a sentence per finding; UsageError when there is no such file."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no contract {path}; write one with: plimsoll init URL -o {path.name}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; name the contract file in it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); it must be a UTF-8 text file in TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise ContractError([f"{path}: not TOML: {error}"]) from error
    return parse(raw, path)


def parse(raw: dict[str, Any], path: Path) -> Contract:
    try:
        contract = Contract.model_validate(raw)
    except ValidationError as error:
        raise ContractError(_sentences(path, raw, error)) from None
    contract._folder = path.resolve().parent
    findings = [f"{path}: {finding}" for finding in _environment(contract) + _files(contract)]
    if findings:
        raise ContractError(findings)
    return contract


def secrets_filled(value: str) -> str:
    """The header value with every ${env:NAME} replaced; only ever called where the request is built."""
    return ENV.sub(lambda match: os.environ[match.group(1)], value)


def secret_values(contract: Contract) -> list[str]:
    """Every value that must appear in no artefact: what ${env:NAME} stands for, and the identities' tokens."""
    texts = [value for endpoint in contract.endpoint for value in endpoint.header.values()]
    texts += contract.users.header.values()
    found = [os.environ[name] for text in texts for name in ENV.findall(text) if name in os.environ]
    if contract.users.tokens:
        found += contract.beside(contract.users.tokens).read_text(encoding="utf-8").split()
    return found


def _environment(contract: Contract) -> list[str]:
    findings = []
    headers = {f"endpoint {e.name}": e.header for e in contract.endpoint if e.enabled} | {
        "users": contract.users.header
    }
    for where, header in headers.items():
        for key, value in header.items():
            for name in ENV.findall(value):
                if name not in os.environ:
                    findings.append(
                        f"{where}: header {key} needs the environment variable {name}; set it with: export {name}=…"
                    )
            for unfinished in UNFINISHED_ENV.findall(value):
                findings.append(f"{where}: header {key} has {unfinished!r}; secrets are written ${{env:NAME}}")
    return findings


def _files(contract: Contract) -> list[str]:
    named = {
        f"data.{name}.{kind}": getattr(field, kind)
        for name, field in contract.data.fields.items()
        for kind in ("jsonl", "csv")
    }
    named |= {"target.locustfile": contract.target.locustfile, "users.tokens": contract.users.tokens}
    return [
        f"{key}: there is no file {name!r} beside the contract ({contract.folder}) or in the current folder"
        for key, name in named.items()
        if name and not contract.beside(name).is_file()
    ]


def _sentences(path: Path, raw: dict[str, Any], error: ValidationError) -> list[str]:
    """One sentence per place: a union reports each of its branches, of which the first says enough."""
    found: dict[str, str] = {}
    for finding in error.errors():
        place = ".".join(str(part) for part in finding["loc"] if not _is_type_tag(part))
        found.setdefault(place, _sentence(path, raw, finding))
    return list(found.values())


def _sentence(path: Path, raw: dict[str, Any], finding: Any) -> str:
    location = [part for part in finding["loc"] if not _is_type_tag(part)]
    key = _dotted(location, raw)
    kind, context, given = finding["type"], finding.get("ctx") or {}, finding.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"
        return f"{path}: unknown key {key}{hint}"
    if kind == "missing":
        return f"{path}: {key} is missing; it is required"
    if kind == "value_error":
        return f"{path}: {key + ': ' if key else ''}{context.get('error', finding['msg'])}"
    if kind == "literal_error":
        expected = [word.strip(" '") for word in re.split(r",| or ", str(context["expected"]))]
        close = difflib.get_close_matches(str(given), expected, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{path}: {key} is {given!r}; allowed: {context['expected']}{hint}"
    message = finding["msg"][0].lower() + finding["msg"][1:]
    return f"{path}: {key} is {_short(given)}; {message.replace('input should', 'it should')}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_type_tag(part: Any) -> bool:
    """Parts that pydantic adds for a branch of a union; no key of ours looks like them."""
    return isinstance(part, str) and (part in {"float", "int", "str", "bool"} or "[" in part or "-" in part)


def _dotted(location: list[Any], raw: Any) -> str:
    """endpoint[1].timeout_s, with the endpoint's name where it has one: endpoint[1] "search".timeout_s."""
    text, here = "", raw
    for part in location:
        here = here[part] if isinstance(here, (dict, list)) and _holds(here, part) else None
        if isinstance(part, int):
            named = here.get("name") if isinstance(here, dict) else None
            text += f'[{part}] "{named}"' if named else f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _holds(container: Any, part: Any) -> bool:
    return part in container if isinstance(container, dict) else isinstance(part, int) and part < len(container)


def _known_keys(location: list[Any]) -> list[str]:
    """The keys that the section at `location` may have, as they are written in TOML."""
    model: Any = Contract
    for part in location:
        if isinstance(part, int):
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            break
        fields = {info.alias or name: info.annotation for name, info in model.model_fields.items()}
        if part in fields:
            model = _model_in(fields[part])
        elif model.__name__ == "Data":
            model = DataField
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _model_in(annotation: Any) -> Any:
    """The model inside list[Model], dict[str, Model] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
