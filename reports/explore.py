"""Charts over time that a pointer can ask: lines for uPlot, which the page carries, beside the drawing that stays.

Without scripts, on paper and for screen readers the drawing and its table are complete. vendor/uPlot-*.min.js is uPlot
as published (MIT, vendor/uPlot-LICENSE.txt).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

UPLOT = "uPlot-1.6.32"


@dataclass(frozen=True)
class Line:
    """`colour`: a class of the style sheet (c0, muted). `values`: one per moment, None where nothing is known."""

    name: str
    colour: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Panel:
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Explorer:
    """Panels over one axis of time in seconds of the run."""

    moments: Sequence[float]
    panels: Sequence[Panel]

    def data(self) -> dict[str, Any]:
        """As explore.js reads it; three or four digits are all that a screen can show."""
        return {
            "moments": [_short(moment) for moment in self.moments],
            "panels": [
                {
                    "title": panel.title,
                    "lines": [
                        {"name": line.name, "colour": line.colour, "values": [_short(v) for v in line.values]}
                        for line in panel.lines
                    ],
                }
                for panel in self.panels
            ],
        }


def script() -> str:
    """uPlot with its licence, and the page's own few lines."""
    vendor, templates = files("reports").joinpath("vendor"), files("reports").joinpath("templates")
    licence = vendor.joinpath("uPlot-LICENSE.txt").read_text(encoding="utf-8").strip()
    uplot = vendor.joinpath(f"{UPLOT}.iife.min.js").read_text(encoding="utf-8")
    own = templates.joinpath("explore.js").read_text(encoding="utf-8")
    return f"/* uPlot\n{licence}\n*/\n{uplot}\n{own}"


def style() -> str:
    return files("reports").joinpath("vendor").joinpath(f"{UPLOT}.min.css").read_text(encoding="utf-8")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
