"""The history: one DuckDB file with a row per gate or run and a row per figure. Losing it is a warning, never a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from measurements.errors import FormatError, UsageError

SCHEMA = 1
TABLES = """
create table if not exists about (schema integer);
create table if not exists entries (
    run varchar primary key, ended timestamp, kind varchar, target varchar, verdict varchar, host varchar, commit varchar,
    baseline varchar, pinned boolean default false
);
create table if not exists figures (
    run varchar, endpoint varchar, metric varchar, value double, baseline double, ratio double, low double, high double,
    verdict varchar, primary_figure boolean
);
"""
SUMMARY = ("mean", "p50", "p95", "p99")


@dataclass(frozen=True)
class Point:
    """One figure of one entry; `ratio` and its bounds only of gates. `at` in UTC."""

    run: str
    at: datetime
    verdict: str
    commit: str
    value: float | None
    ratio: float | None
    low: float | None
    high: float | None
    pinned: bool


class Store:
    """`path` is made when it is not there. FormatError for a file of another version or one that is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        if read_only and not self.path.is_file():
            raise UsageError(f"there is no history {self.path}; every plimsoll gate adds to it")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(self.path), read_only=read_only)
        except (duckdb.Error, OSError) as error:
            first = str(error).splitlines()[0][:200]
            raise FormatError(
                f"{self.path} cannot be opened as a history ({first}); move it away and a new one is begun"
            ) from error
        try:
            if not read_only:
                connection.execute(TABLES)
                if not connection.execute("select * from about").fetchall():
                    connection.execute("insert into about values (?)", [SCHEMA])
            found = connection.execute("select schema from about").fetchall()
            if found != [(SCHEMA,)]:
                raise FormatError(
                    f"{self.path} has format version {found[0][0] if found else 0}; this Plimsoll reads {SCHEMA}"
                )
            yield connection
        except duckdb.CatalogException as error:
            raise FormatError(f"{self.path} is no history of Plimsoll's; name another file with --store") from error
        finally:
            connection.close()

    def add_gate(self, verdict: Mapping[str, Any]) -> None:
        """A gate's verdict.json; the same run again replaces what it said before."""
        figures = [
            (c["endpoint"], c["metric"], c.get("candidate"), c.get("baseline"), c.get("ratio"),
             *((c["ci95"] or [None, None]) if c.get("ratio") is not None else [None, None]), c.get("verdict"), c["primary"])
            for c in verdict.get("comparisons", [])
        ]  # fmt: skip
        side = verdict.get("baseline") or {}
        self._add("gate", verdict["run"], verdict["at"], verdict["target"], verdict["verdict"], verdict.get("host") or {},
                  str(verdict.get("git_commit") or ""), str(side.get("label") or ""), figures)  # fmt: skip

    def add_run(self, run: Mapping[str, Any], summary: Mapping[str, Any], at: datetime) -> None:
        """A plain run's run.json and summary.json."""
        entries = {"all": summary["all"], **summary["endpoints"]} if "all" in summary else dict(summary["endpoints"])
        figures: list[tuple[Any, ...]] = []
        for endpoint, entry in entries.items():
            times = entry.get("response_ms") or {}
            figures += [
                (endpoint, f"{name}_ms", times[name], *[None] * 4, None, False)
                for name in SUMMARY
                if times.get(name) is not None
            ]
            figures.append((endpoint, "error_rate", entry.get("error_rate"), *[None] * 4, None, False))
        valid = "VALID" if summary.get("valid") else "INVALID"
        self._add(
            "run",
            run["run"],
            at.isoformat(),
            run["name"],
            valid,
            run.get("host") or {},
            str(run.get("git_commit") or ""),
            "",
            figures,
        )

    def _add(
        self, kind: str, run: str, at: str, target: str, verdict: str, host: Mapping[str, Any], commit: str, baseline: str,
        figures: list[tuple[Any, ...]],
    ) -> None:  # fmt: skip
        moment = datetime.fromisoformat(at).replace(tzinfo=None)
        with self._open() as connection:
            connection.begin()
            pinned = connection.execute("select pinned from entries where run = ?", [run]).fetchone()
            connection.execute("delete from figures where run = ?", [run])
            connection.execute(
                "insert or replace into entries values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [run, moment, kind, target, verdict, host_key(host), commit, baseline, bool(pinned and pinned[0])],
            )
            if figures:
                connection.executemany(
                    "insert into figures values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [(run, *f) for f in figures]
                )
            connection.commit()

    def targets(self) -> list[str]:
        with self._open(read_only=True) as connection:
            return [
                str(row[0]) for row in connection.execute("select distinct target from entries order by 1").fetchall()
            ]

    def series(self, target: str, kind: str = "gate", host: str | None = None) -> dict[tuple[str, str], list[Point]]:
        """(endpoint, metric) → points, oldest first; those of one kind of machine where `host` is given."""
        query = """select f.endpoint, f.metric, e.run, e.ended, e.verdict, e.commit, f.value, f.ratio, f.low, f.high, e.pinned
                   from entries e join figures f using (run) where e.target = ? and e.kind = ? and (? is null or e.host = ?)
                   order by e.ended, e.run"""
        with self._open(read_only=True) as connection:
            rows = connection.execute(query, [target, kind, host, host]).fetchall()
        found: dict[tuple[str, str], list[Point]] = {}
        for endpoint, metric, *rest in rows:
            found.setdefault((endpoint, metric), []).append(Point(*rest))
        return found

    def entries(self, target: str) -> list[dict[str, Any]]:
        with self._open(read_only=True) as connection:
            found = connection.execute("select * from entries where target = ? order by ended, run", [target])
            names = [column[0] for column in found.description or []]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def unsure_streak(self, target: str) -> int:
        """How many of the newest gates running said BLIND or INCONCLUSIVE."""
        gates = [entry["verdict"] for entry in self.entries(target) if entry["kind"] == "gate"]
        return next(
            (k for k, verdict in enumerate(reversed(gates)) if verdict not in ("BLIND", "INCONCLUSIVE")), len(gates)
        )

    def pin(self, run: str) -> None:
        """Makes an entry the release that later ones are shown against; the one before is unpinned."""
        with self._open() as connection:
            row = connection.execute("select target from entries where run = ?", [run]).fetchone()
            if row is None:
                raise UsageError(f"the history {self.path} has no entry {run}; plimsoll history lists them")
            connection.execute("update entries set pinned = (run = ?) where target = ?", [run, row[0]])

    def export(self, path: Path) -> int:
        """Every figure with its entry, as Parquet; returns the rows."""
        if "'" in str(path):
            raise UsageError(f"--export {path}: a path without quotation marks, please")
        with self._open(read_only=True) as connection:
            try:
                connection.execute(
                    f"copy (select * from entries join figures using (run) order by ended, run) to '{path}' (format parquet)"
                )
            except duckdb.IOException:
                raise UsageError(
                    f"--export {path} cannot be written; name a file in a folder that you may write to"
                ) from None
            row = connection.execute("select count(*) from figures").fetchone()
        return int(row[0]) if row else 0


def host_key(host: Mapping[str, Any]) -> str:
    """Machines of one kind: what a figure may be compared across."""
    return " | ".join(str(host.get(key) or "?") for key in ("cpu_model", "cores", "memory_mib", "architecture"))
