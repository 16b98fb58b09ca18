"""A duet: both versions get the same requests in the same moments, and who is first changes from block to block."""

import numpy as np
import pytest
from real_runs import contract, rows, run
from servers import Scripted, answer

from benchmarks.gate import blocks as gate_blocks
from loadtests.arrivals import Process, Stage
from plimsoll.measure import Run
from plimsoll.pair import Pair


@pytest.fixture(scope="module")
def duet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[list[str]]]:
    """The run, and what each version was asked, in its order."""
    folder = tmp_path_factory.mktemp("duet")
    ask = {"name": "ask", "path": "/ask", "query": {"q": "{{nonce}}"}}
    other = {"name": "other", "path": "/other", "query": {"q": "{{seq}}"}}
    scripts = {"/ask": answer(), "/other": answer(after_s=0.01)}
    with Scripted(dict(scripts)) as one, Scripted(dict(scripts)) as two:
        made = contract([one.url, two.url], [ask, other], folder)
        stages = tuple(Stage(f"block-{k}", 0.5, 80.0, 80.0) for k in (1, 2))
        pair = Pair(urls=[one.url, two.url])
        done = run(made, folder, planned=stages, pair=pair, process=Process("constant"), rate_rps=80.0)
        return done, [[asked.target for asked in server.asked] for server in (one, two)]


def test_both_versions_are_asked_the_same(duet: tuple[Run, list[list[str]]]) -> None:
    first, second = duet[1]
    assert len(first) == 40
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 40, "and every request is a fresh one"


def test_neighbours_are_one_request_and_the_order_swaps_with_the_block(duet: tuple[Run, list[list[str]]]) -> None:
    found = rows(duet[0].directory)
    assert [row["replica"] for row in found[:4]] == [0, 1, 0, 1]
    assert [row["replica"] for row in found[40:44]] == [1, 0, 1, 0]
    assert all(a["endpoint"] == b["endpoint"] for a, b in zip(found[::2], found[1::2], strict=True))
    seq, block = (np.array(column) for column in ([r["seq"] for r in found], [int(r["stage"][-1]) - 1 for r in found]))
    sides = gate_blocks.side_of(seq, block)
    assert sides.tolist() == [row["replica"] for row in found]


def test_its_rows_become_blocks(duet: tuple[Run, list[list[str]]]) -> None:
    found = gate_blocks.read(duet[0].directory, {"ask": 5.0, "other": 5.0})
    assert [block.order for block in found] == [0, 1]
    assert all(counts["all"] == 20 for block in found for counts in block.counts)
    assert all(figures["all", "error_rate"] == 0 for block in found for figures in block.figures)
