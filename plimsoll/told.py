"""Where requests' time went, by the service's own word: headers that came with the rows, spans that came meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadtests import timing_notes
from loadtests.wire import trace_prefix
from measurements.rundir import RunDirectory
from plimsoll.spec import Spec
from profiles.spans import SpanReceiver

FILE = "timing.parquet"


def listening(spec: Spec, run: str, stack: ExitStack) -> tuple[Spec, SpanReceiver | None]:
    """Listens for this run's spans where the contract names a port for them; a service that is started here is told so,
    unless it has an exporter's setting of its own."""
    contract = spec.contract
    port = contract.target.observe.otlp if contract else None
    if contract is None or port is None:
        return spec, None
    spans = SpanReceiver(trace_prefix(run).decode(), port)
    spans.start()
    stack.callback(spans.stop)
    if contract.target.control is None:
        return spec, spans
    control = contract.target.control
    control = control.model_copy(update={"env": {**spans.environment(), **control.env}})
    changed = contract.model_copy(update={"target": contract.target.model_copy(update={"control": control})})
    changed._folder = contract.folder
    return replace(spec, contract=changed), spans


def where_time_went(run: RunDirectory, workers: int, spans: SpanReceiver | None) -> dict[str, dict[str, Any]]:
    """endpoint → parts of its service time (`profiles.breakdown.summarise`); the rows go into timing.parquet."""
    from profiles import breakdown  # with pandas: `listening` is called before the load and must not wait for it

    folder = run.path / "samples"
    tables = {"Server-Timing": breakdown.of_headers(timing_notes.noted(folder))}
    if spans is not None:
        tables["spans"] = breakdown.of_spans(spans.breakdown(), workers)
    columns = ["worker", "seq", "step", "stage", "endpoint", "outcome", "sent_ns", "done_ns"]
    rows = run.table("samples", columns).to_pandas()
    rows = rows[(rows["seq"] >= 0) & (rows["outcome"] == "ok") & rows["sent_ns"].notna() & rows["done_ns"].notna()]
    rows = rows.assign(service_ms=(rows["done_ns"] - rows["sent_ns"]).astype(float) / 1e6)
    found = breakdown.summarise(rows, tables)
    if sum(table.num_rows for table in tables.values()):
        pq.write_table(pa.concat_tables(tables.values()).unify_dictionaries(), run.path / FILE, compression="zstd")
    timing_notes.forget(folder)
    return found
