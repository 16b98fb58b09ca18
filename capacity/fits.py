"""Straight lines with their doubt: weighted least squares and Student's t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.documents import CONFIDENCE, between
from measurements.distributions import student_quantile
from measurements.interval import Interval


@dataclass(frozen=True)
class Line:
    """y = base + Σ slope·x. `base` is never negative; `spread` is the residual standard deviation of y/√w."""

    base: Interval
    slopes: dict[str, Interval]
    points: int


def line(
    x: dict[str, list[float]], y: list[float], variance: list[float], confidence: float = CONFIDENCE
) -> Line | None:
    """Least squares of y (n,) on named columns x (n,) each, weights 1/variance (n,); None without a spare degree of
    freedom or with columns that cannot be told apart (condition number over 30 after scaling; Belsley, Kuh and
    Welsch, Regression Diagnostics, 1980, section 3.2).

    Intervals are Student's t. A base that comes out negative (no process gains time by idling) is fitted as 0.
    """
    names = list(x)
    target = np.asarray(y, dtype=float)
    columns = np.column_stack([np.ones(len(target)), *(np.asarray(x[name], dtype=float) for name in names)])
    root = 1 / np.sqrt(np.maximum(np.asarray(variance, dtype=float), 1e-12))
    found = _solve(columns * root[:, None], target * root, confidence)
    if found is None:
        return None
    if found[0].mid < 0:
        through_zero = _solve(columns[:, 1:] * root[:, None], target * root, confidence)
        if through_zero is None:
            return None
        found = [Interval(0.0, 0.0, max(0.0, found[0].high), confidence), *through_zero]
    base = between(max(0.0, found[0].low), max(0.0, found[0].mid), max(0.0, found[0].high), confidence)
    return Line(base, dict(zip(names, found[1:], strict=True)), len(target))


def _solve(columns: np.ndarray, target: np.ndarray, confidence: float) -> list[Interval] | None:
    spare = len(target) - columns.shape[1]
    if spare < 1:
        return None
    lengths = np.linalg.norm(columns, axis=0)
    if not np.all(lengths > 0) or np.linalg.cond(columns / lengths) > 30:
        return None
    estimate, *_ = np.linalg.lstsq(columns, target, rcond=None)
    residual = target - columns @ estimate
    covariance = np.linalg.inv(columns.T @ columns) * float(residual @ residual) / spare
    half = student_quantile((1 + confidence) / 2, spare) * np.sqrt(np.diag(covariance))
    return [between(m - h, m, m + h, confidence) for m, h in zip(estimate.tolist(), half.tolist(), strict=True)]


def mean(values: list[float], floor_share: float = 0.0, confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's t, no narrower than ±`floor_share` of itself; one value alone has only that floor."""
    middle = float(np.mean(values))
    half = floor_share * abs(middle)
    if len(values) > 1:
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        half = max(half, student_quantile((1 + confidence) / 2, len(values) - 1) * error)
    return between(middle - half, middle, middle + half, confidence)
