"""What the gate was measured to get wrong: written by `make prove-gate`, quoted in every report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

FILE = "accuracy.json"


def accuracy() -> dict[str, Any]:
    """{"machine", "at", "figures": [...], "equal": {"ratios": [...]}}; {} where nothing has been measured yet."""
    try:
        found = json.loads(files("benchmarks.gate").joinpath(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def figure(case: str, what: str, hits: int, gates: int, quoted: bool = False) -> dict[str, Any]:
    """A share with its interval (Clopper and Pearson 1934)."""
    ci = binomtest(hits, gates).proportion_ci(0.95, method="exact")
    return {
        "case": case, "what": what, "hits": hits, "gates": gates, "share": hits / gates, "ci95": [ci.low, ci.high],
        "quoted": quoted,
    }  # fmt: skip


def write(document: Mapping[str, Any]) -> Path:
    path = Path(__file__).with_name(FILE)
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
