"""How fast this machine is: one fixed single-core workload, timed once and kept, so that every later run carries it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from measurements.errors import UsageError

RUNS = 7
CODE = (
    "import json,hashlib,time;d={str(i):list(range(20)) for i in range(500)};t=time.perf_counter();\n"
    "for _ in range(60): s=json.dumps(d);json.loads(s);hashlib.sha256(s.encode()*20).digest();sorted(s)\n"
    "print((time.perf_counter()-t)*1000)"
)


def record_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "plimsoll" / "calibration.json"


def calibrate() -> dict[str, float]:
    """JSON, hashing and sorting, seven times: compare it between machines of the same Python."""
    times = sorted(
        float(subprocess.run([sys.executable, "-I", "-c", CODE], capture_output=True, text=True, check=True).stdout)
        for _ in range(RUNS)
    )
    return {"median_ms": times[3], "spread": (times[5] - times[1]) / times[3], "runs": RUNS}


def keep(found: dict[str, float], host: dict[str, Any]) -> Path:
    """Writes it where runs will find it."""
    path = record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"host": host, "calibration": found}) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); set XDG_CONFIG_HOME to a writable folder"
        ) from error
    return path


def of(host: dict[str, Any]) -> dict[str, float] | None:
    """What was kept for this machine; None where nothing was, or for another CPU."""
    try:
        kept = json.loads(record_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(kept, dict) and (kept.get("host") or {}).get("cpu_model") == host.get("cpu_model")
    return kept.get("calibration") if same else None
