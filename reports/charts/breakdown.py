"""Where requests' time went, stage by stage, by the service's own word."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports import quantities as q
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount, level_rps, listed, section
from reports.units import counted
from reports.wording import Words

MOST_PANELS = 3
OUTSIDE = "outside"


def breakdown(told: Document, stages: Sequence[Document], endpoints: Sequence[str], words: Words) -> Chart | None:
    """Stacked mean times of each part over the stages, a panel per endpoint; None where the service said nothing."""
    names = [name for name in endpoints if listed(section(told, name), "parts")]
    if not names or not stages:
        return None
    shown = names[:MOST_PANELS]
    parts = list(dict.fromkeys(part["name"] for name in names for part in listed(section(told, name), "parts")))
    colours = {part: canvas.SERIES[index % len(canvas.SERIES)] for index, part in enumerate(parts)}
    colours[OUTSIDE] = canvas.QUIET
    levels, unit = [_level(stage) for stage in stages], counted(stages, words)

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((len(shown), 1) if narrow else (1, len(shown))), squeeze=False).ravel()
        for axes, name in zip(grid, shown, strict=True):
            base = [0.0] * len(stages)
            for part in (*parts, OUTSIDE):
                height = [_mean_ms(told, name, stage, part) or 0.0 for stage in stages]
                if any(height):
                    axes.bar(range(len(stages)), height, bottom=base, color=colours[part], width=0.8, linewidth=0)
                    base = [low + more for low, more in zip(base, height, strict=True)]
            canvas.plain_axes(axes, words("axis.offered", unit=unit), words("profile.axis_part", name=name))
            ticks.value_axis(axes, 4)
            axes.set_ylim(0, max(base) * 1.05 or 1.0)
            axes.set_xlim(-0.6, max(len(stages), 4) - 0.4)
            every = max(1, len(stages) // 5)
            axes.set_xticks(range(0, len(stages), every), levels[::every])
        handles = [Patch(color=colours[part]) for part in (*parts, OUTSIDE)]
        figure.legend(handles, [_named(part, words) for part in (*parts, OUTSIDE)], loc="outside upper left",
                      frameon=False, fontsize=12, ncols=2 if narrow else 4, handlelength=1, columnspacing=1.2)  # fmt: skip

    title = words("chart.breakdown.title")
    wide, slim = canvas.draw(
        paint, "breakdown", title, words("chart.breakdown.desc"), wide_px=300, narrow_px=80 + 230 * len(shown)
    )
    columns = (
        Column(words("column.endpoint")), Column(words("column.stage")), Column(words("profile.column_part")),
        Column(words("profile.column_mean"), q.milliseconds),
    )  # fmt: skip
    rows = [
        [name, stage.get("name"), _named(part, words), mean_ms]
        for name in names
        for stage in stages
        for part in (*parts, OUTSIDE)
        if (mean_ms := _mean_ms(told, name, stage, part)) is not None
    ]
    silent = [name for name in endpoints if name not in names and section(told, name)]
    note = words("chart.breakdown.note")
    if silent:
        note += " " + words("chart.breakdown.silent", names=", ".join(silent))
    return Chart("breakdown", title, note, wide, slim, Table(columns, rows))


def _level(stage: Document) -> str:
    level = level_rps(stage)
    return q.plain(float(f"{level:.2g}")) if level is not None else str(stage.get("name"))


def _mean_ms(told: Document, endpoint: str, stage: Document, part: str) -> float | None:
    found = section(told, endpoint, "stages", str(stage.get("name")))
    if part == OUTSIDE:
        outside = amount(found, "outside_ms_mean")
        return None if outside is None else max(0.0, outside)
    return amount(section(found, "parts"), part)


def _named(part: str, words: Words) -> str:
    return words("profile.outside") if part == OUTSIDE else part
