"""What happened over time, counted by DuckDB over the run's rows: a few hundred figures from any number of rows.

Rows stay on disk; DuckDB streams them with bounded memory. Seconds count from the run's start: a worker's own clock
plus how much later than the first worker it started.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from measurements import quantiles
from measurements.rundir import RunDirectory
from reports import clock
from reports.documents import Document, listed, section

BIN_CHOICES_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 10800, 86400)
MEMORY_LIMIT = "1GB"
BUSY = "running|waiting|pending|in_?flight"
TELLING = "queue|waiting|pending|running|in_?flight|active|slot|batch|cache|hit|pool|connection|session|kv"
MOST_METRICS, MOST_LABEL_SETS = 8, 4


@dataclass(frozen=True)
class Binned:
    """`rows` of counted figures; each row's first column is the start of its bin in seconds of the run."""

    bin_s: float
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    began: str = ""  # the time of day of second 0


def bin_width_s(span_s: float, most: int) -> float:
    """The shortest of the round widths that needs at most `most` bins."""
    return next((float(width) for width in BIN_CHOICES_S if span_s / width <= most), float(BIN_CHOICES_S[-1]))


class Series:
    """The run's rows, opened once; every method is one aggregate."""

    def __init__(self, run: RunDirectory, document: Document) -> None:
        self._path = run.path
        self.began = clock.told(clock.began(document))
        self._status_documents = list(section(document, "contract", "target", "observe", "json"))
        self._database = duckdb.connect(":memory:")
        self._database.execute(f"SET memory_limit='{MEMORY_LIMIT}'; SET threads=2; SET enable_progress_bar=false")
        shards = sorted(str(shard) for shard in (run.path / "samples").glob("*.parquet"))
        if shards:
            source = self._database.read_parquet(shards)
        else:
            rows = run.table("samples")  # journals of a run that was not finished
            source = self._database.from_arrow(rows)
        source.create_view("rows")
        late = [f"WHEN {worker:d} THEN {shift_s!r}" for worker, shift_s in _shifts(document).items() if shift_s]
        shift = f"CASE worker {' '.join(late)} ELSE 0.0 END" if late else "0.0"  # a join would cost more than the count
        self._database.execute(
            f"CREATE VIEW samples AS SELECT *, intended_ns / 1e9 + {shift} AS intended_s, "
            "(done_ns - intended_ns) / 1e6 AS response_ms FROM rows"
        )
        self._counted: set[str] = set()

    def close(self) -> None:
        self._database.close()

    @cached_property
    def span_s(self) -> float:
        """When the last request was intended."""
        found = self._database.execute("SELECT max(intended_s) FROM samples").fetchone()
        return float(found[0]) if found and found[0] is not None else 0.0

    def outcomes(self, most_bins: int = 90) -> Binned:
        """(start_s, outcome, requests): every intended request by its outcome, in the bin it was intended in."""
        bin_s = bin_width_s(self.span_s, most_bins)
        rows = self._database.execute(
            f"SELECT bin * ?, outcome::VARCHAR, sum(n)::BIGINT FROM {self._by_class(bin_s, 8)} GROUP BY ALL ORDER BY ALL",
            [bin_s],
        ).fetchall()
        return Binned(bin_s, ("start_s", "outcome", "requests"), rows, self.began)

    def latencies(self, most_bins: int = 90, per_decade: int = 8) -> Binned:
        """(start_s, from_ms, to_ms, requests): ok, timeout and abandoned by logarithmic response class."""
        bin_s = bin_width_s(self.span_s, most_bins)
        rows = self._database.execute(
            f"SELECT bin * ?, class, sum(n)::BIGINT FROM {self._by_class(bin_s, per_decade)} "
            "WHERE outcome::VARCHAR IN ('ok', 'timeout', 'abandoned') AND class IS NOT NULL GROUP BY ALL ORDER BY ALL",
            [bin_s],
        ).fetchall()
        classed = [
            (start, 10 ** (bucket / per_decade), 10 ** ((bucket + 1) / per_decade), n) for start, bucket, n in rows
        ]
        return Binned(bin_s, ("start_s", "from_ms", "to_ms", "requests"), classed, self.began)

    def percentiles(self, most_bins: int = 90) -> Binned:
        """(start_s, endpoint, p50_ms, p95_ms): of the same requests, where a bin holds enough to have an interval."""
        bin_s = bin_width_s(self.span_s, most_bins)
        rows = self._database.execute(
            "SELECT floor(intended_s / ?) * ? AS start_s, endpoint::VARCHAR AS name, "
            "quantile_cont(response_ms, [0.5, 0.95]) AS q, count(*) AS n "
            "FROM samples WHERE outcome::VARCHAR IN ('ok', 'timeout', 'abandoned') AND done_ns IS NOT NULL "
            "GROUP BY ALL HAVING n >= ? ORDER BY ALL",
            [bin_s, bin_s, quantiles.needed(0.5)],
        ).fetchall()
        enough = quantiles.needed(0.95)
        found = [(start, name, q[0], q[1] if n >= enough else None) for start, name, q, n in rows]
        return Binned(bin_s, ("start_s", "endpoint", "p50_ms", "p95_ms"), found)

    def in_flight(self, most_bins: int = 150) -> Binned:
        """(start_s, in_flight): requests that were due and not yet answered, at the end of each bin."""
        bin_s = bin_width_s(self.span_s, most_bins)
        rows = self._database.execute(
            f"""
            WITH edges AS (
              SELECT due AS bin, sum(n) AS moved FROM {self._by_ends(bin_s)} GROUP BY bin
              UNION ALL
              SELECT done AS bin, -sum(n) AS moved FROM {self._by_ends(bin_s)} GROUP BY bin)
            SELECT bin * $bin, sum(sum(moved)) OVER (ORDER BY bin) FROM edges GROUP BY bin ORDER BY bin""",
            {"bin": bin_s},
        ).fetchall()
        return Binned(bin_s, ("start_s", "in_flight"), [(start, float(level)) for start, level in rows])

    def traffic(self, most_bins: int = 150) -> Binned:
        """(start_s, received, sent): bytes a second of answers that ended in the bin and of their requests, heads and bodies."""
        bin_s = bin_width_s(self.span_s, most_bins)
        rows = self._database.execute(
            f"SELECT done * $bin, sum(received)::DOUBLE / $bin, sum(sent)::DOUBLE / $bin FROM {self._by_ends(bin_s)} "
            "GROUP BY done ORDER BY done",
            {"bin": bin_s},
        ).fetchall()
        return Binned(bin_s, ("start_s", "received", "sent"), rows, self.began)

    def resources(self, most_bins: int = 150) -> Binned:
        """(start_s, role, cpu_cores, memory_mib): mean per bin over each role's processes; host: busy cores, used."""
        source = self._path / "resources.parquet"
        columns = ("start_s", "role", "cpu_cores", "memory_mib")
        if not source.is_file():
            return Binned(1.0, columns, [])
        bin_s = self._open(source, most_bins)
        rows = self._database.execute(
            """
            WITH steps AS (
              SELECT role, at_ns, at_ns - lag(at_ns) OVER w AS elapsed_ns,
                     coalesce(rss_bytes, host_memory_used_bytes) AS memory_bytes,
                     coalesce(cpu_user_s + cpu_system_s, host_cpu_busy_s) AS busy_s,
                     busy_s - lag(busy_s) OVER w AS used_s
              FROM observed WINDOW w AS (PARTITION BY role, pid ORDER BY at_ns)),
            moments AS (
              SELECT role, at_ns, sum(used_s * 1e9 / elapsed_ns) AS cores, sum(memory_bytes) AS memory_bytes
              FROM steps GROUP BY ALL)
            SELECT floor(at_ns / 1e9 / ?) * ? AS start_s, role, avg(cores), avg(memory_bytes) / 1048576
            FROM moments WHERE at_ns >= 0 GROUP BY ALL ORDER BY ALL""",
            [bin_s, bin_s],
        ).fetchall()
        return Binned(bin_s, columns, rows)

    def memory_by_requests(self, most_bins: int = 150) -> Binned:
        """(requests, memory_mib): the service's resident memory beside the requests answered by then."""
        source = self._path / "resources.parquet"
        columns = ("requests", "memory_mib")
        if not source.is_file():
            return Binned(1.0, columns, [])
        self._open(source, most_bins)
        fine_s = bin_width_s(self.span_s, most_bins)
        bin_s = max(1.0, fine_s)
        rows = self._database.execute(
            f"""
            WITH memory AS (
              SELECT floor(at_ns / 1e9 / $bin) AS bin, avg(rss_mib) AS memory_mib FROM (
                SELECT at_ns, sum(rss_bytes) / 1048576 AS rss_mib FROM observed
                WHERE role::VARCHAR = 'target' AND at_ns >= 0 AND rss_bytes IS NOT NULL GROUP BY at_ns)
              GROUP BY bin),
            answered AS (
              SELECT floor(done * $fine / $bin) AS bin, sum(n) AS requests FROM {self._by_ends(fine_s)} GROUP BY bin),
            so_far AS (SELECT bin, sum(requests) OVER (ORDER BY bin) AS requests FROM answered)
            SELECT coalesce(s.requests, 0)::DOUBLE, m.memory_mib
            FROM memory m ASOF LEFT JOIN so_far s ON m.bin >= s.bin ORDER BY m.bin""",
            {"bin": bin_s, "fine": fine_s},
        ).fetchall()
        return Binned(bin_s, columns, rows)

    def _by_class(self, bin_s: float, per_decade: int) -> str:
        """Name of a table (bin, outcome, class, n): all requests, counted in one pass for whoever asks."""
        return self._once(
            f"by_class_{round(bin_s * 10)}_{per_decade}",
            f"SELECT floor(intended_s / {bin_s}) AS bin, outcome, "
            f"floor(log10(greatest(response_ms, 0.01)) * {per_decade}) AS class, count(*) AS n FROM samples GROUP BY ALL",
        )

    def _by_ends(self, bin_s: float) -> str:
        """Name of a table (due, done, n, received, sent): answered requests and bytes by the bins of beginning and end."""
        return self._once(
            f"by_ends_{round(bin_s * 10)}",
            f"SELECT floor(intended_s / {bin_s}) AS due, floor((intended_s + response_ms / 1e3) / {bin_s}) AS done, "
            "count(*) AS n, sum(bytes_in) AS received, sum(bytes_out) AS sent "
            "FROM samples WHERE done_ns IS NOT NULL AND sent_ns IS NOT NULL GROUP BY ALL",
        )

    def _once(self, name: str, query: str) -> str:
        if name not in self._counted:
            self._database.execute(f"CREATE TEMP TABLE {name} AS {query}")
            self._counted.add(name)
        return name

    def server(self, most_bins: int = 150) -> Binned:
        """(start_s, name, kind, labels, value): what the service said about itself, as far as it moved.

        Gauges, and what was worked out from counters and histograms (rates, hit ratios, quantiles), each as the bin's
        mean. First come the values that the contract asks for by their path in a status document, then how many
        requests run and wait, hit ratios, quantiles, and other names that tell of queues, slots, caches and pools. At
        most `MOST_METRICS` names with `MOST_LABEL_SETS` label sets each.
        """
        source = self._path / "server.parquet"
        columns = ("start_s", "name", "kind", "labels", "value")
        if not source.is_file():
            return Binned(1.0, columns, [])
        bin_s = self._open(source, most_bins)
        rows = self._database.execute(
            """
            WITH shown AS (
              SELECT at_ns, name::VARCHAR AS name, kind::VARCHAR AS kind, labels::VARCHAR AS labels, value,
                CASE WHEN source::VARCHAR IN (SELECT unnest($asked)) THEN 0
                     WHEN kind::VARCHAR = 'gauge' AND regexp_matches(name::VARCHAR, $busy, 'i') THEN 1
                     WHEN kind::VARCHAR = 'ratio' THEN 2
                     WHEN kind::VARCHAR = 'quantile' THEN 3
                     WHEN regexp_matches(name::VARCHAR, $telling, 'i') THEN 4 END AS rank
              FROM observed
              WHERE kind::VARCHAR IN ('gauge', 'rate', 'ratio', 'quantile') AND at_ns >= 0
                AND NOT regexp_matches(name::VARCHAR, '^(process|python)_')
                AND coalesce(json_extract_string(labels::VARCHAR, '$.quantile'), '') <> '0.99'),
            moved AS (
              SELECT name, labels, kind, min(rank) AS rank, max(value) - min(value) AS by_how_much
              FROM shown WHERE rank IS NOT NULL AND isfinite(value) GROUP BY ALL
              HAVING by_how_much > 0 OR (kind <> 'gauge' AND max(value) > 0)),
            ranked AS (
              SELECT name, labels, kind, row_number() OVER (PARTITION BY name ORDER BY by_how_much DESC, labels) AS place,
                     dense_rank() OVER (ORDER BY rank, name) AS panel
              FROM moved)
            SELECT floor(at_ns / 1e9 / $bin) * $bin AS start_s, s.name, s.kind, s.labels, avg(value), min(r.panel) AS panel
            FROM shown s JOIN ranked r ON s.name = r.name AND s.labels = r.labels AND s.kind = r.kind
            WHERE place <= $sets AND panel <= $metrics AND isfinite(value)
            GROUP BY ALL ORDER BY panel, s.name, s.labels, start_s""",
            {
                "bin": bin_s, "busy": BUSY, "telling": TELLING, "metrics": MOST_METRICS, "sets": MOST_LABEL_SETS,
                "asked": self._status_documents,
            },
        ).fetchall()  # fmt: skip
        return Binned(bin_s, columns, [(*row[:3], _label_values(row[3]), row[4]) for row in rows])

    def _open(self, source: Path, most_bins: int) -> float:
        """A recording as the view `observed`; the width of its bins, at least the second that it was made at."""
        self._database.read_parquet(str(source)).create_view("observed", replace=True)
        span = self._database.execute("SELECT max(at_ns) / 1e9 FROM observed").fetchone()
        return max(1.0, bin_width_s(float(span[0] or 0) if span else 0.0, most_bins))


def _label_values(labels: str | None) -> str:
    """`{"operation": "hit"}` as "hit", `{"path": "/ask", "quantile": "0.95"}` as "/ask p95"."""
    try:
        found = json.loads(labels or "{}")
    except ValueError:
        return str(labels)
    if not isinstance(found, dict):
        return str(found)
    quantile = found.pop("quantile", "")
    named = f"p{quantile.removeprefix('0.').ljust(2, '0')}" if str(quantile).startswith("0.") else str(quantile)
    return " ".join(filter(None, [", ".join(str(value) for value in found.values()), named]))


def _shifts(run: Document) -> dict[int, float]:
    """Seconds that each worker's clock started after the first one's: monotonic on one boot, else by wall clock."""
    workers = [worker for worker in listed(run, "workers") if isinstance(worker.get("worker"), int)]
    one_boot = len({worker.get("boot_id") for worker in workers}) == 1
    key = "start_monotonic_ns" if one_boot else "start_unix_ns"
    starts = {worker["worker"]: worker[key] for worker in workers if isinstance(worker.get(key), int)}
    return {worker: (start - min(starts.values())) / 1e9 for worker, start in starts.items()}
