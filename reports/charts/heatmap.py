"""Response times over time as a heatmap: two modes, a stall or a slow leak show here and in no percentile."""

from collections import Counter
from collections.abc import Sequence
from math import ceil, log

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.charts.over_time import boundaries
from reports.documents import Document
from reports.explore import Explorer, Line, Panel
from reports.series import Binned
from reports.stages import limits_of
from reports.wording import Words

MOST_LINES = 3
CORNERS = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]


def heatmap(
    binned: Binned, quantiles: Binned, stages: Sequence[Document], slo: Sequence[Document], words: Words
) -> Chart | None:
    """Requests (ok, timed out, open at the end) by when they were due and how long they took; darker for more. p50 and p95
    over them, where a moment has enough; of several endpoints p50 each, for one line through all would jump between them."""
    if not binned.rows:
        return None
    most = max(row[3] for row in binned.rows)
    low_ms, high_ms = min(row[1] for row in binned.rows), max(row[2] for row in binned.rows)
    span_s = max(row[0] for row in binned.rows) + binned.bin_s

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        boundaries(axes, stages)
        for shade, colour in enumerate(canvas.RAMP):
            _cells(axes, binned, [row for row in binned.rows if _shade(row[3], most) == shade], colour)
        _quantiles(axes, quantiles)
        _limits(axes, slo, words)
        highest = max([high_ms, 10 * low_ms, *(m["p95_ms"] * 2.2 for m in limits_of(slo).values() if "p95_ms" in m)])
        ticks.log_times(axes, low_ms / 1.1, highest)
        canvas.plain_axes(axes, ticks.time_label(words, span_s, binned.began), words("axis.response"))
        ticks.clock_axis(axes, span_s, 6 if narrow else 12)
        _legend(figure, most, words)

    title = words("chart.heatmap.title")
    wide, slim = canvas.draw(paint, "heatmap", title, words("chart.heatmap.desc"), wide_px=320, narrow_px=300)
    columns = (
        Column(words("column.from"), q.seconds),
        Column(words("column.at_least"), q.milliseconds),
        Column(words("column.below"), q.milliseconds),
        Column(words("column.requests"), q.count),
    )
    return Chart(
        "heatmap",
        title,
        words("chart.heatmap.note"),
        wide,
        slim,
        Table(columns, binned.rows),
        _explorer(quantiles, words),
    )


def _explorer(quantiles: Binned, words: Words) -> Explorer | None:
    if not quantiles.rows:
        return None
    moments = sorted({row[0] for row in quantiles.rows})
    panels = []
    for name in _names(quantiles):
        at = {row[0]: row[2:] for row in quantiles.rows if row[1] == name}
        p50, p95 = ([at.get(moment, (None, None))[k] for moment in moments] for k in (0, 1))
        panels.append(
            Panel(words("axis.response_of", name=name), [Line("p50, ms", "c1", p50), Line("p95, ms", "c0", p95)])
        )
    return Explorer(moments, panels)


def _names(quantiles: Binned) -> list[str]:
    """The endpoints that have most moments to show."""
    moments = Counter(row[1] for row in quantiles.rows)
    return [name for name, count in moments.most_common(MOST_LINES) if count > 1]


def _quantiles(axes: Axes, quantiles: Binned) -> None:
    names = _names(quantiles)
    wanted = [(2, "p50", names[0]), (3, "p95", names[0])] if len(names) == 1 else [(2, f"p50 {n}", n) for n in names]
    for column, name, endpoint in wanted:
        points = [(row[0] + quantiles.bin_s / 2, row[column]) for row in quantiles.rows if row[1] == endpoint]
        shown = [(at, value if value is not None else float("nan")) for at, value in points]
        known = [(at, value) for at, value in points if value is not None]
        if len(known) < 2:
            continue
        axes.plot([at for at, _ in shown], [v for _, v in shown], color=canvas.FACE, linewidth=4, zorder=3)
        axes.plot([at for at, _ in shown], [v for _, v in shown], color=canvas.SERIES[1], linewidth=1.6, zorder=4)
        canvas.label(axes, name, known[0], canvas.SERIES[1], xytext=(0, 9), textcoords="offset points")


def _shade(requests: int, most: int) -> int:
    """Logarithmic, so that one slow request among thousands of fast ones is still seen."""
    if most <= 1:
        return len(canvas.RAMP) - 1
    return min(len(canvas.RAMP) - 1, int(log(requests) / log(most) * len(canvas.RAMP) + 1e-9))


def _cells(axes: Axes, binned: Binned, rows: Sequence[tuple[float, float, float, int]], colour: str) -> None:
    """All cells of a shade as one path: a few hundred bytes a shade instead of an element a cell."""
    if not rows:
        return
    corners = []
    for start, low, high, _ in rows:
        right, top = start + binned.bin_s * 0.97, low * (high / low) ** 0.96
        corners += [(start, low), (right, low), (right, top), (start, top), (start, low)]
    axes.add_patch(PathPatch(Path(corners, CORNERS * len(rows)), facecolor=colour, linewidth=0, zorder=2))


def _limits(axes: Axes, slo: Sequence[Document], words: Words) -> None:
    for name, metrics in limits_of(slo).items():
        if "p95_ms" in metrics:
            limit = metrics["p95_ms"]
            axes.axhline(limit, color=canvas.WARN, linewidth=1.2, linestyle=(0, (5, 3)), zorder=3)
            text = words("mark.slo_of", name=name, limit=q.limit_ms(limit))
            canvas.label(axes, text, (0, limit), canvas.WARN, xytext=(4, 8), textcoords="offset points")


def _legend(figure: Figure, most: int, words: Words) -> None:
    base = most ** (1 / len(canvas.RAMP))
    starts = [(shade, ceil(base**shade - 1e-9)) for shade in range(len(canvas.RAMP))]
    shown = [(shade, count) for shade, count in starts if _shade(count, most) == shade]
    handles = [Patch(facecolor=canvas.RAMP[shade], linewidth=0) for shade, _ in shown]
    texts = [words("mark.from_requests", count=q.count(count)) for _, count in shown]
    figure.legend(handles[::-1], texts[::-1], title=words("axis.requests_per_cell"), loc="outside right upper",
                  frameon=False, fontsize=11, title_fontsize=11, handlelength=1, alignment="left",
                  labelcolor=canvas.MUTED)  # fmt: skip
