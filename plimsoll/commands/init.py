"""plimsoll init: a contract from what a running service says about itself. It asks nothing and changes nothing."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measurements.errors import ContractError, Exit, TargetUnreachable, UsageError
from plimsoll import first_look, permission
from plimsoll.first_look import Look
from targets.contract import Contract
from targets.openapi import toml
from targets.openapi.contract_lines import Place, lines
from targets.openapi.document import OpenApi
from targets.openapi.endpoints import Found, found_in
from targets.urls import base_url, resolve

SHOWN = {"health": "health: asked by check, not loaded", "other": "answers"}
PASTED = re.compile(r"/(docs|redoc|openapi\.json)/?$")


def init(url: str, output: Path, force: bool, as_json: bool) -> None:
    base = _base(url)
    if output.exists() and not force:
        raise UsageError(f"{output} is there already; write elsewhere with -o FILE, or over it with --force")
    permission.check(base, resolve(base), 0.0)
    look = first_look.look(base)
    if look.reached is False:
        mend = "start the service" if "refused" in look.why else "correct the URL or start the service"
        raise TargetUnreachable(f"{base} does not answer ({look.why}); {mend}, then: plimsoll init URL")
    if look.openapi is None:
        _without_description(base, look, as_json)
    document = _document(look)
    name = _name(document.title, base)
    found = found_in(document, _variable(name))
    place = Place(
        name=name,
        base_url=base,
        source=f'{base}{look.openapi_path} ("{document.title}" {document.version})',
        day=date.today().isoformat(),  # noqa: DTZ011  the reader's own day
        port=look.port,
        process=look.process,
        start=look.start,
        ready=_ready(found, look),
        prometheus=look.prometheus,
        metrics=look.metrics,
        workers=look.workers,
    )
    loaded = [one for one in found if one.judged.enabled and one.judged.kind != "health"]
    if not loaded:
        print("\n".join(_listed(found)), file=sys.stderr)
        raise UsageError(
            f"{base}{look.openapi_path} describes {len(found)} operations and none that a load may call unasked; write the "
            "contract by hand, starting with:\n" + "\n".join(_skeleton(base, look))
        )
    text = "\n".join(lines(place, found, str(output))).rstrip() + "\n"
    _prove(text, output)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}); name another file with -o FILE") from error
    secrets = sorted({name for one in loaded for name in one.secrets})
    if as_json:
        print(json.dumps(_summary(output, place, found, secrets), ensure_ascii=False))
    else:
        print(
            "\n".join(
                [f"{output}: {name} at {base}", *_listed(found), *_observed(place, look), *_next(output, secrets)]
            )
        )


def _base(url: str) -> str:
    """The base URL that was meant: a scheme where none was typed, without /docs and /openapi.json."""
    meant = url if "://" in url or url.startswith(("unix:", "http:", "https:")) else f"http://{url}"
    meant = PASTED.sub("", meant).rstrip("/")
    try:
        base_url(meant)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return meant


def _document(look: Look) -> OpenApi:
    try:
        return OpenApi(look.openapi)
    except ValueError as error:
        raise UsageError(
            f"{look.openapi_path} is no OpenAPI document that can be read ({error}); write the contract by hand"
        ) from error


def _name(title: str, base: str) -> str:
    """The service's own title, unless it is the framework's default."""
    slug = re.sub(r"[\W_]+", "-", title.lower()).strip("-")[:40]
    parts = urlsplit(base)
    return slug if slug not in ("", "fastapi", "all") else f"service-{parts.port or parts.hostname or 'here'}"


def _variable(name: str) -> str:
    ascii_name = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return f"{ascii_name}_TOKEN" if ascii_name and not ascii_name[0].isdigit() else "SERVICE_TOKEN"


def _ready(found: list[Found], look: Look) -> str:
    described = [str(one.entry["path"]) for one in found if one.judged.enabled and one.judged.kind == "health"]
    return look.health or (described[0] if described else "/")


def _prove(text: str, output: Path) -> None:
    """What is written is a contract: anything else would be our defect, and is said before a file is there."""
    import tomllib

    from pydantic import ValidationError

    try:
        Contract.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ContractError([f"{output} was not written: what was read does not make a contract ({first})"]) from error


def _listed(found: list[Found]) -> list[str]:
    width = max((len(one.operation) for one in found), default=0)
    rows = []
    for one in sorted(found, key=lambda one: not one.judged.enabled):
        what = SHOWN.get(one.judged.kind, one.judged.kind)
        rows.append(f"  {'on ' if one.judged.enabled else 'off'}  {one.operation:<{min(width, 60)}}  "
                    f"{what if one.judged.enabled else one.judged.why}")  # fmt: skip
    return rows


def _observed(place: Place, look: Look) -> list[str]:
    metrics = f", metrics on {place.prometheus}" if place.prometheus else ""
    health = f", health on {look.health}" if look.health else ""
    return [f"  watching: {place.process}{metrics}{health}"]


def _next(output: Path, secrets: list[str]) -> list[str]:
    exports = [f"      export {name}=…" for name in secrets]
    steps = [
        f"      plimsoll check {output}",
        f"      plimsoll run {output} --shape breakpoint",
        "      plimsoll plan runs/latest --demand RPS      (RPS: your busiest second's requests)",
    ]
    return ["next:", *exports, *steps]


def _summary(output: Path, place: Place, found: list[Found], secrets: list[str]) -> dict[str, Any]:
    return {
        "contract": str(output),
        "target": place.name,
        "base_url": place.base_url,
        "endpoints": [
            {"operation": one.operation, "name": one.entry.get("name"), "kind": one.judged.kind,
             "enabled": one.judged.enabled, "why_off": one.judged.why or None}
            for one in found
        ],
        "observe": {"port": place.port, "process": place.process, "prometheus": place.prometheus or None},
        "environment": secrets,
    }  # fmt: skip


def _without_description(base: str, look: Look, as_json: bool) -> None:
    """No OpenAPI: what to write, to standard output, so that it can go straight into a file."""
    skeleton = _skeleton(base, look)
    sentence = (
        f"plimsoll: {base} has no OpenAPI description (tried {', '.join(first_look.DESCRIPTIONS)}); save the lines above as "
        "plimsoll.toml, put one request that it answers in the place of path (and json), then: plimsoll check plimsoll.toml"
    )
    print(json.dumps({"contract": None, "skeleton": "\n".join(skeleton)}) if as_json else "\n".join(skeleton))
    print(sentence, file=sys.stderr)
    raise SystemExit(int(Exit.USAGE))


def _skeleton(base: str, look: Look) -> list[str]:
    found = ["[target]", toml.assigned("name", _name("", base)), toml.assigned("base_url", base), ""]
    if look.prometheus:
        found += ["[target.observe]", toml.assigned("prometheus", look.prometheus), ""]
    found += [
        "[[endpoint]]", 'name = "ask"', 'kind = "generation"                     # or search, health, other',
        'method = "POST"', 'path = "/api/ask"                       # yours', 'json = { question = "{{question}}" }',
        'expect = { json_path = "$.answer" }     # what an answer must hold', "",
        "[data.question]", 'text = "en"                             # or ko; jsonl = "questions.jsonl" for real ones',
    ]  # fmt: skip
    if look.health:
        found += [
            "",
            "[[endpoint]]",
            'name = "health"',
            'kind = "health"',
            toml.assigned("path", look.health),
            "weight = 0",
        ]
    return found
