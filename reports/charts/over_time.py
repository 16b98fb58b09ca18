"""How requests ended, over the seconds of the run."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from measurements.sample import OUTCOMES
from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document
from reports.explore import Explorer, Line, Panel
from reports.series import Binned
from reports.wording import Words

FAILURES = [name for name in OUTCOMES if name != "ok"]
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
        canvas.plain_axes(axes, ticks.time_label(words, span_s, binned.began), words("axis.requests"))
        ticks.value_axis(axes)
        ticks.clock_axis(axes, span_s, 6 if narrow else 12)
        axes.set_ylim(0, max(base) * 1.12)
        boundaries(axes, stages)
        if present != ["ok"]:
            _legend(axes, present, words)

    title = words("chart.outcomes.title")
    failed = [name for name in present if name != "ok"]
    note = words("chart.outcomes.note" if failed else "chart.outcomes.none")
    wide, slim = canvas.draw(paint, "outcomes", title, words("chart.outcomes.desc"), wide_px=250, narrow_px=250)
    columns = (Column(words("column.from"), q.seconds), *(Column(words.known("outcome", n), q.count) for n in present))
    rows = [[start, *(counts.get((start, name), 0) for name in present)] for start in starts]
    lines = [
        Line(
            words.known("outcome", name),
            "c0" if name == "ok" else canvas.CLASSES[COLOURS[name]],
            [counts.get((start, name), 0) / binned.bin_s for start in starts],
        )
        for name in present
    ]
    explorer = Explorer(starts, [Panel(words("axis.requests"), lines)])
    return Chart("outcomes", title, note, wide, slim, Table(columns, rows), explorer)


def _legend(axes: Axes, present: Sequence[str], words: Words) -> None:
    handles = [axes.bar([0], [0], width=0, color=canvas.QUIET if n == "ok" else COLOURS[n]) for n in present]
    axes.legend(handles, [words.known("outcome", name) for name in present], loc="upper left", frameon=False,
                ncols=4, fontsize=12, handlelength=1, columnspacing=1.2, borderaxespad=0.2)  # fmt: skip


def boundaries(axes: Axes, stages: Sequence[Document]) -> None:
    """A thin line where each stage after the first begins."""
    for stage in stages[1:]:
        if q.is_number(stage.get("start_s")):
            axes.axvline(stage["start_s"], color=canvas.GRID, linewidth=0.8, zorder=0)
