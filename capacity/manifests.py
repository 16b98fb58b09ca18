"""Deployment files in the form of the team, from the plan: compose, nginx, Kubernetes, ECS, Prometheus rules."""

from __future__ import annotations

import json
from functools import partial
from math import ceil

from jinja2 import Environment, PackageLoader, StrictUndefined

from capacity import alert_rules
from capacity.alert_rules import MetricNames
from capacity.deployment import Deployment

REGION = "ap-northeast-2"
ACCOUNT = "123456789012"
SCALE_OUT = ("compose.scale-out.yaml", "nginx.conf", "kubernetes.yaml", "ecs-task-definition.json", "ecs-service.json")


def render(deployment: Deployment, names: MetricNames, region: str = REGION, account: str = ACCOUNT) -> dict[str, str]:
    """File name → text. Image, account, subnets and the like are placeholders in capitals, named in the files."""
    environment = Environment(
        loader=PackageLoader("capacity", "templates"),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )  # YAML, JSON and nginx; strings from outside go through `quoted` or a pattern
    environment.filters["quoted"] = _quoted
    wanted = [*SCALE_OUT, "prometheus-rules.yaml", *(["compose.scale-up.yaml"] if deployment.larger else [])]
    values = {
        "d": deployment,
        "m": names,
        "rules": alert_rules.rules(deployment, names),
        "not_translated": alert_rules.not_translated(deployment, names),
        "region": region,
        "account": account,
        "probe": partial(_probe, deployment.port),
        "millicores": lambda cores: f"{ceil(cores * 1000)}m",
    }
    return {name: environment.get_template(f"{name}.j2").render(values) for name in wanted}


def _probe(port: int, path: str) -> list[str]:
    """A health check that needs nothing but the service's own Python."""
    url = f"http://127.0.0.1:{port}{path}"
    return ["CMD", "python", "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=3)"]


def _quoted(value: object) -> str:
    """JSON, which YAML reads too: quotes, backslashes and control characters are escaped, the rest stays legible."""
    return json.dumps(value, ensure_ascii=False)
