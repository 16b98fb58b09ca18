"""Token timings against a server that sends them on a fixed schedule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.prove import harness
from tests.prove.conftest import Parameters

pytestmark = pytest.mark.prove


def test_first_token_gaps_and_end_are_the_servers_own(
    truth: Parameters, row: Callable[..., None], tmp_path: Path
) -> None:
    with harness.served(
        tmp_path, kind="sse", first_s=truth.ttft_ms / 1000, gap_s=truth.gap_ms / 1000, tokens=truth.tokens
    ) as served:
        run = harness.load(served.url, tmp_path, stream=True, rate_rps=20, duration_s=20, seed=truth.seed)
    table = harness.rows(run)
    tokens = run.directory.table("tokens").to_pandas().sort_values(["seq", "event"])
    gaps_ms = tokens.groupby("seq")["at_ns"].diff().dropna() / 1e6
    ends = tokens.groupby("seq")["at_ns"].agg(["first", "last"]) / 1e6
    figures = {
        "ttft_ms": table["first_token_ms"] - table["intended_ms"],
        "tpot_ms": (ends["last"] - ends["first"]) / (truth.tokens - 1),
        "itl_ms": gaps_ms,
        "response_ms": table["done_ms"] - table["intended_ms"],
    }
    entry = run.summary["endpoints"]["ask"]
    whole_ms = truth.ttft_ms + (truth.tokens - 1) * truth.gap_ms
    for name, q, true, limit in (
        ("ttft_ms", 0.5, truth.ttft_ms, 1.0),
        ("ttft_ms", 0.95, truth.ttft_ms, 5.0),
        ("tpot_ms", 0.5, truth.gap_ms, 0.5),
        ("itl_ms", 0.5, truth.gap_ms, 0.5),
        ("itl_ms", 0.95, truth.gap_ms, 2.0),
        ("response_ms", 0.5, whole_ms, 2.0),
    ):
        found = float(np.quantile(figures[name], q))
        row("SSE", f"{name} p{100 * q:g}", true, found, f"{found - true:+.2f}", abs(found - true) <= limit)
        reported = entry[name][f"p{100 * q:g}"]
        assert reported is None or reported == pytest.approx(found, abs=0.5)
    assert entry["itl_ms"]["n"] == entry["ok"] * (truth.tokens - 1)
    assert set(table["tokens_source"]) == {"usage"}
