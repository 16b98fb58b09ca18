"""Where requests' time went: headers that came with the rows, spans that came meanwhile, what a recording proxy saw."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from loadtests import timing_notes
from loadtests.wire import trace_prefix
from measurements.errors import FormatError
from measurements.rundir import RunDirectory
from plimsoll.spec import Spec
from profiles.spans import SpanReceiver

if TYPE_CHECKING:
    import pandas as pd

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


def where_time_went(
    run: RunDirectory, document: dict[str, Any], spans: SpanReceiver | None, recording: Path | None
) -> dict[str, dict[str, Any]]:
    """endpoint → parts of its service time (`profiles.breakdown.summarise`); the rows go into timing.parquet.
    `document`: run.json. What stands against a recording is its endpoints' `why_not`."""
    from profiles import breakdown  # with pandas: `listening` is called before the load and must not wait for it

    folder = run.path / "samples"
    tables = {"Server-Timing": breakdown.of_headers(timing_notes.noted(folder))}
    if spans is not None:
        tables["spans"] = breakdown.of_spans(spans.breakdown(), document["schedule"]["workers"])
    columns = ["worker", "seq", "step", "stage", "endpoint", "outcome", "sent_ns", "done_ns"]
    rows = run.table("samples", columns).to_pandas()
    rows = rows[(rows["seq"] >= 0) & rows["sent_ns"].notna()]
    why_not = None
    if recording is not None:
        try:
            tables["recording"] = _recorded(recording, rows, document)
        except FormatError as error:
            why_not = str(error)
    rows = rows[(rows["outcome"] == "ok") & rows["done_ns"].notna()]
    rows = rows.assign(service_ms=(rows["done_ns"] - rows["sent_ns"]).astype(float) / 1e6)
    found = breakdown.summarise(rows, tables, why_not)
    if sum(table.num_rows for table in tables.values()):
        whole = pa.concat_tables(breakdown.from_source(table, source) for source, table in tables.items())
        run.write_table(FILE, whole.unify_dictionaries())
    timing_notes.forget(folder)
    return found


def _recorded(recording: Path, rows: pd.DataFrame, document: dict[str, Any]) -> pa.Table:
    """Of the proxy's exchanges. Requests without an end were open until the run's."""
    from profiles import exchanges

    workers = document["workers"]
    if len(boots := {worker["boot_id"] for worker in workers}) != 1:
        raise FormatError(f"{recording} cannot be joined to load processes on {len(boots)} machines; use one")
    starts = {worker["worker"]: worker["start_monotonic_ns"] for worker in workers}
    origin = rows["worker"].map(starts)
    start_ns, end_ns = origin + rows["sent_ns"], origin + rows["done_ns"]
    ended_ns = int(end_ns.max()) if end_ns.notna().any() else 0
    clocked = rows.assign(start_ns=start_ns.astype("int64"), end_ns=end_ns.fillna(ended_ns).astype("int64"))
    found = exchanges.read(recording, boots.pop(), (min(starts.values(), default=0), ended_ns))
    return exchanges.of_exchanges(found, clocked, trace_prefix(document["run"]).decode())
