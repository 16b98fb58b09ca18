"""`run.json` as it stands before the first request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests import compiled
from loadtests.plan import LoadPlan
from measurements import host, slo
from measurements.rundir import RunDirectory
from measurements.sample import SCHEMA_VERSION
from plimsoll import calibration
from plimsoll.health_checks import Asked
from plimsoll.placement import Placement
from plimsoll.probe import Probe
from plimsoll.spec import Spec
from targets.contract_file import without_credentials


def first_document(
    spec: Spec, plan: LoadPlan, run: RunDirectory, placement: Placement, services: list[dict[str, Any]], cost: str,
    probed: Probe | None, asked: Sequence[Asked] = (),
) -> dict[str, Any]:  # fmt: skip
    contract = spec.contract.model_dump(mode="json", by_alias=True, exclude_unset=True) if spec.contract else None
    pinned = {*placement.target, *(core for cores in placement.generator for core in cores)}
    here = host.fingerprint() | ({"cores": len(pinned)} if pinned else {})  # this process itself keeps off some of them
    return {
        "schema": SCHEMA_VERSION,
        "run": run.identity,
        "name": spec.target_name,
        "command": spec.command or " ".join(sys.argv),
        "contract": without_credentials(contract),
        "contract_path": str(spec.contract_path) if spec.contract_path else None,
        "limits": spec.limits() or slo.DEFAULT,
        "timeouts_s": spec.timeouts_s(),
        "schedule": {
            "stages": [stage.as_json() for stage in plan.stages],
            "shape": spec.shape,
            "process": plan.process.label,
            "loop": plan.loop,
            "users": plan.users,
            "drain_s": plan.drain_s,
            "timeout_s": plan.timeout_s,
            "pool_cap": plan.pool_cap,
            "workers": plan.workers,
            "cv": plan.process.cv,
        },
        "locustfile": plan.locustfile,
        "base_urls": plan.base_urls,
        "addresses": plan.addresses,
        "seed": plan.seed,
        "nonce": plan.nonce,
        "host": here,
        "calibration": calibration.of(here),
        "versions": host.versions(),
        "hot_path": {"compiled": not (why := compiled.why_not()), "why_not": why or None},
        "git_commit": host.git_commit(Path.cwd()),
        "placement": placement.as_json(),
        "services": services,
        "service_workers": spec.service_workers,
        "probe": probed.as_json() if probed else None,
        "health_checks": [one.as_json() for one in asked],
        "estimate": cost,
        "allow_degraded": spec.allow_degraded,
        "rows_to": {"uri": spec.rows_to} if spec.rows_to else None,
        "workers": [],
        "ended": None,
        "exit_code": None,
    }
