"""Upstream time of each request, from the recording proxy in front of the upstream (`plimsoll serve llm --record`). Pure
but for reading the file.

An exchange belongs to the request whose `traceparent` it carries, where the service passes that on; else to the only
request that was open from the exchange's beginning to its end, on the clock of the machine that both ran on. Where two
were open, nobody can tell: both are left out, so the more requests overlap the fewer are told of.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from measurements.errors import FormatError
from profiles.breakdown import KEY, PARTS
from profiles.spans import covered_ns

UPSTREAM = "upstream"
MOST_EXCHANGES = 2_000_000
MARK = "plimsoll_llm_recording"


class Exchange(NamedTuple):
    """`trace`: 32 hex digits, or ""; times on the monotonic clock of the proxy's machine."""

    trace: str
    start_ns: int
    end_ns: int


def read(path: Path, boot_id: str, ran_ns: tuple[int, int]) -> list[Exchange]:
    """Exchanges within `ran_ns` (monotonic). FormatError says what stands against using the file; a last line that is
    still being written is left out."""
    found: list[Exchange] = []
    try:
        with path.open("rb") as file:
            head = orjson.loads(file.readline())
            if head["boot_id"] != boot_id:
                raise FormatError(
                    f"{path} was recorded on another machine or before it was booted; its clock is not ours"
                )
            began_ns = int(head["began_monotonic_ns"])
            for line in file:
                if not line.endswith(b"\n") or len(found) == MOST_EXCHANGES:
                    break
                one = orjson.loads(line)
                start_ns = began_ns + int(one["received_ns"])
                exchange = Exchange(str(one.get("trace") or ""), start_ns, start_ns + int(one["done_ns"]))
                if ran_ns[0] <= exchange.start_ns and exchange.end_ns <= ran_ns[1]:
                    found.append(exchange)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} is no recording that times can be read from ({type(error).__name__}); write it with: plimsoll serve "
            "llm --record URL --record-to FILE"
        ) from error
    return found


def of_exchanges(exchanges: list[Exchange], rows: pd.DataFrame, prefix: str) -> pa.Table:
    """A row per request that is surely told of; schema `PARTS`. `rows`: every request that was sent: worker, seq, step,
    endpoint, and `start_ns`, `end_ns` on the machine's monotonic clock; `prefix`: the 16 digits that this run's trace ids
    begin with.

    A request during which the proxy saw nothing had none of its time there; of an endpoint that never reached the proxy
    nothing is said.
    """
    rows = rows.sort_values("start_ns", kind="stable").reset_index(drop=True)
    starts, ends = rows["start_ns"].to_numpy(), rows["end_ns"].to_numpy()
    longest_ns = int((ends - starts).max()) if len(rows) else 0
    by_seq = rows.groupby("seq").indices
    spans: dict[int, list[tuple[int, int]]] = {}
    unsure = np.zeros(len(rows), dtype=bool)
    for exchange in exchanges:
        if exchange.trace.startswith(prefix) and len(exchange.trace) == 32:
            near = np.asarray(by_seq.get(int(exchange.trace[16:], 16), []), dtype=int)
        else:
            near = np.arange(*np.searchsorted(starts, [exchange.start_ns - longest_ns, exchange.start_ns + 1]))
        open_then = near[(starts[near] <= exchange.start_ns) & (ends[near] >= exchange.end_ns)]
        if len(open_then) == 1:
            spans.setdefault(int(open_then[0]), []).append((exchange.start_ns, exchange.end_ns))
        else:
            unsure[open_then] = True
    reached = set(rows["endpoint"].astype(str).iloc[list(spans)])
    told = rows[~unsure & rows["endpoint"].astype(str).isin(reached).to_numpy()]
    upstream_ms = [covered_ns(spans.get(int(at), []), int(starts[at]), int(ends[at])) / 1e6 for at in told.index]
    found = told[KEY].assign(name=UPSTREAM, ms=upstream_ms)
    return pa.Table.from_pandas(found, PARTS, preserve_index=False)
