"""Each deployment file is checked by something real where it is at hand; what was not checked is said.

Tools (nginx, promtool, docker compose) are run by the caller, who passes `run` in; libraries (botocore,
kubernetes-validate, PyYAML) are used where they are installed. Nothing here touches a disk or a cluster.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["valid", "invalid", "not validated"]
KUBERNETES = "1.30"


@dataclass(frozen=True)
class Ran:
    """A tool's exit code and what it said."""

    exit_code: int
    says: str


@dataclass(frozen=True)
class ToolRun:
    """`argv` with {folder} where `files` (name → text) are to be written first."""

    argv: tuple[str, ...]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Validated:
    file: str
    state: State
    by: str
    says: str

    def as_json(self) -> dict[str, str]:
        return self.__dict__.copy()


Run = Callable[[ToolRun], Ran | None]
"""Writes the files, runs the tool, returns None where there is no such tool."""


def validate(files: Mapping[str, str], run: Run) -> list[Validated]:
    """One finding per file."""
    return [_CHECKS.get(name.split(".")[0], _unknown)(name, text, run) for name, text in files.items()]


def _nginx(name: str, text: str, run: Run) -> Validated:
    """`nginx -t` on a copy whose replicas and ports are local: it looks every name up, and may not bind port 80."""
    local = re.sub(r"server app-(\d+):\d+", r"server 127.0.0.1:1\g<1>", text)
    local = re.sub(r"listen \d+;", "listen 127.0.0.1:18999;", local)
    folders = "".join(
        f"    {kind}_temp_path {{folder}}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    local = local.replace("http {\n", f"http {{\n    access_log off;\n{folders}", 1)
    local = "pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n" + local
    done = run(ToolRun(("nginx", "-t", "-p", "{folder}", "-c", "{folder}/nginx.conf"), {"nginx.conf": local}))
    return _by_tool(name, "nginx -t", done, "with local addresses in place of the replicas' names")


def _promtool(name: str, text: str, run: Run) -> Validated:
    done = run(ToolRun(("promtool", "check", "rules", "{folder}/rules.yaml"), {"rules.yaml": text}))
    return _by_tool(name, "promtool check rules", done, "form and expressions; that the metrics exist is not checked")


def _compose(name: str, text: str, run: Run) -> Validated:
    there = run(ToolRun(("docker", "compose", "version"), {}))
    if there is not None and there.exit_code == 0:
        files = {"compose.yaml": text, ".env": "IMAGE=example:latest\n", "nginx.conf": ""}
        done = run(ToolRun(("docker", "compose", "-f", "{folder}/compose.yaml", "config", "--quiet"), files))
        return _by_tool(name, "docker compose config", done, "")
    problem = _yaml_problem(text)
    if problem is None:
        return Validated(
            name, "not validated", "PyYAML", "docker compose is not here; it is well-formed YAML, no more was checked"
        )
    return Validated(name, "not validated" if "not installed" in problem else "invalid", "PyYAML", problem)


def _kubernetes(name: str, text: str, run: Run) -> Validated:
    kubernetes_validate, yaml = _library("kubernetes_validate"), _library("yaml")
    if kubernetes_validate is None or yaml is None:
        return Validated(
            name, "not validated", "kubernetes-validate", "not installed; pip install 'plimsoll[validate]'"
        )
    kinds = []
    for document in yaml.safe_load_all(text):
        kinds.append(str(document.get("kind")))
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except Exception as error:  # its errors have no common base
            return Validated(
                name, "invalid", f"schemas of Kubernetes {KUBERNETES}", f"{kinds[-1]}: {str(error).splitlines()[0]}"
            )
    return Validated(
        name, "valid", f"schemas of Kubernetes {KUBERNETES}", f"{', '.join(kinds)}; no cluster has seen it"
    )


def _ecs(name: str, text: str, run: Run) -> Validated:
    session, checks = _library("botocore.session"), _library("botocore.validate")
    if session is None or checks is None:
        return Validated(name, "not validated", "botocore", "not installed; pip install 'plimsoll[validate]'")
    operation = "RegisterTaskDefinition" if "task" in name else "CreateService"
    shape = session.get_session().get_service_model("ecs").operation_model(operation).input_shape
    report = checks.ParamValidator().validate(json.loads(text), shape)
    if report.has_errors():
        return Validated(name, "invalid", f"botocore, {operation}", report.generate_report())
    return Validated(
        name, "valid", f"botocore, {operation}", "form of the call; AWS has not seen it, placeholders are yours"
    )


def _unknown(name: str, text: str, run: Run) -> Validated:
    return Validated(name, "not validated", "", "no check is known for this kind of file")


def _by_tool(name: str, tool: str, done: Ran | None, note: str) -> Validated:
    if done is None:
        return Validated(name, "not validated", tool, _not_here(tool.split(maxsplit=1)[0]))
    if done.exit_code == 0:
        return Validated(name, "valid", tool, note)
    return Validated(name, "invalid", tool, " ".join(done.says.split())[:500])


def _not_here(program: str) -> str:
    package = {"promtool": "; it is in Debian's package prometheus"}.get(program, "")
    return f"{program} is not installed here{package}"


def _library(name: str) -> Any:
    """An optional module, None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _yaml_problem(text: str) -> str | None:
    yaml = _library("yaml")
    if yaml is None:
        return "docker compose is not here and PyYAML is not installed"
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        return " ".join(str(error).split())
    return None


_CHECKS: dict[str, Callable[[str, str, Run], Validated]] = {
    "nginx": _nginx,
    "prometheus-rules": _promtool,
    "compose": _compose,
    "kubernetes": _kubernetes,
    "ecs-task-definition": _ecs,
    "ecs-service": _ecs,
}


def as_document(found: list[Validated]) -> dict[str, Any]:
    """For plan.json: what was validated by what, and what was not."""
    return {
        "validated": [one.as_json() for one in found],
        "not_validated": [one.file for one in found if one.state == "not validated"],
        "all_that_was_checked_is_valid": all(one.state != "invalid" for one in found),
    }
