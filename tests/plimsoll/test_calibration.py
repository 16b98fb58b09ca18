"""The machine's speed is measured once and every later run carries it."""

from __future__ import annotations

from pathlib import Path

import pytest

from plimsoll import calibration


def test_what_was_kept_belongs_to_this_cpu_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert calibration.of({"cpu_model": "A"}) is None
    calibration.keep({"median_ms": 120.0, "spread": 0.01, "runs": 7}, {"cpu_model": "A"})
    assert calibration.of({"cpu_model": "A"}) == {"median_ms": 120.0, "spread": 0.01, "runs": 7}
    assert calibration.of({"cpu_model": "B"}) is None


def test_the_workload_runs_and_tells_its_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "CODE", "print(3.5)")
    assert calibration.calibrate() == {"median_ms": 3.5, "spread": 0.0, "runs": 7}
