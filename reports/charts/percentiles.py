"""Percentiles of response time on an axis of nines, a line per stage."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, doubt, entry_of, level_rps, quantile
from reports.wording import Words

MOST_PANELS = 3


def percentiles(stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """Each stage's p50 to p99.9 with their 95 % intervals; a quantile that the sample cannot carry is left out."""
    shown = [name for name in endpoints if any(_line(stage, name) for stage in stages)][:MOST_PANELS]
    if not shown:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((len(shown), 1) if narrow else (1, len(shown))), squeeze=False).ravel()
        for axes, name in zip(grid, shown, strict=True):
            seen: list[float] = []
            ends: list[tuple[float, float, str, str]] = []
            for index, stage in enumerate(stages):
                colour = _shade(index, len(stages))
                line = _line(stage, name)
                for place, value, interval in line:
                    seen += [value, *(interval or ())]
                    if interval:
                        axes.plot([place, place], interval, color=colour, linewidth=1, alpha=0.7, zorder=2)
                if line:
                    known = {place: value for place, value, _ in line}
                    values = [
                        known.get(ticks.nines(p), float("nan")) for p in ticks.NINES.values()
                    ]  # a gap stays a gap
                    places = [ticks.nines(p) for p in ticks.NINES.values()]
                    axes.plot(places, values, color=colour, marker="o", markersize=4.5, zorder=3)
                    level = level_rps(stage)
                    ends.append((line[-1][0], line[-1][1], q.rate(level) if level else str(stage.get("name")), colour))
            ticks.log_times(axes, *ticks.bounds(seen))
            canvas.plain_axes(axes, words("axis.percentile"), words("axis.response_of", name=name))
            ticks.nines_axis(axes)
            for x, y, text, colour in _apart(ends, axes.get_ylim(), 12 if narrow else 16):
                canvas.label(axes, text, (x, y), colour, xytext=(7, 0), textcoords="offset points")

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


def _apart(
    ends: Sequence[tuple[float, float, str, str]], limits: tuple[float, float], most: int
) -> list[tuple[float, float, str, str]]:
    """The labels that do not run into each other, the highest load first."""
    kept: list[tuple[float, float, str, str]] = []
    least = (limits[1] / limits[0]) ** (1 / most)
    for end in reversed(ends):
        if all(max(end[1] / k[1], k[1] / end[1]) > least or abs(end[0] - k[0]) > 0.5 for k in kept):
            kept.append(end)
    return kept
