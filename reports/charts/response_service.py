"""Response against service time: the part that a closed loop would have hidden."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, level_rps, quantile, section
from reports.wording import Words


def response_service(stages: Sequence[Document], words: Words) -> Chart | None:
    """p95 of both over the load of each stage, for the whole mix."""
    points = [
        (stage, level, response, service)
        for stage in stages
        if (level := level_rps(stage)) is not None
        and (response := quantile(section(stage, "all"), "response_ms", "p95")) is not None
        and (service := quantile(section(stage, "all"), "service_ms", "p95")) is not None
    ]
    if not points:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for _, level, response, service in points:
            axes.plot(
                [level, level], [service, response], color=canvas.QUIET, linewidth=5, solid_capstyle="round", zorder=1
            )
        levels = [p[1] for p in points]
        axes.plot(
            levels, [p[3] for p in points], color=canvas.SERIES[2], marker="s", linestyle="-", linewidth=1, zorder=2
        )
        axes.plot(levels, [p[2] for p in points], color=canvas.BLUE, marker="o", linestyle="-", linewidth=1, zorder=3)
        ticks.log_times(axes, *ticks.bounds([value for p in points for value in p[2:]]))
        canvas.plain_axes(axes, words("axis.offered"), words("axis.p95"))
        ticks.level_axis(axes, 5 if narrow else 9)
        last = points[-1]
        apart = last[2] / last[3] > 1.25
        for key, value, colour, up in (
            ("response", last[2], canvas.BLUE, 1),
            ("service", last[3], canvas.SERIES[2], -1),
        ):
            canvas.label(axes, words(f"mark.{key}"), (last[1], value), colour, xytext=(10, 0 if apart else 8 * up),
                         textcoords="offset points")  # fmt: skip

    title = words("chart.response_service.title")
    wide, slim = canvas.draw(
        paint, "response-service", title, words("chart.response_service.desc"), wide_px=260, narrow_px=240
    )
    columns = (
        Column(words("column.stage")),
        Column(words("column.load"), q.rate),
        Column(words("column.response_p95"), q.milliseconds),
        Column(words("column.service_p95"), q.milliseconds),
        Column(words("column.lateness_p95"), q.milliseconds),
    )
    rows = [
        [stage.get("name"), level, response, service, quantile(section(stage, "all"), "lateness_ms", "p95")]
        for stage, level, response, service in points
    ]
    return Chart("response-service", title, words("chart.response_service.note"), wide, slim, Table(columns, rows))
