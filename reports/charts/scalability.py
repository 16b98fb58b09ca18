"""The Universal Scalability Law over the stages: how throughput answers to more requests at once, and how far it is known."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from capacity import usl
from measurements.interval import Interval
from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount
from reports.wording import Words

CURVE_POINTS = 48


def scalability(stages: Sequence[Document], words: Words) -> Chart | None:
    """Requests in flight against answers per second, the fitted law with its band; None where it cannot be fitted."""
    points = [
        (str(stage.get("name")), level, rate)
        for stage in stages
        if (level := amount(stage, "in_flight_mean") or 0) >= 1 and (rate := amount(stage, "achieved_rps") or 0) > 0
    ]
    law = usl.fit([p[1] for p in points], [p[2] for p in points])
    if not isinstance(law, usl.Scalability):
        return None
    far = law.highest_level * usl.HORIZON
    levels = np.geomspace(min(p[1] for p in points), far * 0.999, CURVE_POINTS)
    curve = [(float(n), found) for n in levels if isinstance(found := law.throughput(float(n)), Interval)]

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axvspan(law.highest_level, far, color=canvas.QUIET, alpha=0.45, linewidth=0, zorder=0)
        axes.fill_between(
            [n for n, _ in curve], [x.low for _, x in curve], [x.high for _, x in curve],
            color=canvas.RAMP[0], linewidth=0, zorder=1,
        )  # fmt: skip
        axes.plot([n for n, _ in curve], [x.mid for _, x in curve], color=canvas.BLUE, linewidth=2, zorder=2)
        for name, level, rate in points:
            [dot] = axes.plot(
                level, rate, marker="o", markersize=8, color=canvas.BLUE, markeredgecolor=canvas.FACE, zorder=3
            )
            canvas.tip(dot, f"{name}: {q.number(level)}, {q.rate(rate)}")
        canvas.plain_axes(axes, words("axis.in_flight_mean"), words("axis.answered", unit=words("unit.short_requests")))
        ticks.value_axis(axes)
        axes.set_ylim(0, max([x.high for _, x in curve] + [p[2] for p in points]) * 1.12)
        ticks.log_levels(axes, levels[0] / 1.2, far * 1.02)
        axes.annotate(words("mark.extrapolated"), (far, 0.02), xycoords=("data", "axes fraction"), ha="right", va="bottom",
                      color=canvas.MUTED, fontsize=12)  # fmt: skip

    title = words("chart.scalability.title")
    wide, slim = canvas.draw(
        paint, "scalability", title, words("chart.scalability.desc"), wide_px=280, narrow_px=260
    )  # fmt: skip
    columns = (
        Column(words("column.stage")), Column(words("axis.in_flight_mean"), q.number), Column(words("column.ok"), q.rate),
        Column(words("column.law_low"), q.rate), Column(words("column.law_high"), q.rate),
    )  # fmt: skip
    rows = [[name, level, rate, *_ends(law.throughput(level))] for name, level, rate in points]
    return Chart("scalability", title, words("chart.scalability.note"), wide, slim, Table(columns, rows))


def _ends(found: object) -> tuple[float | None, float | None]:
    return (found.low, found.high) if isinstance(found, Interval) else (None, None)
