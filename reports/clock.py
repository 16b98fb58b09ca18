"""The time of day of a run's moments, in UTC: what one lays beside a log."""

from datetime import UTC, datetime, timedelta

from reports.documents import Document, listed


def began(run: Document) -> datetime | None:
    """When its first load process began; None where none says it."""
    starts = [
        worker["start_unix_ns"] for worker in listed(run, "workers") if isinstance(worker.get("start_unix_ns"), int)
    ]
    return datetime.fromtimestamp(min(starts) / 1e9, UTC) if starts else None


def told(moment: datetime | None, later_s: float = 0.0) -> str:
    """14:03:07, `later_s` after the moment."""
    return (moment + timedelta(seconds=later_s)).strftime("%H:%M:%S") if moment else ""
