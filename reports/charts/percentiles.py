"""Percentiles of response time on an axis of nines, a line per stage."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETUPBASE

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, doubt, entry_of, level_rps, quantile, section
from reports.wording import Words

MOST_PANELS = 3
MOST_LEVELS = 14


def percentiles(stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """Each stage's p50 to p99.9 with their 95 % intervals; a bound where the sample cannot carry the quantile."""
    shown = [name for name in endpoints if any(_line(stage, name) for stage in stages)][:MOST_PANELS]
    if not shown:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((len(shown), 1) if narrow else (1, len(shown))), squeeze=False).ravel()
        for axes, name in zip(grid, shown, strict=True):
            _panel(axes, stages, name, words)
        _levels(figure, stages, words, 8 if narrow else MOST_LEVELS)

    title = words("chart.percentiles.title")
    wide, slim = canvas.draw(
        paint, "percentiles", title, words("chart.percentiles.desc"), wide_px=340, narrow_px=270 * len(shown)
    )
    names = list(ticks.NINES)
    columns = [Column(words("column.endpoint")), Column(words("column.stage")), Column("n", q.count)]
    for quantile_name in names:
        columns += [Column(ticks.name_of(quantile_name), q.milliseconds), Column(words("column.ci95"))]
    rows = []
    for name in shown:
        for stage in stages:
            entry = entry_of(stage, name)
            row: list[object] = [name, stage.get("name"), (entry.get("response_ms") or {}).get("n")]
            for quantile_name in names:
                interval = doubt(entry, "response_ms", quantile_name)
                row += [quantile(entry, "response_ms", quantile_name)]
                row += [q.between(*interval, q.milliseconds) if interval else _bound(entry, quantile_name)]
            rows.append(row)
    return Chart("percentiles", title, words("chart.percentiles.note"), wide, slim, Table(tuple(columns), rows))


def _panel(axes: Axes, stages: Sequence[Document], name: str, words: Words) -> None:
    seen: list[float] = []
    places = [ticks.nines(p) for p in ticks.NINES.values()]
    for index, stage in enumerate(stages):
        colour, line = _shade(index, len(stages)), _line(stage, name)
        for place, value, interval in line:
            seen += [value, *(interval or ())]
            if interval:
                axes.plot([place, place], interval, color=colour, linewidth=1, alpha=0.7, zorder=2)
        known = {place: value for place, value, _ in line}
        values = [known.get(place, float("nan")) for place in places]  # a gap stays a gap
        axes.plot(places, values, color=colour, marker="o", markersize=4.5, zorder=3)
        for place, quantile_name in zip(places, ticks.NINES, strict=True):
            least = section(entry_of(stage, name), "response_ms", "bounds", quantile_name).get("at_least")
            if place not in known and q.is_number(least) and least > 0:
                seen.append(least)
                axes.plot(place, least, marker=CARETUPBASE, markersize=5, color=colour, linestyle="", zorder=3)
    ticks.log_times(axes, *ticks.bounds(seen))
    canvas.plain_axes(axes, words("axis.percentile"), words("axis.response_of", name=name))
    ticks.nines_axis(axes)


def _levels(figure: Figure, stages: Sequence[Document], words: Words, most: int) -> None:
    """The stages' loads in their shades, the highest on top; of many, an even choice that holds both ends."""
    if len(stages) < 2:
        return
    count = min(len(stages), most)
    chosen = sorted({round(k * (len(stages) - 1) / (count - 1)) for k in range(count)}, reverse=True)
    levels = [(index, level_rps(stages[index])) for index in chosen]
    handles = [Line2D([], [], color=_shade(index, len(stages)), marker="o", markersize=4.5) for index, _ in levels]
    texts = [q.rate(level) if level is not None else str(stages[index].get("name")) for index, level in levels]
    title = words("mark.load")
    figure.legend(handles, texts, title=title, loc="outside right upper", frameon=False, handlelength=1.2,
                  fontsize=11, title_fontsize=11, alignment="left", labelcolor=canvas.MUTED)  # fmt: skip


def _bound(entry: Document, name: str) -> str:
    bounds = ((entry.get("response_ms") or {}).get("bounds") or {}).get(name) or {}
    if q.is_number(bounds.get("at_least")):
        return f"≥ {q.milliseconds(bounds['at_least'])}"
    return f"≤ {q.milliseconds(bounds['at_most'])}" if q.is_number(bounds.get("at_most")) else q.NOTHING


def _line(stage: Document, name: str) -> list[tuple[float, float, tuple[float, float] | None]]:
    entry = entry_of(stage, name)
    return [
        (ticks.nines(p), value, doubt(entry, "response_ms", quantile_name))
        for quantile_name, p in ticks.NINES.items()
        if (value := quantile(entry, "response_ms", quantile_name)) is not None and value > 0
    ]


def _shade(index: int, stages: int) -> str:
    if stages == 1:
        return canvas.BLUE
    return canvas.RAMP[round(index / (stages - 1) * (len(canvas.RAMP) - 1))]
