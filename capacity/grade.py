"""How far a plan may be trusted for a purchase, and when it stops being true."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from capacity.documents import RunDocuments

LOOPBACK = ("127.", "localhost", "::1")


def grade(run: RunDocuments) -> tuple[str, list[str]]:
    """A: production-like machine and real upstream; B: replayed upstream; C: emulated upstream or other hardware.

    The machine is production-like where what the contract's [resources] deploys is what the service had here.
    """
    reasons = []
    upstream = run.section("upstream").get("kind") if run.section("upstream") else None
    worst = {"emulated": "C", "replayed": "B"}.get(str(upstream), "A")
    if worst != "A":
        reasons.append(f"the upstream was {upstream}")
    unlike = unlike_production(run)
    if unlike:
        worst = "C"
        reasons.append(unlike)
    return worst, reasons or ["the upstream was real and the machine as deployed"]


def unlike_production(run: RunDocuments) -> str | None:
    """A sentence where the machine differs from the contract's, or the contract does not say; else None."""
    resources, host = run.section("resources"), run.run.get("host") or {}
    cpu, memory = resources.get("cpu"), resources.get("memory_mib")
    if not cpu or not memory:
        return "the contract's [resources] does not say which CPU and memory production has"
    if not _on_loopback(run):
        return None
    quotas = [stage.get("resources", {}).get("target", {}) for stage in run.summary.get("stages") or []]
    quota = next((found["cgroup_quota_cores"] for found in quotas if found.get("cgroup_quota_cores")), None)
    had = (
        quota
        or host.get("cpu_quota_cores")
        or len((run.run.get("placement") or {}).get("target") or [])
        or host.get("cores")
    )
    if had and abs(float(had) - float(cpu)) > 0.1 * float(cpu):
        return f"production has {cpu:g} core(s), here the service had {float(had):g}"
    if resources.get("platform") in ("kubernetes", "ecs") and quota is None:
        return f"production limits the service by {resources['platform']}, here it ran without that limit"
    return None


def _on_loopback(run: RunDocuments) -> bool:
    url = (run.contract.get("target") or {}).get("base_url") or ""
    urls = url if isinstance(url, list) else [url]
    return all((urlsplit(str(one)).hostname or "").startswith(LOOPBACK) for one in urls)


def expires_when(runs: Sequence[RunDocuments]) -> list[str]:
    """What, when it changes, makes the plan void."""
    run = runs[0]
    host = run.run.get("host") or {}
    counts = {name: entry.get("count") or 0 for name, entry in (run.summary.get("endpoints") or {}).items()}
    total = sum(counts.values())
    mix = ", ".join(f"{name} {count / total:.0%}" for name, count in counts.items()) if total else "unknown"
    upstream = run.section("upstream")
    found = [
        f"the service is deployed from another commit than {run.run.get('git_commit') or 'the one measured'}",
        f"an endpoint's share of the mix moves by more than 10 points ({mix})",
        "a setting under [resources], [limits] or [users] of the contract changes",
        f"the machine's CPU is another than {host.get('cpu_model') or 'the one measured'}",
    ]
    if upstream:
        which = upstream.get("model") or upstream.get("provider") or "as measured"
        found.append(f"the upstream changes its model, limits or speed ({which})")
    return found
