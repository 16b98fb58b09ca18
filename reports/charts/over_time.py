"""What happened when: outcomes, and what each role used, over the seconds of the run."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from measurements.sample import OUTCOMES
from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, section
from reports.series import Binned
from reports.wording import Words

FAILURES = [name for name in OUTCOMES if name != "ok"]
ROLES = {"target": 0, "generator": 2, "host": 3}  # the order of lines; dependencies come between
COLOURS = dict(zip(FAILURES, (canvas.BAD, *canvas.SERIES[1:2], *canvas.SERIES[3:], *canvas.RAMP[3:]), strict=False))


def outcomes(binned: Binned, stages: Sequence[Document], words: Words) -> Chart | None:
    """Requests per second by outcome, stacked; each request stands where it was intended."""
    if not binned.rows:
        return None
    present = [name for name in OUTCOMES if any(row[1] == name for row in binned.rows)]
    counts = {(row[0], row[1]): row[2] for row in binned.rows}
    starts = sorted({row[0] for row in binned.rows})

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        base = [0.0] * len(starts)
        for name in present:
            height = [counts.get((start, name), 0) / binned.bin_s for start in starts]
            colour = canvas.QUIET if name == "ok" else COLOURS[name]
            axes.bar(starts, height, width=binned.bin_s * 0.92, bottom=base, align="edge", color=colour, linewidth=0)
            base = [low + more for low, more in zip(base, height, strict=True)]
        span_s = starts[-1] + binned.bin_s
        canvas.plain_axes(axes, words(f"axis.time_{ticks.clock_unit(span_s)}"), words("axis.requests"))
        ticks.value_axis(axes)
        ticks.clock_axis(axes, span_s, 6 if narrow else 12)
        axes.set_ylim(0, max(base) * 1.12)
        _boundaries(axes, stages, named=not narrow)
        if present != ["ok"]:
            _legend(axes, present, words)

    title = words("chart.outcomes.title")
    failed = [name for name in present if name != "ok"]
    note = words("chart.outcomes.note" if failed else "chart.outcomes.none")
    wide, slim = canvas.draw(paint, "outcomes", title, words("chart.outcomes.desc"), wide_px=250, narrow_px=250)
    columns = (Column(words("column.from"), q.seconds), *(Column(words.known("outcome", n), q.count) for n in present))
    rows = [[start, *(counts.get((start, name), 0) for name in present)] for start in starts]
    return Chart("outcomes", title, note, wide, slim, Table(columns, rows))


def _legend(axes: Axes, present: Sequence[str], words: Words) -> None:
    handles = [axes.bar([0], [0], width=0, color=canvas.QUIET if n == "ok" else COLOURS[n]) for n in present]
    axes.legend(handles, [words.known("outcome", name) for name in present], loc="upper left", frameon=False,
                ncols=4, fontsize=12, handlelength=1, columnspacing=1.2, borderaxespad=0.2)  # fmt: skip


def _boundaries(axes: Axes, stages: Sequence[Document], named: bool) -> None:
    for stage in stages[1:]:
        if q.is_number(stage.get("start_s")):
            axes.axvline(stage["start_s"], color=canvas.GRID, linewidth=0.8, zorder=0)


def resources(binned: Binned, contract: Document, stages: Sequence[Document], words: Words) -> Chart | None:
    """Cores and memory of each role's processes; the host's own line counts everything on the machine."""
    if not binned.rows:
        return None
    roles = sorted({row[1] for row in binned.rows}, key=lambda role: (ROLES.get(role, 1), role))
    span_s = max(row[0] for row in binned.rows) + binned.bin_s
    limits = section(contract, "resources")

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((2, 1) if narrow else (1, 2)), squeeze=False).ravel()
        for axes, column, key, limit in zip(grid, (2, 3), ("cpu", "memory"), ("cpu", "memory_mib"), strict=True):
            ends: list[tuple[float, float, str, str]] = []
            for index, role in enumerate(roles):
                if role == "host" and key == "memory":
                    continue
                line = [(row[0], row[column]) for row in binned.rows if row[1] == role and row[column] is not None]
                colour = canvas.MUTED if role == "host" else canvas.SERIES[index % len(canvas.SERIES)]
                if line:
                    axes.plot(
                        [p[0] for p in line], [p[1] for p in line], color=colour, linewidth=1 if role == "host" else 1.8
                    )
                    ends.append((line[-1][0], line[-1][1], words.known("role", role), colour))
            canvas.plain_axes(axes, words(f"axis.time_{ticks.clock_unit(span_s)}"), words(f"axis.{key}"))
            ticks.value_axis(axes)
            ticks.clock_axis(axes, span_s, 6)
            top = max((end[1] for end in ends), default=1.0)
            if q.is_number(limits.get(limit)) and limits[limit] <= axes.get_ylim()[1] * 3:
                axes.axhline(limits[limit], color=canvas.WARN, linewidth=1.2, linestyle=(0, (5, 3)))
                text = words("mark.limit", limit=q.by_key(limit)(limits[limit]))
                canvas.label(axes, text, (0, limits[limit]), canvas.WARN, xytext=(3, 7), textcoords="offset points")
                axes.set_ylim(0, max(axes.get_ylim()[1], limits[limit] * 1.15))
            _boundaries(axes, stages, named=False)
            for x, y, text, colour in spread(ends, max(axes.get_ylim()[1], top) / 13):
                canvas.label(axes, text, (x, y), colour, xytext=(6, 0), textcoords="offset points")

    title = words("chart.resources.title")
    wide, slim = canvas.draw(paint, "resources", title, words("chart.resources.desc"), wide_px=260, narrow_px=440)
    columns = (
        Column(words("column.from"), q.seconds),
        Column(words("column.role")),
        Column(words("column.cores"), q.cores),
        Column(words("column.memory"), q.mebibytes),
    )
    rows = [[row[0], words.known("role", row[1]), *row[2:]] for row in binned.rows]
    return Chart("resources", title, words("chart.resources.note"), wide, slim, Table(columns, rows))


def spread(ends: Sequence[tuple[float, float, str, str]], least: float) -> list[tuple[float, float, str, str]]:
    """Labels moved up just far enough that they do not cover each other."""
    moved: list[tuple[float, float, str, str]] = []
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        lowest = moved[-1][1] + least if moved else y
        moved.append((x, max(y, lowest), text, colour))
    return moved
