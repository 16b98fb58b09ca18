"""The document for a person: what teams read daily, as plain aligned tables, and what was written."""

from __future__ import annotations

from typing import Any

MOST_ROWS = 20
CROSS_COLUMNS = 5
BAR = 20
WIDEST_NAME = 56


def lines(document: dict[str, Any]) -> list[str]:
    found = _summary(document)
    found += _hours(document)
    found += _endpoints(document)
    found += _cross(document)
    found += _tokens(document)
    found += _top_errors(document)
    found += _skipped(document)
    found += [f"note: {note}" for note in document["notes"]]
    return found + _written(document)


def _summary(document: dict[str, Any]) -> list[str]:
    found = [
        f"{_name(file['path'], 60)}: {file['format']}{', gzip' if file['gzip'] else ''}, {file['lines']:,} lines, "
        f"{file['requests']:,} requests" + (f", {file['skipped']:,} skipped" if file["skipped"] else "")
        for file in document["files"]
    ]
    errors, span, arrivals = document["errors"], document["span"], document["arrivals"]
    text = f"{document['requests']:,} requests, {errors['rate']:.2%} errors"
    if errors["rejected"]:
        text += f" (of them {errors['rejected']:,} refused by a limit: 429, 503)"
    found.append(text)
    if span:
        found.append(f"{span['first']} to {span['last']}, {_rate(span['rps'])} requests/s on average")
        units = {1: "second", 60: "minute", 3600: "hour"}
        peaks = [f"{units[p['length_s']]} {_rate(p['rps'])}/s" for p in arrivals["peaks"]]
        text = f"busiest: {', '.join(peaks)}"
        if arrivals["dispersion"] is not None:
            text += f"; variance/mean of a second's requests {arrivals['dispersion']:.2f} (Poisson: 1)"
        found.append(text)
    return found


def _hours(document: dict[str, Any]) -> list[str]:
    hours = [hour for hour in document["hours"] if hour["covered_s"]]
    if not hours:
        return []
    top = max(hour["rps"] for hour in hours) or 1
    timed = any(hour["response_ms"] for hour in hours)
    heads = ["hour", "requests", "req/s", "2xx", "3xx", "4xx", "5xx", "429+503", "errors"]
    heads += ["p50 ms", "p95 ms"] if timed else []
    rows = []
    for hour in hours:
        of_class, errors = hour["statuses"], hour["errors"]
        row = [f"{hour['hour']:02d}", f"{hour['requests']:,}", _rate(hour["rps"])]
        row += [f"{of_class[name]:,}" for name in ("2xx", "3xx", "4xx", "5xx")]
        row += [f"{errors['rejected']:,}", f"{errors['rate']:.2%}"]
        row += [_ms(hour["response_ms"], "p50"), _ms(hour["response_ms"], "p95")] if timed else []
        rows.append([*row, "#" * round(BAR * hour["rps"] / top)])
    zone = document["span"]["zone"] or "since the trace's start"
    return ["", f"By hour of day ({zone})", *table([*heads, ""], rows, left={len(heads)})]


def _endpoints(document: dict[str, Any]) -> list[str]:
    timed = any(endpoint["response_ms"] for endpoint in document["endpoints"])
    heads = ["endpoint", "requests", "share", "4xx+5xx", "429+503", "errors"]
    heads += ["mean ms", "p50 ms", "p95 ms", "p99 ms", "max ms"] if timed else []
    rows = []
    for endpoint in document["endpoints"][:MOST_ROWS]:
        errors = endpoint["errors"]
        row = [_name(endpoint["endpoint"]), f"{endpoint['requests']:,}", f"{endpoint['share']:.1%}"]
        row += [f"{errors['count']:,}", f"{errors['rejected']:,}", f"{errors['rate']:.2%}"]
        times = endpoint["response_ms"]
        row += [_ms(times, key) for key in ("mean", "p50", "p95", "p99", "max")] if timed else []
        rows.append(row)
    more = len(document["endpoints"]) - MOST_ROWS
    return [
        "",
        "By endpoint",
        *table(heads, rows, left={0}),
        *([f"  and {more} more (--json has them)"] if more > 0 else []),
    ]


def _cross(document: dict[str, Any]) -> list[str]:
    """Requests, and errors after a slash, by hour for the busiest endpoints."""
    names = [e["endpoint"] for e in document["endpoints"] if e["endpoint"] in document["hours_by_endpoint"]]
    names = names[:CROSS_COLUMNS]
    if len(names) < 2:
        return []
    hours = [hour["hour"] for hour in document["hours"] if hour["covered_s"]]
    cells = document["hours_by_endpoint"]
    rows = [
        [f"{hour:02d}", *(f"{cells[n][hour]['requests']:,}/{cells[n][hour]['errors']:,}" for n in names)]
        for hour in hours
    ]
    return [
        "",
        "By hour and endpoint (requests/errors)",
        *table(["hour", *(_name(n, 28) for n in names)], rows, left=set()),
    ]


def _tokens(document: dict[str, Any]) -> list[str]:
    if not document["tokens"]:
        return []
    rows = []
    for name in ("prompt", "answer"):
        tokens = document["tokens"][name]
        if tokens:
            fit = tokens["lognormal"]
            row = [name, *(f"{tokens[q]:,}" for q in ("mean", "min", "p10", "p50", "p90", "p95", "p99", "max"))]
            rows.append(
                [*row, *([f"{fit['median']:,g}", f"{fit['sigma']:.3f}", f"{fit['ks']:.3f}"] if fit else ["-"] * 3)]
            )
    heads = ["tokens", "mean", "min", "p10", "p50", "p90", "p95", "p99", "max", "fit median", "sigma", "KS"]
    return ["", "Token lengths (fit: lognormal; KS below 0.05 is a fair fit)", *table(heads, rows, left={0})]


def _top_errors(document: dict[str, Any]) -> list[str]:
    rows = [[str(error["status"]), f"{error['count']:,}", _name(error["endpoint"])] for error in document["top_errors"]]
    return ["", "Top errors", *table(["status", "requests", "endpoint"], rows, left={2})] if rows else []


def _skipped(document: dict[str, Any]) -> list[str]:
    skipped = document["skipped"]
    if not skipped["count"]:
        return []
    first = [f'  {_name(s["path"], 60)}:{s["line"]}: {s["reason"]}: "{s["text"]}"' for s in skipped["first"]]
    return ["", f"{skipped['count']:,} skipped as no request; the first:", *first]


def _written(document: dict[str, Any]) -> list[str]:
    made = document.get("written")
    if not made:
        return []
    found = [""]
    contract, arrivals, daily = made["contract"], made["arrivals"], made["daily"]
    if "path" in contract:
        found.append(f"contract  {contract['path']}  (set base_url and what is marked fill in)")
    if "path" in arrivals:
        what = "all that was logged" if arrivals["whole"] else f"the busiest {_length(arrivals['length_s'])}"
        exact = "" if arrivals["resolution"] == "as logged" else ", spread at random within each second"
        found.append(f"arrivals  {arrivals['path']}  ({arrivals['arrivals']:,}: {what}{exact})")
        found.append(f"          {arrivals['command']}")
    if "path" in daily:
        minutes = 24 * daily["hour_s"] / 60
        found.append(
            f"daily     {daily['path']}  ({daily['arrivals']:,}: a day at its true rates in {minutes:.0f} minutes)"
        )
        found.append(f"          {daily['command']}")
    return found + [f"{what:<9} not written: {made[what]['why_not']}" for what in made if "why_not" in made[what]]


def table(heads: list[str], rows: list[list[str]], left: set[int]) -> list[str]:
    """Columns as wide as their widest cell, right-aligned but for the places in `left`."""
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]


def _name(text: str, longest: int = WIDEST_NAME) -> str:
    """The beginning and the end of a long name; nothing unprintable."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= longest else f"{shown[: longest // 2 - 1]}…{shown[-(longest - longest // 2) :]}"


def _rate(rps: float) -> str:
    return f"{rps:,.0f}" if rps >= 100 else f"{rps:.3g}"


def _ms(times: dict[str, Any] | None, key: str) -> str:
    return (
        "-" if not times or times[key] is None else f"{times[key]:,.0f}" if times[key] >= 100 else f"{times[key]:.3g}"
    )


def _length(seconds: int) -> str:
    for unit, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
