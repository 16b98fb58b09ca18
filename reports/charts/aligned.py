"""CPU, memory and the service's own gauges, one above the other on one axis of time: causes line up with effects."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import explore
from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.charts.over_time import boundaries
from reports.documents import Document, amount, section
from reports.explore import Explorer
from reports.series import Binned, Series
from reports.wording import Words

ROLES = {"target": 0, "generator": 2, "host": 3}  # the order of lines; dependencies come between


@dataclass(frozen=True)
class Line:
    name: str
    points: list[tuple[float, float]]
    colour: str
    thin: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    lines: list[Line]
    limit: tuple[float, str] | None = None


def resources(series: Series, contract: Document, stages: Sequence[Document], words: Words) -> Chart | None:
    """Requests in flight, cores and memory of each role's processes, and what the service said about itself."""
    waiting, used = series.in_flight(), series.resources()
    panels = _of_processes(used, section(contract, "resources"), words) + _of_traffic(series.traffic(), words)
    panels += _of_server(series.server(), words)
    if waiting.rows:
        line = Line("", waiting.rows, canvas.BLUE)
        panels.insert(0, Panel(words("axis.in_flight"), [line]))
    if not panels:
        return None
    span_s = max(point[0] for panel in panels for line in panel.lines for point in line.points) + waiting.bin_s

    def paint(figure: Figure, narrow: bool) -> None:
        rows = figure.subplots(len(panels), 1, squeeze=False).ravel()
        for axes, panel in zip(rows, panels, strict=True):
            canvas.plain_axes(axes, "", panel.title)
            boundaries(axes, stages)
            _draw(axes, panel, span_s)
            ticks.unmarked(axes, span_s)
        ticks.clock_axis(rows[-1], span_s, 5 if narrow else 12)
        rows[-1].set_xlabel(ticks.time_label(words, span_s, series.began))

    title = words("chart.resources.title")
    height = 120 * len(panels) + 40
    wide, slim = canvas.draw(paint, "resources", title, words("chart.resources.desc"), wide_px=height, narrow_px=height)
    lines = [
        (f"{panel.title}: {line.name}".removesuffix(": "), dict(line.points))
        for panel in panels
        for line in panel.lines
    ]
    columns = (Column(words("column.from"), q.seconds), *(Column(name, q.number) for name, _ in lines))
    moments = sorted({moment for _, points in lines for moment in points})
    rows = [[moment, *(points.get(moment) for _, points in lines)] for moment in moments]
    explorer = Explorer(moments, [_asked(panel, moments) for panel in panels])
    return Chart("resources", title, words("chart.resources.note"), wide, slim, Table(columns, rows), explorer)


def _asked(panel: Panel, moments: Sequence[float]) -> explore.Panel:
    found = []
    for line in panel.lines:
        values = dict(line.points)
        found.append(explore.Line(line.name, canvas.CLASSES[line.colour], [values.get(moment) for moment in moments]))
    return explore.Panel(panel.title, found)


def _of_processes(used: Binned, limits: Document, words: Words) -> list[Panel]:
    roles = sorted({row[1] for row in used.rows}, key=lambda role: (ROLES.get(role, 1), role))
    panels = []
    for key, column, limit in (("cpu", 2, amount(limits, "cpu")), ("memory", 3, amount(limits, "memory_mib"))):
        lines = []
        for index, role in enumerate(roles):
            points = [(row[0], row[column]) for row in used.rows if row[1] == role and row[column] is not None]
            if points and not (role == "host" and key == "memory"):
                colour = canvas.MUTED if role == "host" else canvas.SERIES[index % len(canvas.SERIES)]
                lines.append(Line(words.known("role", role), points, colour, thin=role == "host"))
        highest = max((value for line in lines for _, value in line.points), default=0.0)
        if lines:
            text = words("mark.limit", limit=q.plain(limit) if limit else "")
            near = limit is not None and limit <= 3 * highest
            panels.append(Panel(words(f"axis.{key}"), lines, (limit, text) if near and limit else None))
    return panels


def _of_traffic(traffic: Binned, words: Words) -> list[Panel]:
    most = max((max(row[1] or 0.0, row[2] or 0.0) for row in traffic.rows), default=0.0)
    if not most:
        return []
    scale, unit = (1e6, "MB/s") if most >= 1e6 else (1e3, "kB/s")
    lines = [
        Line(
            words(f"axis.{name}"),
            [(row[0], (row[column] or 0.0) / scale) for row in traffic.rows],
            canvas.SERIES[column],
        )
        for column, name in ((1, "received"), (2, "sent"))
    ]
    return [Panel(words("axis.traffic", unit=unit), lines)]


def _of_server(server: Binned, words: Words) -> list[Panel]:
    """A panel per metric, a line per label set."""
    panels: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for start_s, name, kind, labels, value in server.rows:
        panels.setdefault((name, kind), {}).setdefault(labels, []).append((start_s, value))
    return [
        Panel(
            words("axis.per_second", name=name) if kind == "rate" else name,
            [
                Line(labels or name, points, canvas.SERIES[index % len(canvas.SERIES)])
                for index, (labels, points) in enumerate(lines.items())
            ],
        )
        for (name, kind), lines in panels.items()
    ]


def _draw(axes: Axes, panel: Panel, span_s: float) -> None:
    ends = []
    for line in panel.lines:
        times, values = [p[0] for p in line.points], [p[1] for p in line.points]
        axes.plot(times, values, color=line.colour, linewidth=1 if line.thin else 1.8)
        ends.append((span_s, values[-1], line.name, line.colour))
    ticks.value_axis(axes, 4)
    if panel.limit:
        limit, text = panel.limit
        axes.set_ylim(0, max(axes.get_ylim()[1], limit * 1.2))
        axes.axhline(limit, color=canvas.WARN, linewidth=1.2, linestyle=(0, (5, 3)))
        canvas.label(axes, text, (0, limit), canvas.WARN, xytext=(3, 8), textcoords="offset points")
    for x, y, text, colour in _spread(ends, axes.get_ylim()[1] / 6):
        canvas.label(axes, text, (x, y), colour, xytext=(6, 0), textcoords="offset points")


def _spread(ends: Sequence[tuple[float, float, str, str]], least: float) -> list[tuple[float, float, str, str]]:
    """Labels moved up just far enough that they do not cover each other."""
    moved: list[tuple[float, float, str, str]] = []
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        lowest = moved[-1][1] + least if moved else y
        moved.append((x, max(y, lowest), text, colour))
    return moved
