"""The job queue in SQLite: few run at once, few wait, all others are refused at once.

The record (who waits, who runs, what became of the rest) is in data/queue.db, so the limits hold over all workers of
the service; the work itself is done by threads of the worker that got the request.

A job's time counts from when it came. A job whose time is up while it waits is never run. One whose time is up while
it runs is given up by its client, but a thread cannot be stopped: it keeps its slot until it is done.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from targets.reference.alaw.settings import QueueLimit

OTHERS_POLL_S = 0.02
OUTCOMES = ("completed", "failed", "timeout", "rejected", "cleared")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, state TEXT NOT NULL, worker INTEGER NOT NULL,
    came_unix_s REAL NOT NULL, started_unix_s REAL
);
CREATE INDEX IF NOT EXISTS waiting ON jobs (queue, state, id);
CREATE TABLE IF NOT EXISTS outcomes (
    queue TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (queue, outcome)
);
"""

_PENDING_AND_RUNNING = """
SELECT COUNT(*) FILTER (WHERE state = 'pending'), COUNT(*) FILTER (WHERE state = 'running') FROM jobs WHERE queue = ?
"""
_OLDEST_AND_RUNNING = """
SELECT (SELECT MIN(id) FROM jobs WHERE queue = ? AND state = 'pending'),
       (SELECT COUNT(*) FROM jobs WHERE queue = ? AND state = 'running')
"""
_START = "UPDATE jobs SET state = 'running', started_unix_s = ? WHERE id = ?"


class QueueFullError(Exception):
    """All slots are taken and as many jobs wait as may."""


class JobTimeoutError(Exception):
    """The job was not done within the queue's time."""


class JobClearedError(Exception):
    """The queue was cleared while the job waited."""


class Jobs:
    """Used from one event loop. SQLite is called on it directly: a transaction takes some 0.1 ms on an idle service;
    while threads compute, each statement waits for the GIL again, so that the queue itself slows under load."""

    def __init__(self, path: Path, limits: Mapping[str, QueueLimit]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.limits = dict(limits)
        self._database = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)
        self._forget_dead_workers()
        self._work: dict[int, Callable[[], Any]] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._threads = {
            queue: ThreadPoolExecutor(limit.max_concurrent, thread_name_prefix=queue)
            for queue, limit in self.limits.items()
        }

    async def run(self, queue: str, work: Callable[[], Any]) -> Any:
        """What `work()` returns. Raises QueueFullError, JobTimeoutError, JobClearedError, or what `work` raises."""
        limit = self.limits[queue]
        job = self._enter(queue, limit)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._work[job], self._answers[job] = work, answer
        self._start_waiting(queue)
        try:
            return await asyncio.wait_for(asyncio.shield(answer), limit.timeout_s)
        except TimeoutError:
            if self._work.pop(job, None) is not None:
                self._end(job, queue, "timeout")
            raise JobTimeoutError(f"not done within {limit.timeout_s:g} s") from None
        finally:
            self._answers.pop(job, None)
            self._start_waiting(queue)

    def _enter(self, queue: str, limit: QueueLimit) -> int:
        with self._transaction() as database:
            pending, running = self._counts(queue)
            if pending >= limit.max_queue_size + max(0, limit.max_concurrent - running):
                self._add_outcome(queue, "rejected")
                full = True
            else:
                full = False
                row = (queue, "pending", os.getpid(), time.time())
                job = database.execute(
                    "INSERT INTO jobs (queue, state, worker, came_unix_s) VALUES (?, ?, ?, ?)", row
                ).lastrowid
        if full:
            raise QueueFullError(f"{running} running, {pending} waiting")
        assert job is not None
        return job

    def _start_waiting(self, queue: str) -> None:
        """Start own jobs while there is a slot and the job that waits longest is ours."""
        loop = asyncio.get_running_loop()
        while (job := self._claim(queue)) is not None:
            done = loop.run_in_executor(self._threads[queue], self._work.pop(job))
            done.add_done_callback(partial(self._finished, job, queue))

    async def watch_other_workers(self) -> None:
        """Until cancelled: see when another worker's job has left a slot, or another worker cleared the queue."""
        while True:
            await asyncio.sleep(OTHERS_POLL_S)
            for job in [job for job in self._work if self._state(job) is None]:
                self._drop(job)
            for queue in self.limits if self._work else ():
                self._start_waiting(queue)

    def _claim(self, queue: str) -> int | None:
        if not self._work:
            return None
        with self._transaction() as database:
            oldest, running = database.execute(_OLDEST_AND_RUNNING, (queue, queue)).fetchone()
            if oldest not in self._work or running >= self.limits[queue].max_concurrent:
                return None
            database.execute(_START, (time.time(), oldest))
            return int(oldest)

    def _finished(self, job: int, queue: str, done: asyncio.Future[Any]) -> None:
        answer = self._answers.get(job)
        error = done.exception()
        self._end(job, queue, "timeout" if answer is None else "failed" if error else "completed")
        if answer is not None and not answer.done():
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(done.result())
        self._start_waiting(queue)

    def clear(self) -> int:
        """Drop every job that waits; how many there were."""
        with self._transaction() as database:
            rows = database.execute("SELECT id, queue FROM jobs WHERE state = 'pending'").fetchall()
            database.execute("DELETE FROM jobs WHERE state = 'pending'")
            for _, queue in rows:
                self._add_outcome(queue, "cleared")
        for job, _ in rows:
            self._drop(job)
        return len(rows)

    def _drop(self, job: int) -> None:
        self._work.pop(job, None)
        if (answer := self._answers.get(job)) and not answer.done():
            answer.set_exception(JobClearedError("the queue was cleared"))

    def status(self) -> dict[str, dict[str, float]]:
        """By queue: pending, running, the outcomes so far, and the limits."""
        counted = {
            (queue, state): count
            for queue, state, count in self._database.execute(
                "SELECT queue, state, COUNT(*) FROM jobs GROUP BY queue, state "
                "UNION ALL SELECT queue, outcome, count FROM outcomes"
            )
        }
        return {
            queue: {state: counted.get((queue, state), 0) for state in ("pending", "running", *OUTCOMES)}
            | limit._asdict()
            for queue, limit in self.limits.items()
        }

    async def close(self) -> None:
        """Waits for the jobs that run."""
        for threads in self._threads.values():
            await asyncio.to_thread(threads.shutdown)
        await asyncio.sleep(0)  # lets their callbacks write what became of them
        self._database.close()

    def _end(self, job: int, queue: str, outcome: str) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (job,))
            self._add_outcome(queue, outcome)

    def _add_outcome(self, queue: str, outcome: str) -> None:
        self._database.execute(
            "INSERT INTO outcomes VALUES (?, ?, 1) ON CONFLICT (queue, outcome) DO UPDATE SET count = count + 1",
            (queue, outcome),
        )

    def _counts(self, queue: str) -> tuple[int, int]:
        """(pending, running)."""
        pending, running = self._database.execute(_PENDING_AND_RUNNING, (queue,)).fetchone()
        return pending, running

    def _state(self, job: int) -> str | None:
        row = self._database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else str(row[0])

    def _forget_dead_workers(self) -> None:
        """Jobs of workers that are gone would hold their slots for ever."""
        for (worker,) in self._database.execute("SELECT DISTINCT worker FROM jobs").fetchall():
            if worker == os.getpid() or not Path(f"/proc/{worker}").exists():
                self._database.execute("DELETE FROM jobs WHERE worker = ?", (worker,))

    def _transaction(self) -> "_Immediate":
        return _Immediate(self._database)


class _Immediate:
    """BEGIN IMMEDIATE … COMMIT: what is read stays true until what is written."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._database.execute("ROLLBACK" if kind else "COMMIT")
