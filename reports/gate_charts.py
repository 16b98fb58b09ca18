"""A gate's pictures: every change with its interval and the floor, every block, earlier gates, equal versions."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import gate_text
from reports import quantities as q
from reports.charts import canvas
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, listed, section
from reports.wording import Words

COLOURS = {"good": canvas.GOOD, "warn": canvas.WARN, "bad": canvas.BAD, "": canvas.MUTED}
MOST_ROWS = 24
BINS = 21


def forest(document: Document, words: Words) -> Chart | None:
    """A row per figure that is compared as a ratio."""
    shown = [one for one in listed(document, "comparisons") if q.is_number(one.get("ratio")) and one.get("ci95")]
    shown = sorted(shown, key=lambda one: not one.get("primary"))[:MOST_ROWS]
    if not shown:
        return None
    names = [gate_text.name_of(one, words) for one in shown]
    spans = [[100 * (end - 1) for end in one["ci95"]] for one in shown]
    floor = 100 * float(document.get("floor") or 0.0)
    widest = 1.1 * max(2 * floor, *(min(abs(end), 25 * max(floor, 1)) for span in spans for end in span))

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axvspan(-floor, floor, color=canvas.GRID, linewidth=0)
        axes.axvline(0, color=canvas.INK, linewidth=1)
        for row, (one, span) in enumerate(zip(shown, spans, strict=True)):
            colour = COLOURS[gate_text.TONES.get(str(one.get("verdict")), "")]
            axes.plot([max(-widest, min(widest, end)) for end in span], [row, row], color=colour, linewidth=2)
            face = colour if one.get("primary") else canvas.FACE
            place = max(-widest, min(widest, 100 * (one["ratio"] - 1)))
            [dot] = axes.plot(place, row, marker="o", color=colour, markerfacecolor=face, markersize=8)
            canvas.tip(dot, f"{names[row]}: {gate_text.change_of(one)} [{gate_text.interval_of(one)}]")
        axes.set_xlim(-widest, widest)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        canvas.plain_axes(axes, words("gate_chart.axis"), "")
        axes.set_yticks(range(len(shown)), names)
        _percent_axis(axes, 5 if narrow else 9)

    title = words("gate_chart.forest")
    height = 70 + 26 * len(shown)
    wide, slim = canvas.draw(
        paint, "gate-forest", title, words("gate_chart.forest_desc"), wide_px=height, narrow_px=height
    )
    columns = (Column(words("column.metric")), Column(words("gate.change")), Column(words("gate.interval")),
               Column(words("gate.p_value"), gate_text.probability))  # fmt: skip
    table = [
        [n, gate_text.change_of(one), gate_text.interval_of(one), one.get("p_value")]
        for n, one in zip(names, shown, strict=True)
    ]
    return Chart("gate-forest", title, words("gate_chart.forest_note"), wide, slim, Table(columns, table))


def blocks(document: Document, one: Document, words: Words) -> Chart | None:
    """The change in every block of the comparison `one`, both duets in a row."""
    key = f"{one.get('endpoint')}:{one.get('metric')}"
    found = [
        (duet.get("number"), block, section(block, "changes").get(key))
        for duet in listed(document, "duets")
        for block in listed(duet, "blocks")
    ]
    scale, unit = (1.0, "KiB") if one.get("metric") == "leak_kib_per_request" else (100.0, "%")
    points = [(number, block, scale * value) for number, block, value in found if q.is_number(value)]
    if len(points) < 2 or len({value for _, _, value in points}) == 1:
        return None
    what, floor = gate_text.name_of(one, words), scale * float(one.get("floor") or document.get("floor") or 0.0)
    second = next((place for place, (number, _, _) in enumerate(points) if number != points[0][0]), None)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axhspan(-floor, floor, color=canvas.GRID, linewidth=0)
        axes.axhline(0, color=canvas.INK, linewidth=1)
        if second is not None:
            axes.axvline(second + 0.5, color=canvas.MUTED, linewidth=1)
        for place, (_, block, value) in enumerate(points, 1):
            marker = "x" if block.get("voided") else "s" if block.get("first") == "candidate" else "o"
            colour = canvas.MUTED if block.get("voided") else canvas.BLUE
            [dot] = axes.plot(place, value, marker=marker, color=colour, markersize=6, linestyle="none")
            canvas.tip(dot, f"{block.get('name')}: {gate_text.signed(value)} {unit}")
        canvas.plain_axes(axes, words("gate_chart.block_axis"), unit)
        axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 10, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: q.plain(value)))

    identity = f"gate-blocks-{key.replace(':', '-').replace('_', '-')}"
    title = words("gate_chart.blocks", what=what)
    wide, slim = canvas.draw(paint, identity, title, words("gate_chart.blocks_desc"), wide_px=190, narrow_px=180)
    columns = (
        Column(words("gate_chart.block_axis")),
        Column(words("gate.change"), lambda value: f"{gate_text.signed(value)} {unit}"),
    )
    table = [[str(block.get("name")), value] for _, block, value in points]
    return Chart(identity, title, words("gate_chart.blocks_note"), wide, slim, Table(columns, table))


def trend(entry: Document, words: Words) -> Chart | None:
    """`entry`: {"endpoint", "metric", "points": [{"at", "run", "ratio", "low", "high", "verdict"}], "changes": [index]}."""
    points = [p for p in listed(entry, "points") if q.is_number(p.get("ratio"))]
    if len(points) < 2:
        return None
    what = gate_text.name_of(entry, words)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axhline(0, color=canvas.INK, linewidth=1)
        for index in entry.get("changes") or []:
            axes.axvline(index + 0.5, color=canvas.WARN, linewidth=1.5)
        for place, point in enumerate(points, 1):
            colour = COLOURS[gate_text.TONES.get(str(point.get("verdict")), "")]
            if q.is_number(point.get("low")) and q.is_number(point.get("high")):
                axes.plot(
                    [place, place], [100 * (point[end] - 1) for end in ("low", "high")], color=colour, linewidth=2
                )
            [dot] = axes.plot(place, 100 * (point["ratio"] - 1), marker="o", color=colour, markersize=6)
            canvas.tip(dot, f"{point.get('at')}: {gate_text.signed_percent(point['ratio'] - 1)}")
        canvas.plain_axes(axes, words("gate_chart.gate_axis"), "%")
        axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 10, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))

    identity = f"gate-trend-{entry.get('endpoint')}-{entry.get('metric')}".replace("_", "-")
    title = words("gate_chart.trend", what=what)
    wide, slim = canvas.draw(paint, identity, title, words("gate_chart.trend_desc"), wide_px=190, narrow_px=180)
    columns = (Column(words("gate_chart.gate_axis")), Column(words("gate.change"), _of_ratio),
               Column(words("column.result")))  # fmt: skip
    table = [[str(point.get("at")), point["ratio"], str(point.get("verdict") or "")] for point in points]
    return Chart(identity, title, words("gate_chart.trend_note"), wide, slim, Table(columns, table))


def agreement(document: Document, words: Words) -> Chart | None:
    """What gates of equal versions measured when this instrument was proven."""
    accuracy = section(document, "accuracy")
    spread = section(accuracy, "equal")
    values: list[float] = [100 * (v - 1) for v in spread.get("ratios") or [] if q.is_number(v)]
    if len(values) < 10:
        return None
    floor = 100 * float(document.get("floor") or 0.0)
    reach = 1.15 * max(floor, *(abs(value) for value in values))

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axvspan(-floor, floor, color=canvas.GRID, linewidth=0)
        axes.hist(values, bins=BINS, range=(-reach, reach), color=canvas.BLUE)
        axes.axvline(0, color=canvas.INK, linewidth=1)
        canvas.plain_axes(axes, words("gate_chart.axis"), words("gate_chart.count_axis"))
        _percent_axis(axes, 5 if narrow else 9)

    title, note = words("gate_chart.agreement"), words("gate_chart.agreement_note", machine=accuracy.get("machine"))
    wide, slim = canvas.draw(
        paint, "gate-agreement", title, words("gate_chart.agreement_desc"), wide_px=190, narrow_px=180
    )
    column = Column(words("gate.change"), lambda value: f"{gate_text.signed(value)} %")
    return Chart("gate-agreement", title, note, wide, slim, Table((column,), [[value] for value in values]))


def _of_ratio(value: float) -> str:
    return gate_text.signed_percent(value - 1)


def _percent_axis(axes: Axes, most: int) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(most))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: q.plain(value)))
