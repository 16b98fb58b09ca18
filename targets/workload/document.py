"""The result as one JSON document: what `plimsoll workload --json` prints and the tables are made from."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from targets.workload.merged import Merged
from targets.workload.paths import shown, split_endpoint
from targets.workload.reading import Reading
from targets.workload.shown import printable
from targets.workload.tally import NO_HOUR

TOP_ERRORS = 10
ERROR = 400
SHOWN_TEXT = 100


def document(reading: Reading) -> dict[str, Any]:
    """Folds the endpoints to their final names first. Times in milliseconds, rates per second, shares 0 to 1.

    "hours" are of the day in the log's own zone (or, of a trace with relative times, since its start); "covered_s" is
    how much of that hour the log covers: from its first to its last request, without days that have none.
    """
    merged = reading.merged
    merged.fold()
    span = _span(reading)
    return {
        "schema": 1,
        "files": [
            {
                "path": str(file.path), "format": file.format.name, "gzip": file.gzipped, "lines": file.lines,
                "requests": file.requests, "skipped": file.skipped, "damage": file.damage or None,
            }
            for file in reading.files
        ],
        "lines": sum(file.lines for file in reading.files),
        "requests": merged.requests,
        "skipped": {
            "count": sum(file.skipped for file in reading.files),
            "first": [
                {"path": str(path), "line": e.line, "reason": e.reason, "text": printable(e.text, SHOWN_TEXT)}
                for path, e in reading.examples
            ],
        },
        "span": span,
        "errors": _errors(_statuses(merged)),
        "statuses": _classes(_statuses(merged)),
        "endpoints": _endpoints(merged),
        "hours": _hours(merged) if span else [],
        "hours_by_endpoint": _hours_by_endpoint(merged) if span else {},
        "top_errors": _top_errors(merged),
        "arrivals": _arrivals(reading) if span else None,
        "tokens": {"prompt": merged.tokens_in.as_json(), "answer": merged.tokens_out.as_json()}
        if reading.trace
        else None,
        "notes": _notes(reading),
    }  # fmt: skip


def _span(reading: Reading) -> dict[str, Any] | None:
    """First and last arrival; None where no time is logged."""
    merged = reading.merged
    at, _ = merged.arrivals.seconds()
    if not len(at):
        return None
    seconds = int(at[-1] - at[0]) + 1
    found: dict[str, Any] = {"seconds": seconds, "rps": merged.arrivals.count / seconds, "relative": reading.relative}
    if reading.relative:
        return found | {"first": f"{int(at[0])} s", "last": f"{int(at[-1])} s", "zone": None}
    zone = timezone(_clamped(merged.offsets_s.most_common(1)[0][0]))
    first, last = (datetime.fromtimestamp(int(second), UTC).astimezone(zone) for second in (at[0], at[-1]))
    return found | {"first": first.isoformat(), "last": last.isoformat(), "zone": first.strftime("%z")}


def _clamped(offset_s: int) -> timedelta:
    return timedelta(seconds=max(-86_340, min(86_340, offset_s)))


def _statuses(merged: Merged, endpoint: str | None = None) -> Counter[int]:
    found: Counter[int] = Counter()
    for counts in merged.counts.values() if endpoint is None else [merged.counts[endpoint]]:
        for (_, status), count in counts.items():
            found[status] += count
    return found


def _classes(statuses: Counter[int]) -> dict[str, int]:
    """Counts by class, 2xx to 5xx; whatever is none of these (nginx's 499 is a 4xx) under "other"."""
    found = Counter(dict.fromkeys(("2xx", "3xx", "4xx", "5xx", "other"), 0))
    for status, count in statuses.items():
        found[f"{status // 100}xx" if 200 <= status < 600 else "other"] += count
    return dict(found)


def _errors(statuses: Counter[int]) -> dict[str, Any]:
    """429 and 503 are limits that worked; they count as errors, and are told apart as `rejected`."""
    total, errors = statuses.total(), sum(count for status, count in statuses.items() if status >= ERROR)
    rejected = statuses[429] + statuses[503]
    return {"count": errors, "rate": errors / total if total else 0.0, "rejected": rejected}


def _endpoints(merged: Merged) -> list[dict[str, Any]]:
    ranked = sorted(merged.counts, key=lambda name: (-merged.counts[name].total(), name))
    found = []
    for name in ranked:
        statuses = _statuses(merged, name)
        method, path = split_endpoint(name)
        times = merged.times.get(name)
        found.append(
            {
                "endpoint": shown(name), "method": method or None, "path": shown(path) or None,
                "requests": statuses.total(), "share": statuses.total() / merged.requests, "errors": _errors(statuses),
                "statuses": {str(status): count for status, count in statuses.most_common(20)},
                "response_ms": times.as_json() if times else None,
            }
        )  # fmt: skip
    return found


def _hours(merged: Merged) -> list[dict[str, Any]]:
    by_hour: dict[int, Counter[int]] = {}
    for counts in merged.counts.values():
        for (hour, status), count in counts.items():
            by_hour.setdefault(hour, Counter())[status] += count
    covered_s = _covered_s(merged)
    return [
        {
            "hour": hour, "covered_s": covered_s[hour], "requests": by_hour.get(hour, Counter()).total(),
            "rps": by_hour.get(hour, Counter()).total() / covered_s[hour] if covered_s[hour] else None,
            "statuses": _classes(by_hour.get(hour, Counter())), "errors": _errors(by_hour.get(hour, Counter())),
            "response_ms": merged.hour_times[hour].as_json() if hour in merged.hour_times else None,
        }
        for hour in range(24)
    ]  # fmt: skip


def _covered_s(merged: Merged) -> list[int]:
    """Seconds of each hour of day between the first and the last request, on days that have any."""
    first, last = merged.first_local_s, merged.last_local_s
    if first is None or last is None:
        return [0] * 24
    return [
        sum(
            max(0, min(day * 86_400 + (hour + 1) * 3600, last + 1) - max(day * 86_400 + hour * 3600, first))
            for day in merged.days
        )
        for hour in range(24)
    ]


def _hours_by_endpoint(merged: Merged) -> dict[str, list[dict[str, int]]]:
    """Endpoint to 24 times {"requests", "errors"}."""
    found = {}
    for name, counts in merged.counts.items():
        hours = [{"requests": 0, "errors": 0} for _ in range(24)]
        for (hour, status), count in counts.items():
            if hour != NO_HOUR:
                hours[hour]["requests"] += count
                hours[hour]["errors"] += count if status >= ERROR else 0
        found[shown(name)] = hours
    return found


def _top_errors(merged: Merged) -> list[dict[str, Any]]:
    found: Counter[tuple[int, str]] = Counter()
    for name, counts in merged.counts.items():
        for (_, status), count in counts.items():
            if status >= ERROR:
                found[status, shown(name)] += count
    return [
        {"status": status, "endpoint": name, "count": count} for (status, name), count in found.most_common(TOP_ERRORS)
    ]


def _arrivals(reading: Reading) -> dict[str, Any]:
    arrivals = reading.merged.arrivals
    return {
        "timed": arrivals.count,
        "resolution": "as logged" if arrivals.exact else "1 s",
        "peaks": arrivals.peaks(),
        "dispersion": arrivals.dispersion(),
    }


def _notes(reading: Reading) -> list[str]:
    """What a reader of the numbers must know, a sentence each."""
    merged, notes = reading.merged, []
    notes += [f"{printable(str(file.path), 200)}: {file.damage}" for file in reading.files if file.damage]
    if len({file.format.name for file in reading.files}) > 1:
        notes.append("the files are in several formats: a request that proxy and service both log counts twice")
    untimed = merged.requests - merged.arrivals.count - merged.arrivals.outside
    if not merged.arrivals.count:
        notes.append(
            "no line has a time (uvicorn's default format has none): no hours, no arrivals; "
            "put %(asctime)s in front of uvicorn's access format, or read the proxy's log"
        )
    elif untimed:
        notes.append(f"{untimed:,} requests have no readable time; they are in the mix, not in hours and arrivals")
    if merged.arrivals.outside:
        notes.append(f"{merged.arrivals.outside:,} requests lie on days beyond the first 366; read such logs in parts")
    if not merged.times and not reading.trace:
        notes.append("no line has a response time; with nginx, append $request_time to log_format")
    if any(file.format.name == "BurstGPT trace" for file in reading.files):
        notes.append("rows without response tokens are counted as failed (500) and left out of the token lengths")
    return notes
