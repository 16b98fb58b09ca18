"""The files to run Plimsoll on several hosts: read by what would read them, with commands that exist and no secret."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from capacity.validation import KUBERNETES
from plimsoll.cli import app

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
CLUSTER: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes" / "plimsoll.yaml").read_text(encoding="utf-8"))
)
JOBS = {document["metadata"]["name"]: document for document in CLUSTER if document["kind"] == "Job"}


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = JOBS[name]["spec"]["template"]["spec"]
    return spec


def words(command: list[Any]) -> dict[str, Any]:
    """What the command line makes of a container's arguments; compose's ${NAME:-value} as their values."""
    plain = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(word)) for word in command]
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    return dict(run.make_context("run", plain[1:]).params)


@pytest.mark.parametrize("document", CLUSTER, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
def test_every_manifest_is_one_by_kubernetes_own_schemas(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_manifests_are_complete_and_fit_each_other() -> None:
    kinds = sorted({document["kind"] for document in CLUSTER})
    assert kinds == ["Job", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"]
    master, worker = (
        words(pod("plimsoll-master")["containers"][0]["args"]),
        words(pod("plimsoll-worker")["containers"][0]["args"]),
    )
    service = next(document for document in CLUSTER if document["kind"] == "Service")
    assert worker["join"] == service["metadata"]["name"] and service["spec"]["ports"][0]["port"] == 5557
    joined = JOBS["plimsoll-worker"]["spec"]
    assert master["workers"] == worker["workers"] * joined["parallelism"] == worker["workers"] * joined["completions"]
    assert master["master"] and master["bind"] == "0.0.0.0"
    for name in JOBS:  # credentials of a bucket for rows reach both sides, where there are any
        sources = pod(name)["containers"][0]["envFrom"]
        assert sources == [{"secretRef": {"name": "plimsoll-place", "optional": True}}]


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_pod_has_the_least_rights(name: str) -> None:
    spec = pod(name)
    assert spec["automountServiceAccountToken"] is False and spec["securityContext"]["runAsNonRoot"] is True
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "plimsoll-token"
    assert not [document for document in CLUSTER if "Role" in document["kind"]]  # no right on the cluster at all


def test_compose_leads_as_many_as_it_starts_and_asks_for_the_token() -> None:
    master, worker = COMPOSE["services"]["master"], COMPOSE["services"]["worker"]
    assert words(master["command"])["workers"] == 3 and words(worker["command"])["join"] == "master"
    assert words(master["command"])["rows_to"] == "" and "${ROWS_TO:-}" in master["command"]  # empty: over the line
    assert worker["deploy"]["replicas"] == "${WORKERS:-3}"
    for service in (master, worker):
        assert service["environment"]["PLIMSOLL_TOKEN"].startswith("${PLIMSOLL_TOKEN:?")
        keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
        assert keys == {name for name, value in service["environment"].items() if value is None}
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
