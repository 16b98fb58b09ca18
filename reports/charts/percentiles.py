"""Percentiles on an axis of nines, a line per stage: of response times, and of the token timings of streams."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETUPBASE

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount, doubt, entry_of, level_rps, quantile, section
from reports.wording import Words

MOST_PANELS = 3
MOST_LEVELS = 14
TITLES = {"response_ms": "axis.response_of", "ttft_ms": "axis.ttft_ms", "itl_ms": "axis.itl_ms"}
Panel = tuple[str, str]  # endpoint, metric


def percentiles(stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """Each stage's p50 to p99.9 of response time; a panel for each of the first endpoints."""
    return _chart("percentiles", stages, [(name, "response_ms") for name in endpoints], words)


def token_percentiles(stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """The same for the time to the first token and the gaps between tokens, of the endpoint that streams most."""
    streams = [name for name in endpoints if any(_line(stage, name, "ttft_ms") for stage in stages)]
    count = {n: sum(amount(entry_of(stage, n), "count") or 0 for stage in stages) for n in streams}
    chosen = max(streams, key=lambda name: count[name]) if streams else ""
    return _chart("token_percentiles", stages, [(chosen, "ttft_ms"), (chosen, "itl_ms")], words) if chosen else None


def _chart(key: str, stages: Sequence[Document], panels: Sequence[Panel], words: Words) -> Chart | None:
    """With 95 % intervals; a bound where the sample cannot carry the quantile."""
    shown = [panel for panel in panels if any(_line(stage, *panel) for stage in stages)][:MOST_PANELS]
    if not shown:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((len(shown), 1) if narrow else (1, len(shown))), squeeze=False).ravel()
        for axes, panel in zip(grid, shown, strict=True):
            _panel(axes, stages, panel, words, alone=len(shown) == MOST_PANELS and not narrow)
        _levels(figure, stages, words, 8 if narrow else MOST_LEVELS)

    title = words(f"chart.{key}.title")
    identity = key.replace("_", "-")
    wide, slim = canvas.draw(
        paint, identity, title, words(f"chart.{key}.desc"), wide_px=340, narrow_px=270 * len(shown)
    )
    names = list(ticks.NINES)
    columns = [Column(words("column.endpoint")), Column(words("column.stage")), Column("n", q.count)]
    for quantile_name in names:
        columns += [Column(ticks.name_of(quantile_name), q.milliseconds), Column(words("column.ci95"))]
    rows = []
    for name, metric in shown:
        of = name if metric == "response_ms" else f"{name}: {words.known('metric', metric)}"
        for stage in stages:
            entry = entry_of(stage, name)
            row: list[object] = [of, stage.get("name"), section(entry, metric).get("n")]
            for quantile_name in names:
                interval = doubt(entry, metric, quantile_name)
                row += [quantile(entry, metric, quantile_name)]
                row += [q.between(*interval, q.milliseconds) if interval else _bound(entry, metric, quantile_name)]
            rows.append(row)
    return Chart(identity, title, words(f"chart.{key}.note"), wide, slim, Table(tuple(columns), rows))


def _panel(axes: Axes, stages: Sequence[Document], panel: Panel, words: Words, alone: bool) -> None:
    """`alone`: the heading is the endpoint's name, where beside others there is no room for more."""
    name, metric = panel
    seen: list[float] = []
    places = [ticks.nines(p) for p in ticks.NINES.values()]
    for index, stage in enumerate(stages):
        colour, line = _shade(index, len(stages)), _line(stage, name, metric)
        for place, value, interval in line:
            seen += [value, *(interval or ())]
            if interval:
                axes.plot([place, place], interval, color=colour, linewidth=1, alpha=0.7, zorder=2)
        known = {place: value for place, value, _ in line}
        values = [known.get(place, float("nan")) for place in places]  # a gap stays a gap
        axes.plot(places, values, color=colour, marker="o", markersize=4.5, zorder=3)
        for place, quantile_name in zip(places, ticks.NINES, strict=True):
            least = section(entry_of(stage, name), metric, "bounds", quantile_name).get("at_least")
            if place not in known and q.is_number(least) and least > 0:
                seen.append(least)
                axes.plot(place, least, marker=CARETUPBASE, markersize=5, color=colour, linestyle="", zorder=3)
    ticks.log_times(axes, *ticks.bounds(seen))
    canvas.plain_axes(axes, words("axis.percentile"), name if alone else words(TITLES[metric], name=name))
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


def _bound(entry: Document, metric: str, name: str) -> str:
    bounds = section(entry, metric, "bounds", name)
    if q.is_number(bounds.get("at_least")):
        return f"≥ {q.milliseconds(bounds['at_least'])}"
    return f"≤ {q.milliseconds(bounds['at_most'])}" if q.is_number(bounds.get("at_most")) else q.NOTHING


def _line(stage: Document, name: str, metric: str) -> list[tuple[float, float, tuple[float, float] | None]]:
    entry = entry_of(stage, name)
    return [
        (ticks.nines(p), value, doubt(entry, metric, quantile_name))
        for quantile_name, p in ticks.NINES.items()
        if (value := quantile(entry, metric, quantile_name)) is not None and value > 0
    ]


def _shade(index: int, stages: int) -> str:
    if stages == 1:
        return canvas.BLUE
    return canvas.RAMP[round(index / (stages - 1) * (len(canvas.RAMP) - 1))]
