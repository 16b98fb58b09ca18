"""The line under the title: what was asked, when and for how long."""

from datetime import UTC, datetime

from reports import quantities as q
from reports.documents import Document, Documents

STAMP = "%Y%m%dT%H%M%SZ"


def made(read: Documents) -> list[str]:
    """Address (the first of several), start in UTC, seconds of load; what is not known is left out."""
    urls = [str(url) for url in read.run.get("base_urls") or []]
    address = urls[0] + (f" + {len(urls) - 1}" if len(urls) > 1 else "") if urls else ""
    lasted = read.summary.get("duration_s")
    return [part for part in (address, _started(read.run), q.seconds(lasted) if q.is_number(lasted) else "") if part]


def _started(run: Document) -> str:
    name = str(run.get("run") or "")
    try:
        return f"{datetime.strptime(name[:16], STAMP).replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return ""


def per_second(read: Documents, entry: Document) -> str:
    """Requests of one endpoint per second of load; the stages' time where the run ended early."""
    lasted = read.summary.get("duration_s") or sum(float(stage.get("duration_s") or 0.0) for stage in read.stages)
    count = entry.get("count")
    return q.number(count / lasted) if q.is_number(count) and q.is_number(lasted) and lasted else q.NOTHING
