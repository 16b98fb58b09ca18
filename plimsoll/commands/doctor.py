"""plimsoll doctor: what works here."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from importlib import util
from pathlib import Path
from typing import Any

from loadtests import compiled
from measurements import host
from plimsoll import calibration


@dataclass(frozen=True)
class Finding:
    """`state`: works, limited or absent; `remedy` is empty where nothing needs doing."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def doctor(calibrate: bool, as_json: bool) -> None:
    found = findings()
    document: dict[str, Any] = {"host": host.fingerprint(), "findings": [asdict(f) for f in found]}
    if calibrate:
        document["calibration"] = calibration.calibrate()
        kept = calibration.keep(document["calibration"], document["host"])
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
        return
    marks = {"works": "ok     ", "limited": "limited", "absent": "absent "}
    for finding in found:
        print(
            f"  {marks[finding.state]}  {finding.what}: {finding.detail}"
            + (f"; {finding.remedy}" if finding.remedy else "")
        )
    if calibrate:
        figures, cpu = document["calibration"], document["host"]["cpu_model"]
        print(
            f"  calibration: {figures['median_ms']:.1f} ms (spread {figures['spread']:.0%}) for the fixed workload on {cpu}; "
            f"kept in {kept}: runs from now on carry it"
        )


def findings() -> list[Finding]:
    return [
        _python(),
        _hot_path(),
        _system(),
        _cores(),
        _files(),
        _timer(),
        _observation(),
        _profilers(),
        _reference(),
        *_programs(),
    ]


def _python() -> Finding:
    fine = sys.version_info >= (3, 11)
    return Finding(
        "Python", "works" if fine else "absent", platform.python_version(), "" if fine else "install 3.11 or newer"
    )


def _hot_path() -> Finding:
    if why := compiled.why_not():
        return Finding("hot path", "limited", f"runs from its sources: {why}", compiled.MAKE_IT)
    return Finding("hot path", "works", "compiled")


def _system() -> Finding:
    if sys.platform.startswith("linux"):
        wsl = "microsoft" in platform.release().lower()
        return Finding("system", "limited" if wsl else "works", platform.platform(),
                       "WSL2: pinning and /proc work, timings are noisier than on Linux itself" if wsl else "")  # fmt: skip
    return Finding("system", "limited", platform.platform(),
                   "no core pinning, timers of about 1 ms, no run-queue delay; use the container for exact timing")  # fmt: skip


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2:
        return Finding("cores", "limited", "1", "generator and service share it; use a machine with two or more")
    return Finding("cores", "works", str(count))


def _files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        return Finding("open files", "limited", f"{hard:,}", "raise it: ulimit -Hn 65536 (or LimitNOFILE in the unit)")
    return Finding("open files", "works", f"{hard:,} at most")


def _timer() -> Finding:
    """How late a 1-ms sleep wakes up here, the median of 200."""
    late = []
    for _ in range(200):
        began = time.perf_counter()
        time.sleep(0.001)
        late.append((time.perf_counter() - began - 0.001) * 1000)
    median = sorted(late)[100]
    fine = median < 0.5
    return Finding("timers", "works" if fine else "limited", f"a 1 ms sleep wakes {median:.2f} ms late (median)",
                   "" if fine else "the machine is busy or virtual; latencies below 1 ms are uncertain")  # fmt: skip


def _observation() -> Finding:
    if Path("/proc/self/schedstat").exists():
        return Finding("observation", "works", "process CPU, memory and run-queue delay")
    return Finding("observation", "limited", "no /proc/PID/schedstat", "run-queue delay is not measured here")


def _profilers() -> Finding:
    missing = [name for name in ("py-spy", "memray") if not _has(name)]
    if missing:
        return Finding(
            "profilers",
            "absent",
            f"{', '.join(missing)} missing",
            "in the repository's folder: uv tool install '.[profile]'",
        )
    return Finding("profilers", "works", "py-spy and memray")


def _reference() -> Finding:
    missing = [
        name for name in ("fastapi", "uvicorn", "chromadb", "bm25s", "sqlalchemy") if util.find_spec(name) is None
    ]
    if missing:
        return Finding(
            "embedded services",
            "absent",
            f"{', '.join(missing)} missing",
            "in the repository's folder: uv tool install '.[reference]'",
        )
    return Finding("embedded services", "works", "kakao, alaw, encar, saju, llm")


def _programs() -> list[Finding]:
    wanted = {"nginx": "limits in front of alaw and saju"}
    return [
        Finding(
            name,
            "works" if shutil.which(name) else "absent",
            purpose,
            "" if shutil.which(name) else f"install {name} if you want that",
        )
        for name, purpose in wanted.items()
    ]


def _has(program: str) -> bool:
    return (Path(sys.executable).parent / program).exists() or shutil.which(program) is not None
