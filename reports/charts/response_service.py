"""Response against service time: the part that a closed loop would have hidden."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, level_rps, quantile, section
from reports.wording import Words

LINES = (("response", canvas.BLUE, "o", 8), ("service", canvas.SERIES[2], "s", -8))


def response_service(stages: Sequence[Document], words: Words) -> Chart | None:
    """The same quantile of both over the load of each stage, for the whole mix: p95, or what most stages can show."""
    name = _best_quantile(stages)
    points = [
        (stage, level, response, service)
        for stage in stages
        if name
        and (level := level_rps(stage)) is not None
        and (response := quantile(section(stage, "all"), "response_ms", name))
        and (service := quantile(section(stage, "all"), "service_ms", name))
    ]
    if not name or not points:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        levels = [p[1] for p in points]
        for _, level, response, service in points:
            axes.plot(
                [level, level], [service, response], color=canvas.QUIET, linewidth=5, solid_capstyle="round", zorder=1
            )
        apart = points[-1][2] / points[-1][3] > 1.25
        both = ([p[2] for p in points], [p[3] for p in points])
        for values, (key, colour, marker, lift) in zip(both, LINES, strict=True):
            axes.plot(levels, values, color=colour, marker=marker, linewidth=1, zorder=2 + lift / 8)
            where = (10, 0 if apart else lift)
            canvas.label(
                axes, words(f"mark.{key}"), (levels[-1], values[-1]), colour, xytext=where, textcoords="offset points"
            )
        ticks.log_times(axes, *ticks.bounds([value for p in points for value in p[2:]]))
        canvas.plain_axes(axes, words("axis.offered"), ticks.name_of(name))
        ticks.level_axis(axes, 5 if narrow else 9, max(levels))

    title = words("chart.response_service.title")
    description = words("chart.response_service.desc", quantile=ticks.name_of(name))
    wide, slim = canvas.draw(paint, "response-service", title, description, wide_px=260, narrow_px=240)
    columns = (
        Column(words("column.stage")),
        Column(words("column.load"), q.rate),
        Column(words("column.response_of", quantile=ticks.name_of(name)), q.milliseconds),
        Column(words("column.service_of", quantile=ticks.name_of(name)), q.milliseconds),
        Column(words("column.lateness_of", quantile=ticks.name_of(name)), q.milliseconds),
    )
    rows = [
        [stage.get("name"), level, response, service, quantile(section(stage, "all"), "lateness_ms", name)]
        for stage, level, response, service in points
    ]
    return Chart("response-service", title, words("chart.response_service.note"), wide, slim, Table(columns, rows))


def _best_quantile(stages: Sequence[Document]) -> str | None:
    """The highest of p95, p90 and p50 that at least two thirds of the stages have; else the one that most have."""
    having = {
        name: sum(quantile(section(stage, "all"), "service_ms", name) is not None for stage in stages)
        for name in ("p95", "p90", "p50")
    }
    enough = next((name for name, count in having.items() if count and count >= len(stages) * 2 / 3), None)
    return enough or (max(having, key=lambda name: having[name]) if any(having.values()) else None)
