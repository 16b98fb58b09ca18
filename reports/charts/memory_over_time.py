"""Memory over time, with the slope that its growth over requests comes to."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount, section
from reports.wording import Words


def memory_over_time(
    points: Sequence[tuple[float, float]], grown: Document, load: tuple[float, float] | None, words: Words
) -> Chart | None:
    """`points`: (s, MiB) of the service's processes together; `load`: when requests came; `grown`: growth's document."""
    points = [(at, mib) for at, mib in points if at >= 0]
    if len(points) < 3:
        return None
    start_s, end_s = load or (points[0][0], points[-1][0])
    loaded = [(at, mib) for at, mib in points if start_s <= at <= end_s]
    grew_mib = amount(grown, "growth_mib")
    slope = section(grown, "slope_mib_per_1000_requests")

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        times, values = [at for at, _ in points], [mib for _, mib in points]
        axes.plot(times, values, color=canvas.BLUE, linewidth=1.8)
        if load is not None:
            axes.axvspan(start_s, end_s, color=canvas.QUIET, alpha=0.25, linewidth=0)
        if grew_mib is not None and len(loaded) > 2:
            middle_at = (loaded[0][0] + loaded[-1][0]) / 2
            middle_mib = sorted(mib for _, mib in loaded)[len(loaded) // 2]
            half_s = (loaded[-1][0] - loaded[0][0]) / 2
            ends = ([middle_at - half_s, middle_at + half_s], [middle_mib - grew_mib / 2, middle_mib + grew_mib / 2])
            axes.plot(*ends, color=canvas.WARN, linewidth=1.4, linestyle=(0, (5, 3)))
        canvas.plain_axes(axes, ticks.time_label(words, times[-1], ""), words("axis.memory"))
        ticks.value_axis(axes, 4)
        ticks.clock_axis(axes, times[-1], 5 if narrow else 12)
        spread = max(max(values) - min(values), 0.02 * max(values))
        axes.set_ylim(max(0.0, min(values) - 0.4 * spread), max(values) + 0.4 * spread)

    title = words("chart.memory_over_time.title")
    wide, slim = canvas.draw(
        paint, "memory_over_time", title, words("chart.memory_over_time.desc"), wide_px=220, narrow_px=220
    )
    note = words("chart.memory_over_time.note")
    mid, low, high = (amount(slope, key) for key in ("mid", "low", "high"))
    if mid is not None and low is not None and high is not None:
        note += " " + words(
            "chart.memory_over_time.slope", slope=q.mebibytes(mid), low=q.mebibytes(low), high=q.mebibytes(high)
        )
    columns = (Column(words("column.from"), q.seconds), Column(words("axis.memory"), q.number))
    return Chart("memory_over_time", title, note, wide, slim, Table(columns, [list(point) for point in points]))
