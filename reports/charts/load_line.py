"""The load line: how response time grows with throughput, where the SLO cuts it, and where the machine ends."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, doubt, entry_of, level_rps, quantile, section, served_rps
from reports.stages import limit_of, of_endpoint, state_of, within_slo
from reports.units import counted
from reports.wording import Words

MOST_PANELS = 3
CROWDED, FITS = 4, 24  # panels side by side; characters of a name above one of them
FARTHEST = 2.0  # demand beyond so many times what was driven is told, not drawn


def load_line(
    stages: Sequence[Document], endpoints: Sequence[str], slo: Sequence[Document], plan: Document, words: Words
) -> Chart | None:
    """p95 and p50 of each endpoint over the throughput of the whole mix, a point per stage; None below two stages."""
    shown = [
        name for name in endpoints if any(quantile(entry_of(stage, name), "response_ms", "p50") for stage in stages)
    ][:MOST_PANELS]
    if len(stages) < 2 or not shown:
        return None
    capacity = section(plan, "capacity_rps")
    end = capacity["high"] if q.is_interval(capacity) else 0.0
    served = max((served_rps(stage) or 0.0 for stage in stages), default=0.0)
    offered = max((level_rps(stage) or 0.0 for stage in stages), default=0.0)
    demands = _demands(plan, max(served, offered, end))

    unit = counted(stages, words)

    def paint(figure: Figure, narrow: bool) -> None:
        panels = len(shown) + 1
        grid = figure.subplots(*((panels, 1) if narrow else (1, panels)), squeeze=False).ravel()
        for axes, name in zip(grid, shown, strict=False):
            _latency(axes, stages, name, slo, panels, words, unit)
            ticks.level_axis(axes, 5, max([served, end, *demands.values()]))
            _capacity_band(axes, capacity, words, labelled=False)
            _demand_lines(axes, demands, words, labelled=False)
        _throughput(grid[-1], stages, slo, plan, words, unit)
        ticks.level_axis(grid[-1], 5, max([offered, end, *demands.values()]))
        _demand_lines(grid[-1], demands, words, labelled=True)
        _capacity_band(grid[-1], capacity, words, labelled=True)

    title = words("chart.load_line.title")
    narrow_px = 250 * (len(shown) + 1)
    wide, slim = canvas.draw(paint, "load-line", title, words("chart.load_line.desc"), wide_px=330, narrow_px=narrow_px)
    columns = [
        Column(words("column.stage")),
        Column(words("column.offered"), q.rate),
        Column(words("column.ok"), q.rate),
    ]
    columns += [Column(words("column.p95_of", name=name), q.milliseconds) for name in shown]
    columns += [Column(words("column.error_rate"), q.percent), Column(words("column.slo"))]
    rows = [
        [stage.get("name"), stage.get("offered_rps"), served_rps(stage)]
        + [quantile(entry_of(stage, name), "response_ms", "p95") for name in shown]
        + [section(stage, "all").get("error_rate"), words(f"slo.{state_of(stage, slo, plan)}")]
        for stage in stages
    ]
    return Chart("load-line", title, words("chart.load_line.note"), wide, slim, Table(tuple(columns), rows))


def _p95(stage: Document, name: str) -> tuple[float, float, bool] | None:
    """(throughput, p95 or the bound that stands for it, is it exact) of a stage; None where nothing is known."""
    rate, entry = served_rps(stage), entry_of(stage, name)
    value = quantile(entry, "response_ms", "p95")
    bound = section(entry, "response_ms", "bounds", "p95").get("at_least")
    if rate is None:
        return None
    if value is not None:
        return rate, value, True
    return (rate, bound, False) if q.is_number(bound) and bound > 0 else None


def _demands(plan: Document, highest: float) -> dict[str, float]:
    """Today's demand and that at the horizon, where they were given and lie near enough to be drawn."""
    demand = section(plan, "demand")
    today, planned = demand.get("demand_rps"), demand.get("planned_rps")
    last = planned[-1] if isinstance(planned, list) and planned else None
    found = {"today": today, "planned": last if last != today else None} if demand.get("given") else {}
    return {key: float(value) for key, value in found.items() if q.is_number(value) and value <= FARTHEST * highest}


def _demand_lines(axes: Axes, demands: dict[str, float], words: Words, labelled: bool) -> None:
    middle = axes.get_xlim()[1] / 2
    for row, (key, rate) in enumerate(demands.items()):
        axes.axvline(
            rate, color=canvas.INK, linewidth=1.2, linestyle=(0, (1, 2)) if key == "planned" else "-", zorder=1
        )
        if labelled:
            axes.annotate(words(f"mark.{key}", rate=q.rate(rate)), (rate, 0.98 - 0.08 * row), color=canvas.INK, fontsize=12,
                          xycoords=("data", "axes fraction"), xytext=(4 if rate < middle else -4, 0),
                          textcoords="offset points", va="top", ha="left" if rate < middle else "right")  # fmt: skip


def _headed(name: str, panels: int, words: Words) -> str:
    """Beside three others a panel has no room for more than the name."""
    return (
        words("axis.response_of", name=name) if panels < CROWDED else name if len(name) <= FITS else f"{name[:FITS]}…"
    )


def _latency(
    axes: Axes, stages: Sequence[Document], name: str, slo: Sequence[Document], panels: int, words: Words, unit: str
) -> None:
    points = [(stage, *found) for stage in stages if (found := _p95(stage, name))]
    medians = [
        (rate, value)
        for stage in stages
        if (rate := served_rps(stage)) is not None and (value := quantile(entry_of(stage, name), "response_ms", "p50"))
    ]
    axes.plot(
        [p[0] for p in medians], [p[1] for p in medians], color=canvas.MUTED, linewidth=1.2, marker="o", markersize=3
    )
    axes.plot([p[1] for p in points], [p[2] for p in points], color=canvas.BLUE, linewidth=2, zorder=3)
    for text, colour, place in (("p50", canvas.MUTED, medians[:1]), ("p95", canvas.BLUE, [p[1:3] for p in points[:1]])):
        for at in place:
            canvas.label(axes, text, at, colour, xytext=(0, 10), textcoords="offset points", ha="center")
    seen = [p[2] for p in points] + [value for _, value in medians if value > 0]
    for stage, rate, value, exact in points:
        missed = within_slo(stage, of_endpoint(slo, name)) == "missed"
        if ends := doubt(entry_of(stage, name), "response_ms", "p95"):
            seen += ends
            axes.plot([rate, rate], ends, color=canvas.BAD if missed else canvas.BLUE, linewidth=1, zorder=2)
        sign = "" if exact else "≥ "
        tip = f"{stage.get('name')}: {q.rate(rate)}, p95 {sign}{q.milliseconds(value)}"
        _point(axes, (rate, value), tip, missed, exact)
    limit = limit_of(slo, name, "p95_ms")
    ticks.log_times(axes, *ticks.bounds(seen + ([limit] if limit else [])))
    canvas.plain_axes(axes, words("axis.throughput", unit=unit), _headed(name, panels, words))
    if limit:
        axes.axhline(limit, color=canvas.WARN, linewidth=1.5, linestyle=(0, (5, 3)))
        text = words("mark.slo", limit=q.limit_ms(limit))
        canvas.label(axes, text, (0, limit), canvas.WARN, xytext=(4, 8), textcoords="offset points")


def _point(axes: Axes, at: tuple[float, float], tip: str, missed: bool, exact: bool = True) -> None:
    """A disc; a triangle for a bound; a cross where the limit was missed."""
    marker, size = ("X", 9) if missed else ("o", 8) if exact else ("^", 8)
    colour = canvas.BAD if missed else canvas.BLUE
    [drawn] = axes.plot(
        *at, marker=marker, markersize=size, color=colour, markeredgecolor=canvas.FACE, linestyle="", zorder=4
    )
    canvas.tip(drawn, tip)


def _throughput(
    axes: Axes, stages: Sequence[Document], slo: Sequence[Document], plan: Document, words: Words, unit: str
) -> None:
    """What was served against what was asked for: the bend is the end of the machine."""
    points = [
        (stage, level, rate)
        for stage in stages
        if (level := level_rps(stage)) and (rate := served_rps(stage)) is not None
    ]
    most = max((max(level, rate) for _, level, rate in points), default=1.0)
    axes.plot([0, most], [0, most], color=canvas.MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot([p[1] for p in points], [p[2] for p in points], color=canvas.BLUE, linewidth=2, zorder=3)
    for stage, level, rate in points:
        tip = f"{stage.get('name')}: {q.rate(rate)} / {q.rate(level)}"
        _point(axes, (level, rate), tip, state_of(stage, slo, plan) == "missed")
    canvas.plain_axes(axes, words("axis.offered", unit=unit), words("axis.answered", unit=unit))
    ticks.value_axis(axes)
    canvas.label(axes, words("mark.all_served"), (most * 0.3, most * 0.3), canvas.MUTED, xytext=(10, -4),
                 textcoords="offset points", ha="left", va="top")  # fmt: skip


def _capacity_band(axes: Axes, capacity: Document, words: Words, labelled: bool) -> None:
    if not q.is_interval(capacity):
        return
    axes.axvspan(capacity["low"], capacity["high"], color=canvas.QUIET, alpha=0.45, linewidth=0, zorder=0)
    if labelled:
        text = words("mark.capacity", interval=q.interval(capacity, q.rate))
        axes.annotate(text, ((capacity["low"] + capacity["high"]) / 2, 0.02), xycoords=("data", "axes fraction"),
                      ha="center", va="bottom", color=canvas.INK, fontsize=12)  # fmt: skip
