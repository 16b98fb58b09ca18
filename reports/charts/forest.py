"""Ratios with their ranges beside the line of no difference."""

from math import log

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, listed
from reports.wording import Words

LADDERS = (
    (0.98, 0.99, 1, 1.01, 1.02), (0.95, 1, 1.05), (0.9, 0.95, 1, 1.05, 1.1), (0.8, 0.9, 1, 1.1, 1.25),
    (0.5, 0.8, 1, 1.25, 2), (0.2, 0.5, 1, 2, 5), (0.1, 0.3, 1, 3, 10), (0.01, 0.1, 1, 10, 100),
)  # fmt: skip


def _marks(widest: float, most: int) -> tuple[float, ...]:
    """The widest ladder of ratios that still lies inside ±`widest` (in logarithms), for at most `most` marks."""
    fitting = [ladder for ladder in LADDERS if log(ladder[-1]) <= widest and len(ladder) <= most]
    return fitting[-1] if fitting else (1,)


def forest(document: Document, words: Words) -> Chart | None:
    """One row per comparison of the whole run that has a ratio with a range."""
    shown = [one for one in listed(document, "comparisons") if one.get("range") and not one.get("stage")]
    if not shown:
        return None
    names = [f"{one['endpoint']} {words.known('slo', one['metric'])}" for one in shown]
    widest = max(abs(log(end)) for one in shown for end in one["range"]) * 1.1 or 0.05

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, one in enumerate(shown):
            colour = canvas.MUTED if one["state"] == "not_told_apart" else canvas.BLUE
            axes.plot([log(end) for end in one["range"]], [row, row], color=colour, linewidth=2, solid_capstyle="round")
            [dot] = axes.plot(log(one["ratio"]), row, marker="o", color=colour, markersize=8)
            canvas.tip(dot, f"{names[row]}: {q.ratio(one['ratio'])} ({q.span(one['range'], q.ratio)})")
        axes.axvline(0, color=canvas.INK, linewidth=1)
        axes.set_xlim(-widest, widest)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        canvas.plain_axes(axes, "B / A", "")
        axes.set_yticks(range(len(shown)), names)
        marks = _marks(widest, 5 if narrow else 11)
        axes.set_xticks([log(mark) for mark in marks], [q.plain(mark) for mark in marks])

    title = words("chart.forest.title")
    height = 60 + 26 * len(shown)
    wide, slim = canvas.draw(paint, "forest", title, words("chart.forest.desc"), wide_px=height, narrow_px=height)
    columns = (
        Column(words("column.endpoint")),
        Column(words("column.metric")),
        Column("A", q.milliseconds),
        Column("B", q.milliseconds),
        Column("B / A", q.ratio),
        Column(words("column.at_least"), q.ratio),
        Column(words("column.at_most"), q.ratio),
    )
    rows = [
        [one["endpoint"], words.known("slo", one["metric"]), one["a"], one["b"], one["ratio"], *one["range"]]
        for one in shown
    ]
    return Chart("forest", title, words("chart.forest.note"), wide, slim, Table(columns, rows))
