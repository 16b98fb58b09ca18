"""A trial's samples as the search reads them: seconds from the trial's start, in the order in which they were intended."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadtests.search.trial import NEVER, Generator, Rows
from measurements.sample import NULL, OUTCOMES, Outcome


def rows(table: pa.Table, elapsed_s: float, generator: Generator, cut: str = "") -> Rows:
    """Of a table with the columns of `measurements.sample.SAMPLES`; requests of users' set-up are left out."""
    table = table.filter(pc.greater_equal(table["seq"], 0))
    intended = _seconds(table["intended_ns"])
    order = np.argsort(intended, kind="stable")
    outcome, outcomes = _words(table["outcome"])
    outcome = np.array([OUTCOMES.index(name) for name in outcomes] or [0])[outcome]
    endpoint, endpoints = _words(table["endpoint"])
    sent, done, first = (_seconds(table[name]) for name in ("sent_ns", "done_ns", "first_token_ns"))
    tokens = pc.fill_null(table["tokens_out"], 0).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(tokens > 1, (done - first) / (tokens - 1), np.nan)
    ended = np.isfinite(done) & ~np.isin(outcome, (Outcome.timeout, Outcome.abandoned))
    return Rows(
        intended_s=intended[order],
        sent_s=sent[order],
        done_s=np.where(ended, done, NEVER)[order],
        outcome=outcome[order],
        status=pc.fill_null(table["status"], NULL).to_numpy()[order],
        endpoint=endpoint[order],
        ttft_s=(first - intended)[order],
        tpot_s=tpot[order],
        endpoints=endpoints,
        elapsed_s=elapsed_s,
        generator=generator,
        cut=cut,
    )


def with_open(table: pa.Table, due_s: np.ndarray, elapsed_s: float) -> pa.Table:
    """The finished rows, and one without an end for each arrival that is due and has none yet; shape of `due_s`: (n,),
    by arrival number."""
    open_ = np.setdiff1d(np.flatnonzero(due_s <= elapsed_s), table["seq"].to_numpy())
    n = len(open_)
    columns = {
        "seq": pa.array(open_, pa.int64()),
        "step": pa.array(np.zeros(n), pa.int32()),
        "intended_ns": pa.array(np.rint(due_s[open_] * 1e9), pa.int64()),
        "outcome": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n), pa.int32()), ["abandoned"]),
        "endpoint": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n), pa.int32()), ["(open)"]),
    }
    added = [columns.get(field.name, pa.nulls(n, field.type)) for field in table.schema]
    return pa.concat_tables([table, pa.table(added, schema=table.schema)]).unify_dictionaries()


def _seconds(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(pc.cast(column, pa.float64()), np.nan).to_numpy() / 1e9


def _words(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """(codes, shape (n,); the words that they index)."""
    if not len(column):
        return np.empty(0, dtype=np.int64), []
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    return whole.indices.to_numpy(), whole.dictionary.to_pylist()
