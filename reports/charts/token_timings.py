"""Token timings of streamed answers: the wait for the first token, and the pace after it."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount, entry_of, level_rps, quantile
from reports.units import counted
from reports.wording import Words

METRICS = ("ttft_ms", "itl_ms")
LINES = {"p50": canvas.SERIES[2], "p95": canvas.BLUE, "p99": canvas.SERIES[3]}


def token_timings(stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """TTFT, inter-token gaps and goodput by load for the endpoint that streams most; None where nothing streams."""
    streaming = [
        name
        for name in endpoints
        if any(quantile(entry_of(stage, name), "ttft_ms", "p50") is not None for stage in stages)
    ]
    if not streaming:
        return None
    name = max(streaming, key=lambda n: sum(amount(entry_of(stage, n), "count") or 0 for stage in stages))
    found = {
        (metric, line): [
            (level, value)
            for stage in stages
            if (level := level_rps(stage)) is not None
            and (value := quantile(entry_of(stage, name), metric, line)) is not None
            and value > 0
        ]
        for metric in METRICS
        for line in LINES
    }

    highest = max(level for points in found.values() for level, _ in points)
    good = [
        (level, rate)
        for stage in stages
        if (level := level_rps(stage)) and (rate := amount(entry_of(stage, name), "goodput_rps")) is not None
    ]

    unit = counted(stages, words)

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((3, 1) if narrow else (1, 3)), squeeze=False).ravel()
        _goodput(grid[-1], good, highest, unit, words("axis.goodput", name=name), words)
        for axes, metric in zip(grid, METRICS, strict=False):
            for line, colour in LINES.items():
                points = found[metric, line]
                if points:
                    axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, marker="o", markersize=5)
                    canvas.label(axes, line, points[-1], colour, xytext=(8, 0), textcoords="offset points")
            values = [value for line in LINES for _, value in found[metric, line]]
            if values:
                ticks.log_times(axes, *ticks.bounds(values))
            canvas.plain_axes(axes, words("axis.offered", unit=unit), words(f"axis.{metric}", name=name))
            ticks.level_axis(axes, 5, highest)

    title = words("chart.tokens.title")
    wide, slim = canvas.draw(paint, "tokens", title, words("chart.tokens.desc"), wide_px=260, narrow_px=720)
    columns = [Column(words("column.endpoint")), Column(words("column.stage")), Column(words("column.load"), q.rate)]
    columns += [
        Column(f"{words.known('metric', metric)} {line}", q.milliseconds) for metric in METRICS for line in LINES
    ]
    columns += [Column(words("column.tokens_per_s"), q.rate), Column(words("slo.min_goodput_rps"), q.rate)]
    rows = [
        [endpoint, stage.get("name"), level_rps(stage)]
        + [quantile(entry_of(stage, endpoint), metric, line) for metric in METRICS for line in LINES]
        + [entry_of(stage, endpoint).get(key) for key in ("output_tokens_per_s", "goodput_rps")]
        for endpoint in streaming
        for stage in stages
    ]
    return Chart("tokens", title, words("chart.tokens.note"), wide, slim, Table(tuple(columns), rows))


def _goodput(
    axes: Axes, points: Sequence[tuple[float, float]], highest: float, unit: str, heading: str, words: Words
) -> None:
    """Requests per second that were ok and kept every latency limit: where it bends down, more load gives less."""
    axes.plot([p[0] for p in points], [p[1] for p in points], color=canvas.BLUE, marker="o", markersize=5)
    canvas.plain_axes(axes, words("axis.offered", unit=unit), heading)
    ticks.value_axis(axes)
    ticks.level_axis(axes, 5, highest)
