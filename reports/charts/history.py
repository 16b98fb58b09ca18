"""Capacity over several runs, each with its interval, beside the pinned baseline's."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.periods import Point
from reports.wording import Words


def history(found: Sequence[Point], baseline: Point | None, words: Words) -> Chart | None:
    """An interval per run that has a capacity, in the order of time; None below two."""
    known = [one for one in found if q.is_interval(one.capacity)]
    if len(known) < 2:
        return None
    base = baseline.capacity if baseline and q.is_interval(baseline.capacity) else None

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        if base:
            axes.axhspan(base["low"], base["high"], color=canvas.QUIET, alpha=0.45, linewidth=0, zorder=0)
            canvas.label(axes, words("mark.baseline"), (-0.4, base["high"]), canvas.MUTED, va="bottom")
        for place, one in enumerate(known):
            colour = canvas.BLUE if one.valid else canvas.MUTED
            axes.plot([place, place], [one.capacity["low"], one.capacity["high"]], color=colour, linewidth=2)
            [dot] = axes.plot(place, one.capacity["mid"], marker="o" if one.valid else "X", markersize=8, color=colour)
            canvas.tip(dot, f"{one.identity}: {q.interval(one.capacity, q.rate)}")
        canvas.plain_axes(axes, words("axis.runs"), words("figure.capacity"))
        ticks.value_axis(axes)
        axes.set_xlim(-0.5, len(known) - 0.5)
        step = max(1, -(-len(known) // (4 if narrow else 10)))
        axes.set_xticks(range(0, len(known), step), [one.day for one in known[::step]])

    title = words("chart.history.title")
    wide, slim = canvas.draw(paint, "history", title, words("chart.history.desc"), wide_px=240, narrow_px=240)
    columns = (
        Column(words("period.head_day")), Column(words("period.head_run")), Column(words("column.at_least"), q.rate),
        Column(words("figure.capacity"), q.rate), Column(words("column.at_most"), q.rate),
    )  # fmt: skip
    rows = [[one.day, one.identity, *(one.capacity[end] for end in ("low", "mid", "high"))] for one in known]
    return Chart("history", title, words("chart.history.note"), wide, slim, Table(columns, rows))
