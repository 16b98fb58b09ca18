"""The search: each trial against its rate, the limit as a line, the bracket between what passed and what failed shaded."""

from collections.abc import Sequence
from math import log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import quantities as q
from reports import searched
from reports.charts import canvas, ticks
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, amount, listed
from reports.wording import Words

MARKERS = {
    "pass": ("o", canvas.BLUE), "fail": ("X", canvas.BAD), "generator_limit": ("^", canvas.WARN),
    "undecided": ("s", canvas.MUTED),
}  # fmt: skip
TOP = 10.0  # times the limit: what lies beyond stands on the upper edge
BOTTOM = 0.03


def search_bracket(search: Document, words: Words) -> Chart | None:
    """None where no trial was run."""
    trials = [t for t in listed(search, "trials") if q.is_number(t.get("rate_rps")) and t.get("purpose") != "warm_up"]
    if not trials:
        return None

    def paint(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(*((2, 1) if narrow else (1, 2)), squeeze=False).ravel()
        _panel(grid[0], trials, search, words, words("axis.trials_all"))
        near = _near(trials, search)
        _panel(grid[1], near, search, words, words("axis.trials_near"), zoomed=True)

    title = words("chart.search.title")
    wide, slim = canvas.draw(paint, "search", title, words("chart.search.desc"), wide_px=330, narrow_px=560)
    columns = (
        Column(words("column.trial")), Column(words("column.purpose")), Column(words("column.rate"), q.rate),
        Column(words("column.seconds"), q.seconds), Column(words("column.verdict")), Column(words("column.figure")),
        Column(words("column.value"), q.plain), Column(words("column.limit"), q.plain),
        Column(words("column.error_rate"), q.percent), Column(words("column.why")),
    )  # fmt: skip
    rows = [
        [t.get("name"), words.known("search_purpose", str(t.get("purpose"))), t.get("rate_rps"), t.get("seconds"),
         words.known("search_verdict", str(t.get("verdict"))), words.known("slo", str(t.get("metric") or "")),
         t.get("value"), t.get("limit"), t.get("error_rate"), t.get("why")]
        for t in listed(search, "trials")
    ]  # fmt: skip
    return Chart(
        "search",
        title,
        " ".join([words("chart.search.note"), *searched.details(search, words)]),
        wide,
        slim,
        Table(columns, rows),
    )


def _near(trials: Sequence[Document], search: Document) -> list[Document]:
    """Those within a quarter of the bracket, else the highest half."""
    lower, upper = amount(search, "lower_rps"), amount(search, "upper_rps")
    low, high = (lower or upper or 0.0) / 1.25, (upper or lower or float("inf")) * 1.25
    return [t for t in trials if low <= t["rate_rps"] <= high] or list(trials)


def _ratio(trial: Document) -> float:
    """The figure over its limit, within what the chart shows; a fail without a figure stands on the upper edge."""
    value, limit = amount(trial, "value"), amount(trial, "limit")
    if value is None or not limit:
        return TOP if trial.get("verdict") == "fail" else BOTTOM
    return min(max(value / limit, BOTTOM), TOP)


def _panel(
    axes: Axes, trials: Sequence[Document], search: Document, words: Words, heading: str, zoomed: bool = False
) -> None:
    lower, upper = amount(search, "lower_rps"), amount(search, "upper_rps")
    if lower is not None and upper is not None:
        axes.axvspan(lower, upper, color=canvas.QUIET, alpha=0.45, linewidth=0, zorder=0)
    axes.axhline(1.0, color=canvas.WARN, linewidth=1.5, linestyle=(0, (5, 3)))
    for trial in trials:
        marker, colour = MARKERS.get(str(trial.get("verdict")), ("s", canvas.MUTED))
        size = 10 if trial.get("purpose") == "classification" else 7
        [drawn] = axes.plot(
            trial["rate_rps"], _ratio(trial), marker=marker, markersize=size, color=colour, linestyle="",
            markeredgecolor=canvas.FACE, zorder=4, clip_on=False,
        )  # fmt: skip
        said = words.known("search_verdict", str(trial.get("verdict")))
        canvas.tip(drawn, f"{trial.get('name')}: {q.rate(trial['rate_rps'])}, {said}, {trial.get('why')}")
    axes.set_yscale("log")
    axes.set_ylim(BOTTOM, TOP)
    axes.set_yticks([0.1, 1.0, 10.0], [words("axis.times_limit", times=text) for text in ("0.1", "1", "10")])
    axes.minorticks_off()
    canvas.plain_axes(axes, words("axis.trial_rate"), heading)
    rates = [t["rate_rps"] for t in trials]
    if zoomed:
        low, high = min([*rates, lower or rates[0]]), max([*rates, upper or rates[0]])
        room = 0.06 * (high - low or high)
        axes.set_xlim(low - room, high + room)
    elif max(rates) / min(rates) > 8:
        axes.set_xscale("log")
        axes.set_xlim(min(rates) / 1.3, max(rates) * 1.3)
        decades = range(int(log10(min(rates))) - 1, int(log10(max(rates))) + 2)
        marks = [m * 10.0**d for d in decades for m in (1, 3) if min(rates) / 1.3 <= m * 10.0**d <= max(rates) * 1.3]
        axes.set_xticks(marks, [q.plain(mark) for mark in marks])
        axes.minorticks_off()
    else:
        ticks.level_axis(axes, 5, max(rates))
    at = axes.get_xlim()[0]
    canvas.label(axes, words("mark.its_limit"), (at, 1.0), canvas.WARN, xytext=(4, 8), textcoords="offset points")
    if zoomed and lower is not None and upper is not None:
        axes.annotate(q.between(lower, upper, q.rate), ((lower + upper) / 2, 0.02), xycoords=("data", "axes fraction"),
                      ha="center", va="bottom", color=canvas.INK, fontsize=12)  # fmt: skip
