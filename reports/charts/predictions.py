"""Predicted against measured: each test's interval, and where the measurement fell."""

from matplotlib.figure import Figure

from reports import quantities as q
from reports.charts import canvas
from reports.charts.chart import Chart, Column, Table
from reports.documents import Document, listed, section
from reports.wording import Words


def predictions(verification: Document, words: Words) -> Chart | None:
    """A row per test, all relative to the predicted middle; None where nothing was tested."""
    tests = [
        (str(test.get("what")), section(test, "predicted"), test["measured"], test.get("within") is True)
        for test in listed(verification, "tests")
        if q.is_interval(test.get("predicted")) and test["predicted"]["mid"] > 0 and q.is_number(test.get("measured"))
    ]
    if not tests:
        return None
    ends = [value / p["mid"] for _, p, measured, _ in tests for value in (p["low"], p["high"], measured)]
    far = max(abs(end - 1) for end in ends) * 1.25 or 0.1

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, (what, predicted, measured, within) in enumerate(tests):
            span = [predicted[end] / predicted["mid"] for end in ("low", "high")]
            axes.plot(span, [row, row], color=canvas.QUIET, linewidth=10, solid_capstyle="butt", zorder=1)
            [dot] = axes.plot(
                measured / predicted["mid"], row, marker="o" if within else "X", markersize=9, zorder=3,
                color=canvas.BLUE if within else canvas.BAD, markeredgecolor=canvas.FACE,
            )  # fmt: skip
            canvas.tip(dot, f"{what}: {q.number(measured)} ({q.interval(predicted, q.number)})")
        axes.axvline(1, color=canvas.INK, linewidth=1, zorder=2)
        axes.set_xlim(1 - far, 1 + far)
        axes.set_ylim(len(tests) - 0.4, -0.6)
        canvas.plain_axes(axes, words("axis.over_predicted"), "")
        names = [what if not narrow or len(what) < 22 else what[:20] + "…" for what, *_ in tests]
        axes.set_yticks(range(len(tests)), names)

    title = words("chart.predictions.title")
    height = 70 + 30 * len(tests)
    wide, slim = canvas.draw(
        paint, "predictions", title, words("chart.predictions.desc"), wide_px=height, narrow_px=height
    )  # fmt: skip
    columns = (
        Column(words("column.test")), Column(words("column.at_least"), q.number), Column(words("column.predicted"), q.number),
        Column(words("column.at_most"), q.number), Column(words("column.measured"), q.number),
    )  # fmt: skip
    rows = [[what, p["low"], p["mid"], p["high"], measured] for what, p, measured, _ in tests]
    return Chart("predictions", title, words("chart.predictions.note"), wide, slim, Table(columns, rows))
