"""Memory against requests answered: what each request leaves behind shows as a slope, whatever the time took."""

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, section
from reports.series import Binned
from reports.wording import Words


def memory_growth(binned: Binned, plan: Document, words: Words) -> Chart | None:
    """The service's resident memory over the number of requests answered so far; None where it was not observed."""
    points = [(row[0], row[1]) for row in binned.rows if row[1] is not None]
    if len(points) < 3 or points[-1][0] <= 0:
        return None
    growth = section(plan, "memory", "growth_mib_per_1000_requests")

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.plot(
            [p[0] for p in points], [p[1] for p in points], color=canvas.BLUE, marker="o", markersize=3, linewidth=1
        )
        canvas.plain_axes(axes, words("axis.answered_so_far"), words("axis.memory"))
        ticks.value_axis(axes)
        axes.set_ylim(0, max(p[1] for p in points) * 1.2)
        ticks.level_axis(axes, 5 if narrow else 9, points[-1][0])

    title = words("chart.memory.title")
    note = words("chart.memory.note")
    if q.is_interval(growth):
        note = f"{words('chart.memory.slope', interval=q.interval(growth, q.mebibytes))} {note}"
    wide, slim = canvas.draw(paint, "memory", title, words("chart.memory.desc"), wide_px=230, narrow_px=230)
    columns = (Column(words("axis.answered_so_far"), q.count), Column(words("column.memory"), q.mebibytes))
    return Chart("memory", title, note, wide, slim, Table(columns, points))
