"""Choosing rows: those that lie together are a view, and the rows are the same either way."""

from pathlib import Path

import numpy as np
import pytest
from made_rows import framed, row


@pytest.mark.parametrize("chosen", [[], [0, 1, 2], [1, 2], [0, 3], [3], [0, 1, 2, 3]])
def test_a_choice_has_the_rows_that_were_chosen(chosen: list[int], tmp_path: Path) -> None:
    frame = framed(tmp_path, [row(at, seq=at) for at in (0, 10, 20, 30)])
    mask = np.isin(np.arange(4), chosen)
    found = frame.where(mask)
    assert found.seq.tolist() == [10 * at for at in chosen]
    assert found.intended_ns.tolist() == [10_000_000 * at for at in chosen]
    together = len(chosen) > 0 and chosen == list(range(chosen[0], chosen[-1] + 1))
    assert np.shares_memory(found.seq, frame.seq) == together
