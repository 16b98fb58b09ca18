"""Response against service time: the part that a closed loop would have hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, level_rps, quantile, section
from reports.units import counted
from reports.wording import Words

LINES = (("response", canvas.BLUE, "o", 8), ("service", canvas.SERIES[2], "s", -8))


@dataclass(frozen=True)
class _Pair:
    """Response and service time in ms at a place on an axis: the load of a stage, or a quantile of the only stage."""

    name: str
    place: float
    response: float
    service: float
    lateness: float | None


def response_service(stages: Sequence[Document], words: Words) -> Chart | None:
    """Over stages the same quantile of both (p95, or what most stages can show); over one stage every quantile."""
    chosen = _best_quantile(stages) if len(stages) > 1 else None
    pairs = _over_stages(stages, chosen) if chosen else _over_quantiles(stages)
    if not pairs:
        return None
    places = [pair.place for pair in pairs]
    values = {"response": [pair.response for pair in pairs], "service": [pair.service for pair in pairs]}

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for pair in pairs:
            ends = [pair.service, pair.response]
            axes.plot([pair.place] * 2, ends, color=canvas.QUIET, linewidth=5, solid_capstyle="round", zorder=1)
        apart = pairs[-1].response / pairs[-1].service > 1.25
        for key, colour, marker, lift in LINES:
            axes.plot(places, values[key], color=colour, marker=marker, linewidth=1, zorder=2 + lift / 8)
            where = (10, 0 if apart else lift)
            at = (places[-1], values[key][-1])
            canvas.label(axes, words(f"mark.{key}"), at, colour, xytext=where, textcoords="offset points")
        ticks.log_times(axes, *ticks.bounds(values["response"] + values["service"]))
        if chosen:
            canvas.plain_axes(
                axes,
                words("axis.offered", unit=counted(stages, words)),
                words("axis.of_all", quantile=ticks.name_of(chosen)),
            )
            ticks.level_axis(axes, 5 if narrow else 9, max(places))
        else:
            canvas.plain_axes(axes, words("axis.percentile"), words("axis.response"))
            ticks.nines_axis(axes)

    title = words("chart.response_service.title")
    quantile_name = ticks.name_of(chosen or "")
    description = words("chart.response_service.desc", quantile=quantile_name)
    wide, slim = canvas.draw(paint, "response-service", title, description, wide_px=260, narrow_px=240)
    columns = (
        Column(words("column.stage")),
        Column(words("column.load"), q.rate),
        Column(words("column.response_of", quantile=quantile_name), q.milliseconds),
        Column(words("column.service_of", quantile=quantile_name), q.milliseconds),
        Column(words("column.lateness_of", quantile=quantile_name), q.milliseconds),
    )
    rows = [[pair.name, pair.place if chosen else None, pair.response, pair.service, pair.lateness] for pair in pairs]
    return Chart("response-service", title, words("chart.response_service.note"), wide, slim, Table(columns, rows))


def _over_stages(stages: Sequence[Document], name: str) -> list[_Pair]:
    """In the order of load, which is not that of time where chance gave a later step fewer arrivals."""
    pairs = [
        _Pair(str(stage.get("name")), level, response, service, quantile(section(stage, "all"), "lateness_ms", name))
        for stage in stages
        if (level := level_rps(stage)) is not None
        and (response := quantile(section(stage, "all"), "response_ms", name))
        and (service := quantile(section(stage, "all"), "service_ms", name))
    ]
    return sorted(pairs, key=lambda pair: pair.place)


def _over_quantiles(stages: Sequence[Document]) -> list[_Pair]:
    entry = section(stages[0], "all") if stages else {}
    return [
        _Pair(ticks.name_of(name), ticks.nines(p), response, service, quantile(entry, "lateness_ms", name))
        for name, p in ticks.NINES.items()
        if (response := quantile(entry, "response_ms", name)) and (service := quantile(entry, "service_ms", name))
    ]


def _best_quantile(stages: Sequence[Document]) -> str | None:
    """The highest of p95, p90 and p50 that at least two thirds of the stages have; else the one that most have."""
    having = {
        name: sum(quantile(section(stage, "all"), "service_ms", name) is not None for stage in stages)
        for name in ("p95", "p90", "p50")
    }
    enough = next((name for name, count in having.items() if count and count >= len(stages) * 2 / 3), None)
    return enough or (max(having, key=lambda name: having[name]) if any(having.values()) else None)
