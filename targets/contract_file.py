"""Reads a contract; every finding is a sentence with file, key, what is allowed, and the nearest valid spelling."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from measurements.errors import ContractError, UsageError
from targets.contract import Contract, Slo
from targets.sources import DataField

CREDENTIAL_NAME = re.compile(r"(?i)authorization|cookie|token|secret|api[-_]?key|passw|credential")
DATA_KEYS = ("repeat", "seed")
FORMS = {  # by the key's last part: what a string there must look like
    "name": "it must not be empty, over 80 characters or hold control characters",
    "path": "it starts with / and has no spaces, e.g. /api/search",
    "ready": "it starts with / and has no spaces, e.g. /health",
    "per_client": "write COUNT/UNIT, e.g. 10/minute or 100/60 seconds",
    "rate": "write COUNT/UNIT, e.g. 10/second or 100/60 seconds",
    "json_path": "write $ and steps, e.g. $.choices[0].text",
    "header": "a header holds no line break, its name no space or colon",
    "client_key": "write address, or header:NAME, e.g. header:X-Api-Key",
    "addresses": "write a loopback network, e.g. 127.0.1.0/24",
}
ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
UNFINISHED_ENV = re.compile(r"\$\{(?!env:[A-Za-z_][A-Za-z0-9_]*\})[^}]*\}?")


def load(path: Path) -> Contract:
    """The checked contract. ContractError holds a sentence per finding; UsageError when there is no such file.

    `kakao` and `targets/kakao.toml` name the shipped contract wherever no file of that name lies.
    """
    path = _shipped(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(_no_contract(path)) from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; name the contract file in it") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is no text in UTF-8 (at byte {error.start}); a contract is a text file in TOML"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); give yourself the right to read it") from error
    except tomllib.TOMLDecodeError as error:
        raise ContractError([f"{path}: not TOML: {error}"]) from error
    return parse(raw, path)


def _no_contract(path: Path) -> str:
    if path.parts[0] in ("http:", "https:"):
        return f"{path} is a URL, and a contract is a file; write one with: plimsoll init URL -o plimsoll.toml"
    beside = [file.name for file in path.parent.glob("*.toml")]
    if close := difflib.get_close_matches(path.name, beside, n=1):
        return f"there is no contract {path}; did you mean {path.with_name(close[0])}?"
    return f"there is no contract {path}; write one with: plimsoll init URL -o {path.with_suffix('.toml').name}"


def _shipped(path: Path) -> Path:
    own = Path(__file__).parent / f"{path.name.removesuffix('.toml')}.toml"
    return own if not path.exists() and str(path.parent) in (".", "targets") and own.is_file() else path


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


def secrets_filled(value: str, fill: Callable[[str], str] = str) -> str:
    """The header value with every ${env:NAME} replaced and `fill` applied to what stands between them (so that neither
    a secret nor data is ever read as a template). Only ever called where the request is built."""
    parts = ENV.split(value)
    return "".join(os.environ[part] if k % 2 else fill(part) for k, part in enumerate(parts))


def secret_values(contract: Contract) -> list[str]:
    """Every value that must appear in no artefact: what ${env:NAME} stands for, credentials written out, and the
    identities' tokens."""
    headers = [*(endpoint.header for endpoint in contract.endpoint), contract.users.header]
    found = []
    for name, text in ((name, text) for header in headers for name, text in header.items()):
        found += [os.environ[variable] for variable in ENV.findall(text) if variable in os.environ]
        if _is_literal_credential(name, text):
            found += [text, text.rpartition(" ")[2]]
    control = contract.target.control
    for env in [control.env, *(need.env for need in control.needs)] if control else []:
        found += [text for name, text in env.items() if _is_literal_credential(name, text)]
    return found + tokens(contract)


def without_credentials(document: Any) -> Any:
    """A contract as it may be written to disk: credentials that stand in headers or env as plain text become ***."""
    if isinstance(document, list):
        return [without_credentials(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    return {
        key: {name: "***" if _is_literal_credential(name, text) else text for name, text in value.items()}
        if key in ("header", "env") and isinstance(value, dict)
        else without_credentials(value)
        for key, value in document.items()
    }


def _is_literal_credential(name: str, text: Any) -> bool:
    return isinstance(text, str) and bool(CREDENTIAL_NAME.search(name)) and not ENV.search(text) and "{{" not in text


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
    named |= {f"endpoint {e.name}: tokenizer": e.tokenizer for e in contract.endpoint if e.enabled}
    findings = [
        f"{key}: there is no file {_short(name)} beside the contract ({contract.folder}) or in the current folder"
        for key, name in named.items()
        if name is not None and not _is_file(contract, name)
    ]
    locustfile = contract.target.locustfile
    if locustfile and not findings and not locustfile.endswith(".py"):
        findings.append(f"target.locustfile is {_short(locustfile)}; it is a Python file, whose name ends with .py")
    if not findings:
        try:
            tokens(contract)
        except UnicodeDecodeError as error:
            findings.append(f"users.tokens: {contract.users.tokens} is no text in UTF-8 (at byte {error.start})")
    return findings


def tokens(contract: Contract) -> list[str]:
    """Of the identities; none where the contract names no file of them."""
    named = contract.users.tokens
    return contract.beside(named).read_text(encoding="utf-8").split() if named else []


def _is_file(contract: Contract, name: str) -> bool:
    try:
        return contract.beside(name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _sentences(path: Path, raw: dict[str, Any], error: ValidationError) -> list[str]:
    """One sentence per place. Of a union's branches the one that got furthest speaks, else the first; a misspelt key is
    not reported as missing too."""
    findings = error.errors()
    places = [_location(finding["loc"], raw) for finding in findings]
    both = list(zip(places, findings, strict=True))
    misspelt = [[*place[:-1], _nearest(place)] for place, finding in both if _is_unknown(place, finding)]
    found: dict[str, str] = {}
    for place, finding in sorted(both, key=lambda one: one[1]["type"] != "too_long"):  # it got as far as a list
        tagged = len(place) < len(finding["loc"])
        further = any(len(other) > len(place) and other[: len(place)] == place for other in places)
        if (tagged and further) or (finding["type"] == "missing" and place in misspelt):
            continue
        found.setdefault(repr(place), _sentence(path, raw, place, finding))
    return list(found.values())


def _sentence(path: Path, raw: dict[str, Any], location: list[Any], finding: Any) -> str:
    key = _dotted(location, raw)
    kind, context, given = finding["type"], finding.get("ctx") or {}, finding.get("input")
    if _is_unknown(location, finding):
        known, close = _known_keys(location[:-1]), _nearest(location)
        hint = f"; did you mean {close}?" if close else f"; known here: {', '.join(known)}" if known else ""
        return f"{path}: unknown key {key}{hint}"
    if kind == "missing":
        return f"{path}: {key} is missing; it is required"
    if kind == "value_error":
        return f"{path}: {key + ': ' if key else ''}{context.get('error', finding['msg'])}"
    if kind == "literal_error":
        expected = [word.strip(" '") for word in re.split(r",| or ", str(context["expected"]))]
        nearest = difflib.get_close_matches(str(given), expected, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return f"{path}: {key} is {_short(given)}; allowed: {context['expected']}{hint}"
    if kind in ("model_type", "dict_type"):
        if location[0] == "slo" and location[-1] in Slo.model_fields:
            return f"{path}: {key} stands in no endpoint's table; write [slo.all], or [slo.NAME] for one endpoint"
        return f"{path}: {key} is {_short(given)}; it should be a table"
    if kind == "string_pattern_mismatch" or (kind.startswith("string_too") and given is not None):
        form = next(
            (FORMS[part] for part in reversed(location) if part in FORMS), f"it must match {context.get('pattern')}"
        )
        if location[-3:-2] == ["needs"] and location[-1] == "name":
            form = "it becomes {NAME_url}: write lower-case letters, digits and _, e.g. llm"
        return f"{path}: {key} is {_short(given)}; {form}"
    if kind in ("tuple_type", "too_long", "missing_argument"):
        return f"{path}: {key} is {_short(given)}; it should be [low, high]"
    message = finding["msg"][0].lower() + finding["msg"][1:]
    message = message.replace("a valid integer", "a whole number").replace("a valid boolean", "true or false")
    return f"{path}: {key} is {_short(given)}; {message.replace('input should', 'it should')}"


def _short(value: Any) -> str:
    """As it stands in the file, not as Python writes it."""
    text = repr(value) if isinstance(value, str | float | int) and not isinstance(value, bool) else _toml(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _location(parts: tuple[Any, ...], raw: Any) -> list[Any]:
    """Without the parts that pydantic adds for a branch of a union: they look like a type and are no key in the file."""
    found: list[Any] = []
    here = raw
    for part in parts:
        held = _holds(here, part)
        if isinstance(part, str) and not held and (part in {"float", "int", "str", "bool"} or set(part) & set("[-")):
            continue
        found.append(part)
        here = here[part] if held else None
    return found


def _is_unknown(location: list[Any], finding: Any) -> bool:
    """A key that its section does not have. Every table in [data] is a field; anything else there is a misspelt key."""
    in_data = len(location) == 2 and location[0] == "data" and not isinstance(finding.get("input"), dict)
    return finding["type"] == "extra_forbidden" or (
        in_data and bool(_nearest(location)) and location[1] not in DATA_KEYS
    )


def _nearest(location: list[Any]) -> str:
    close = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1, cutoff=0.5)
    return close[0] if close else ""


def _dotted(location: list[Any], raw: Any) -> str:
    """endpoint[1].timeout_s, with the endpoint's name where it has one: endpoint[1] "search".timeout_s."""
    text, here = "", raw
    for part in location:
        here = here[part] if _holds(here, part) else None
        if isinstance(part, int):
            named = str(here.get("name") or "") if isinstance(here, dict) else ""
            text += f'[{part}] "{_short(named)[1:-1]}"' if named else f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _holds(container: Any, part: Any) -> bool:
    if isinstance(container, list):
        return isinstance(part, int) and part < len(container)
    return isinstance(container, dict) and part in container


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
