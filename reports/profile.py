"""What the service's processes did: CPU by function and package, blocked threads, memory over requests, for the page."""

from dataclasses import dataclass, field

from markupsafe import Markup

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from reports import quantities as q
from reports.charts.chart import Chart
from reports.charts.memory_over_time import memory_over_time
from reports.documents import Document, amount, listed, section, texts
from reports.flames import by_package, flame_graph
from reports.key_figures import Tone
from reports.page import page_of
from reports.tables import Mark
from reports.wording import Words

FILE = "profiles/profiles.json"
MOST_FUNCTIONS, MOST_PLACES = 12, 6
MOST_HOURS = 72.0  # beyond it people count days
TONES: dict[str, Tone] = {"leak": "bad", "growing": "warn", "cache": "warn", "no_leak": "good", "unknown": "quiet"}
BLOCKED = ("lock", "pool_checkout", "socket_read", "sleep", "disk_or_pipe", "running", "gil")


@dataclass(frozen=True)
class Profile:
    """Everything as text; what was not recorded is empty, and `missing` says why, with the remedy."""

    cpu: str = ""
    each: str = ""  # CPU of a request
    rate: str = ""
    functions: list[dict[str, str]] = field(default_factory=list)
    flame: Markup | None = None
    files: list[tuple[str, str]] = field(default_factory=list)
    places: list[dict[str, str]] = field(default_factory=list)
    loop: str = ""
    memory: Mark | None = None
    memory_why: str = ""
    memory_lines: list[str] = field(default_factory=list)  # until the limit, per user, traced, per request
    chart: Chart | None = None
    kept: list[dict[str, str]] = field(default_factory=list)
    overheads: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.cpu or self.places or self.memory or self.missing)


def find(run: RunDirectory, summary: Document, points: list[tuple[float, float]], words: Words) -> Profile:
    """From profiles.json where a profile was taken, and from the run's own summary. `points`: memory over time."""
    document: Document = {}
    if run.has(FILE):
        try:
            document = run.read_json(FILE)
        except PlimsollError as error:
            return Profile(missing=[str(error)])
    cpu, memory = section(document, "cpu"), section(document, "memory")
    seen = section(summary, "blocked_frames")
    places = listed(seen, "places") or listed(section(document, "frames"), "frames")
    grown = section(summary, "memory_growth")
    load = None
    if not summary:
        grown = section(document, "growth")
        over_time = section(document, "memory_over_time")
        points = list(zip(over_time.get("at_s") or [], over_time.get("rss_mib") or [], strict=False))
        span = section(over_time, "phases").get("load")
        load = (span[0], span[1]) if isinstance(span, list) and len(span) == 2 else None
    return Profile(
        cpu=by_package(listed(cpu, "packages")),
        each=_written(cpu, "cpu_ms_per_request", q.milliseconds),
        rate=_written(document, "rate_rps", q.rate),
        functions=[_function(row) for row in listed(cpu, "functions")[:MOST_FUNCTIONS]],
        flame=flame_graph(section(cpu, "tree"), words("profile.flame"), words("profile.flame_desc")),
        files=[
            (str(one.get("flame_graph")), words(f"profile.file_{name}"))
            for name, one in (("cpu", cpu), ("memory", memory))
            if one.get("flame_graph") and not one.get("why_not") and run.has(str(one["flame_graph"]))
        ],
        places=[_place(row, words) for row in places if row.get("class") in BLOCKED][:MOST_PLACES],
        loop=_loop(section(document, "frames", "event_loop"), words),
        memory=_verdict(grown, words),
        memory_why=str(grown.get("why") or ""),
        memory_lines=[*_growing(grown, section(document, "users"), words), *_traced(memory, words)],
        chart=memory_over_time(points, grown, load, words) if grown else None,
        kept=[_kept(row) for row in listed(memory, "retained")[:MOST_PLACES]],
        overheads=[line for one in listed(document, "passes") if (line := _overhead(one, words))],
        missing=_told(document, "why_not"),
        notes=_told(document, "notes"),
    )


def page(run: RunDirectory, words: Words) -> str:
    """The page of a directory that `plimsoll profile` made."""
    document = run.read_json("run.json")
    name = str(document.get("name") or run.identity)
    found = find(run, {}, [], words)
    return page_of(
        "profile_page.html.j2", words, name=name, identity=run.identity, profile=found, command=document.get("command"),
        tone=found.memory.tone if found.memory else "quiet", verdict=verdict(name, found, words),
    )  # fmt: skip


def verdict(name: str, found: Profile, words: Words) -> str:
    """The one sentence of a profile's own page."""
    if found.cpu and found.each and found.rate:
        return words("profile.verdict", name=name, each=found.each, rate=found.rate, cpu=found.cpu)
    if found.memory and found.rate:
        return words("profile.verdict_memory", name=name, rate=found.rate, memory=found.memory.word)
    return words("profile.verdict_none", name=name)


def _name(row: Document, key: str) -> str:
    """A name from the profiled process, without control characters."""
    return "".join(character for character in str(row.get(key) or "") if character.isprintable())


def _where(row: Document) -> str:
    file = _name(row, "file")
    return f"{file}:{row['line']}" if file and row.get("line") else file


def _function(row: Document) -> dict[str, str]:
    return {
        "function": _name(row, "function"),
        "place": _where(row),
        "package": _name(row, "package"),
        "self": q.shown(row.get("self_share"), q.share),
        "total": q.shown(row.get("total_share"), q.share),
        "each": q.shown(row.get("cpu_ms_per_request"), q.milliseconds),
    }


def _written(document: Document, key: str, formatter: q.Formatter) -> str:
    value = amount(document, key)
    return "" if value is None else formatter(value)


def _place(row: Document, words: Words) -> dict[str, str]:
    return {
        "kind": words.known("blocked", str(row.get("class"))),
        "function": _name(row, "function"),
        "place": _where(row),
        "count": q.shown(row.get("count"), q.count),
        "share": q.shown(row.get("share"), q.share),
    }


def _loop(loop: Document, words: Words) -> str:
    share = amount(loop, "blocked_share")
    return words("profile.loop", share=q.share(share), by=loop.get("by")) if share else ""


def _verdict(grown: Document, words: Words) -> Mark | None:
    verdict = grown.get("verdict")
    return Mark(words(f"growth.{verdict}"), TONES[verdict]) if verdict in TONES else None


def _growing(grown: Document, users: Document, words: Words) -> list[str]:
    """When the limit would be reached, and what a user's connection holds."""
    lines = []
    left, limit_mib = section(grown, "hours_to_limit"), amount(grown, "limit_mib")
    low, high = amount(left, "low"), amount(left, "high")
    if low is not None and limit_mib is not None:
        unit, scale = ("days", 24.0) if low > MOST_HOURS else ("hours", 1.0)
        earliest = q.number(low / scale)
        time = f"≥ {earliest}" if high is None else q.between(low / scale, high / scale, q.number)
        lines.append(words(f"profile.until_limit_{unit}", limit=q.mebibytes(limit_mib), time=time))
    each_mib = amount(users, "mib_per_user_at_least")
    if each_mib is not None:
        given = {"users": q.shown(users.get("users"), q.count), "kib": q.number(each_mib * 1024)}
        lines.append(words("profile.per_user", **given))
    return lines


def _traced(memory: Document, words: Words) -> list[str]:
    """What memray saw: before the load, at its peak, by package, and for one request."""
    base, peak, kept = (amount(memory, key) for key in ("base_mib", "peak_mib", "retained_mib"))
    if base is None or peak is None or kept is None or memory.get("why_not"):
        return []
    figures = {"base": q.mebibytes(base), "peak": q.mebibytes(peak), "kept": q.mebibytes(kept)}
    processes = memory.get("processes")
    lines = [
        words("profile.traced", **figures, processes=q.count(len(processes) if isinstance(processes, list) else 0))
    ]
    if packages := by_package(listed(memory, "packages")):
        lines.append(words("profile.memory_packages", packages=packages))
    made = section(memory, "per_request")
    kib, count = amount(made, "kib"), amount(made, "allocations")
    if kib is not None and count is not None:
        lines.append(words("profile.allocates", kib=q.number(kib), count=q.number(count)))
    return lines


def _kept(row: Document) -> dict[str, str]:
    each_kib = amount(row, "kib_per_request")
    return {
        "function": _name(row, "function"),
        "place": _where(row),
        "mib": q.shown(row.get("mib"), q.mebibytes),
        "each": f"{q.number(each_kib)} KiB" if each_kib is not None else q.NOTHING,
    }


def _overhead(one: Document, words: Words) -> str:
    cost = section(one, "overhead")
    response, cpu = amount(cost, "response_mean"), amount(cost, "cpu_per_request")
    if response is None and cpu is None:
        return ""
    name = words.known("profile_pass", str(one.get("pass")))
    return words("profile.overhead", name=name, response=_times(response), cpu=_times(cpu))


def _times(ratio: float | None) -> str:
    return q.NOTHING if ratio is None else f"{ratio:.2f}×"


def _told(document: Document, key: str) -> list[str]:
    """Of all passes: why one could not run ("why_not"), or what qualifies those that did ("notes")."""
    found: list[str] = []
    for name in ("cpu", "frames", "memory"):
        one = section(document, name)
        if key == "notes":
            found += [] if one.get("why_not") else texts(one.get(key))
        elif one.get(key):
            found.append(str(one[key]))
    return list(dict.fromkeys(found))
