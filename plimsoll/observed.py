"""What a run observed, as the summary and the plan want it: from a run directory's files, here once for `run` and `plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from measurements import frame as frames
from measurements import streams
from measurements.errors import FormatError
from measurements.rundir import RunDirectory
from measurements.sample import NULL, Outcome
from measurements.summary import Window
from profiles import growth, snapshots
from profiles.measured import limit_bytes, processes_of
from profiles.rates import per_window
from profiles.usage import over_time
from targets.contract import Contract

if TYPE_CHECKING:
    from capacity.documents import RunDocuments
    from plimsoll.watch import Watch

FILE = "server.parquet"
SNAPSHOTS = "profiles/snapshots.json"
MOST_ERRORS = 200
MOST_TIMES = 20_000  # of an endpoint: evenly thinned, for a simulation to draw from


def documents(directory: RunDirectory) -> RunDocuments:
    """All that `capacity` reads of one finished run; what was not observed stays None."""
    from capacity import demand, queue_options, service_times
    from capacity import documents as capacity_documents
    from plimsoll import windows

    bare = capacity_documents.RunDocuments(
        directory.read_json("run.json"), directory.read_json("summary.json"), directory.read_json("validity.json"),
        path=_shown(directory.path),
    )  # fmt: skip
    rows = frames.read(directory)
    stages = capacity_documents.stages_of([bare])
    return capacity_documents.RunDocuments(
        bare.run, bare.summary, bare.validity, bare.path,
        server=server(directory),
        blocked_frames=_blocked_frames(directory, bare),
        search=directory.read_json("search.json") if directory.has("search.json") else None,
        service_times_s={
            endpoint: times_s[:: 1 + len(times_s) // MOST_TIMES].tolist()
            for endpoint, times_s in service_times.from_rows(rows, stages, queue_options.timeouts_s(bare, stages)).items()
        } or None,
        errors=_errors(directory),
        replica_times=_replica_times(directory, bare.summary) if bare.replicas > 1 else None,
        output_tokens=_output_tokens(rows, directory),
        windows=windows.of(directory, demand.usable(stages)),
    )  # fmt: skip


def server(directory: RunDirectory) -> dict[str, dict[str, Any]] | None:
    """stage → rates, gauges, quantiles (profiles.rates.per_window); None where nothing was scraped."""
    if not directory.has(FILE) or not directory.has("summary.json"):
        return None
    stages = directory.read_json("summary.json").get("stages") or []
    spans = [(stage["name"], stage["start_s"], stage["start_s"] + stage["duration_s"]) for stage in stages]
    return per_window(pq.read_table(directory.path / FILE), spans) or None


def in_brief(table: pa.Table, start_s: float, end_s: float) -> dict[str, Any]:
    """For summary.json: cache hit ratios, the upstream engine's load, and what could not be had."""
    found = per_window(table, [("run", start_s, end_s)])["run"]
    return {key: found[key] for key in ("cache_hit_ratio", "upstream", "refusals")}


def _blocked_frames(directory: RunDirectory, bare: RunDocuments) -> dict[str, float] | None:
    if not directory.has(SNAPSHOTS):
        return None
    return snapshots.shares(directory.read_json(SNAPSHOTS), _plateau(bare)) or None


def blocked(document: dict[str, Any], bare: RunDocuments) -> dict[str, Any]:
    """For summary.json: what serving threads were seen doing in the stages of the plateau, `document` of snapshots.json."""
    spans = _plateau(bare)
    places = snapshots.places(document, spans)
    nowhere = "no stage was overloaded" if not spans else "no thread was seen serving a request there"
    return {
        "shares": snapshots.shares(document, spans),
        "places": places,
        "snapshots": sum(any(a <= one["at_s"] <= b for a, b in spans) for one in document["snapshots"]),
        "why_not": None if places else document["why_not"] or nowhere,
    }


def _plateau(bare: RunDocuments) -> list[tuple[float, float]]:
    """When the stages of the plateau were, in seconds of the run."""
    from capacity.documents import stages_of
    from capacity.plateau import find

    plateau = find(stages_of([bare]))
    return [(stage.start_s, stage.start_s + stage.duration_s) for stage in plateau.stages] if plateau else []


def _shown(path: Path) -> str:
    """As a person here would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def memory_growth(
    rows: frames.Frame, looking: Watch, measured: Sequence[Window], contract: Contract | None
) -> dict[str, Any] | None:
    """Growth of the service's memory over the requests of a run whose load stayed the same (`profiles.growth`); None
    where it changed (memory follows the load too) or where nothing was watched."""
    rates = {rate for window in measured for rate in (window.start_rps, window.end_rps)}
    if looking.observer is None or not measured or len(rates) > 1:
        return None
    table = looking.observer.table()
    at_s, rss = over_time(table, "target", "rss_bytes")
    if not len(at_s):
        return None
    done_s = rows.done_ns[rows.done_ns != NULL] / 1e9
    limit = limit_bytes(table, contract.resources.memory_mib if contract else None)
    return growth.growth(
        at_s.tolist(), rss.tolist(), done_s.tolist(), start_s=measured[0].start_s, end_s=measured[-1].end_s,
        limit_bytes=limit, processes=processes_of(table),
    )  # fmt: skip


def _output_tokens(rows: frames.Frame, directory: RunDirectory) -> dict[str, list[int]] | None:
    """Tokens of each answer that was streamed to its end, evenly thinned."""
    streamed = streams.read(directory)
    if not len(streamed.key):
        return None
    ok = rows.where(rows.outcome == Outcome.ok)
    found = {name: streamed.of(ok.at_endpoint(name)).tokens for name in ok.endpoints}
    return {name: t[:: 1 + len(t) // MOST_TIMES].tolist() for name, t in found.items() if len(t)} or None


def _errors(directory: RunDirectory) -> list[dict[str, Any]]:
    """The most frequent rows of errors.parquet."""
    if not directory.has("errors.parquet"):
        return []
    try:
        return pq.read_table(directory.path / "errors.parquet").slice(0, MOST_ERRORS).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{directory.path}/errors.parquet is damaged ({error}); run again") from error


def _replica_times(directory: RunDirectory, summary: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Quantiles of each replica's answers over all stages but the warm-up: requests are dealt out in turn, so that
    every replica had the same load at the same time."""
    from capacity.service_times import by_replica

    warm = [stage["name"] for stage in summary.get("stages") or [] if stage.get("warmup")]
    rows = directory.table("samples", ["seq", "stage", "replica", "outcome", "intended_ns", "done_ns"]).to_pandas()
    rows = rows[(rows["seq"] >= 0) & ~rows["stage"].isin(warm) & rows["done_ns"].notna() & rows["replica"].notna()]
    if rows["replica"].nunique() < 2:
        return None
    response_ms = ((rows["done_ns"] - rows["intended_ns"]) / 1e6).to_numpy(dtype=float)
    replica = rows["replica"].fillna(NULL).to_numpy(dtype=np.int64)
    return by_replica(replica, (rows["outcome"] == "ok").to_numpy(), response_ms) or None
