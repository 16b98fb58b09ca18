"""matplotlib figures as SVG that a strict page may hold: text as text, no style attributes, colours as classes.

Colours are drawn as the light values of `INK` … `SERIES`; on the way out each becomes a class (`f-ink` for fills,
`s-ink` for strokes), so that the page's style sheet decides about light, dark and print. Every chart is drawn twice,
wide and narrow, because text that shrinks with a picture cannot be read on a phone.
"""

import gc
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

INK, MUTED, GRID, FACE = "#17202a", "#566270", "#e1e5ea", "#ffffff"
GOOD, WARN, BAD, BLUE = "#1a7044", "#8f5a00", "#b3261e", "#1c5d99"
SERIES = ("#1c5d98", "#c2570c", "#12805c", "#8a3d91", "#6b5b00", "#3f6f8f", "#a13d63")
RAMP = ("#b9d0e6", "#93b6d6", "#6c9bc6", "#4a81b3", "#2f679c", "#1b4e81", "#0d3763")
QUIET = "#c9d2dc"

CLASSES = (
    {INK: "ink", MUTED: "muted", GRID: "grid", FACE: "face", GOOD: "good", WARN: "warn", BAD: "bad", BLUE: "blue"}
    | {QUIET: "quiet"}
    | {colour: f"c{index}" for index, colour in enumerate(SERIES)}
    | {colour: f"r{index}" for index, colour in enumerate(RAMP)}
)

WIDE_PX, NARROW_PX = 880, 360
LONGEST_LABEL, LONGEST_MARK = 80, 30
TIP = "tip:"
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "plimsoll",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else each layout looks for a place above the marks, which are never on top here
    "axes.titlecolor": INK,
    "axes.labelsize": 12,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "text.color": INK,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "figure.facecolor": FACE,
    "axes.facecolor": FACE,
}

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

Paint = Callable[[Figure, bool], None]


def draw(
    paint: Paint, key: str, title: str, description: str, *, wide_px: int, narrow_px: int
) -> tuple[Markup, Markup]:
    """The same chart for a wide and for a narrow page; `*_px` are the two heights."""
    with _uncollected():
        wide = _svg(paint, f"{key}-w", title, description, size_px=(WIDE_PX, wide_px), narrow=False)
        narrow = _svg(paint, f"{key}-n", title, description, size_px=(NARROW_PX, narrow_px), narrow=True)
    return wide, narrow


@contextmanager
def _uncollected() -> Iterator[None]:
    """A figure makes objects by the hundred thousand, all of them alive until it is written: the collector would look
    through them again and again, for more than a quarter of the time, and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _svg(paint: Paint, key: str, title: str, description: str, *, size_px: tuple[int, int], narrow: bool) -> Markup:
    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the fonts
        figure = Figure(figsize=(size_px[0] / 72, size_px[1] / 72), dpi=72, layout="constrained")
        surface = FigureCanvasSVG(figure)
        paint(figure, narrow)
        _name_safely(figure)
        buffer = io.BytesIO()
        surface.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Markup(_strict(buffer.getvalue(), key, title, description))


def _name_safely(artist: Artist) -> None:
    """Every text as `_label` has it. Marks of an axis are asked of its formatter: they are made again at each drawing."""
    if isinstance(artist, Text):
        artist.set_text(_label(artist.get_text()))
    elif isinstance(artist, Axis):
        _name_safely(artist.label)
        formatter = artist.get_major_formatter()
        if isinstance(formatter, FixedFormatter | FuncFormatter):
            artist.set_major_formatter(FuncFormatter(lambda at, place: _label(formatter(at, place), LONGEST_MARK)))
    else:
        for child in artist.get_children():
            _name_safely(child)


def _strict(source: bytes, key: str, title: str, description: str) -> str:
    """Ids made unique, style attributes turned into classes and presentation attributes, a title and a description."""
    root = ElementTree.fromstring(source)
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    referred = {match for element in root.iter() for match in _references(element)}
    for element in list(root.iter()):
        _present(element)
        if element.attrib.get("id", "").startswith(TIP):
            title_element = ElementTree.Element(f"{{{SVG}}}title")
            title_element.text = element.attrib.pop("id").removeprefix(TIP)
            element.insert(0, title_element)
        if "id" in element.attrib:
            identity = element.attrib.pop("id")
            if identity in referred:
                element.set("id", f"{key}-{identity}")
        for name in (f"{{{XLINK}}}href", "clip-path"):
            if name in element.attrib:
                element.set(name, re.sub(r"#", f"#{key}-", element.attrib[name], count=1))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("class", "chart-narrow" if key.endswith("-n") else "chart-wide")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{key}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _references(element: ElementTree.Element) -> list[str]:
    return [
        found
        for name in (f"{{{XLINK}}}href", "clip-path")
        for found in re.findall(r"#([\w-]+)", element.attrib.get(name, ""))
    ]


def _present(element: ElementTree.Element) -> None:
    """`style="fill: #17202a; …"` becomes class="f-ink" and attributes: the page's policy allows no inline styles."""
    declared = dict(part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part)
    for name in ("fill", "stroke"):  # matplotlib writes some colours as attributes
        if name in element.attrib:
            declared.setdefault(name, element.attrib.pop(name))
    classes = []
    for raw_name, raw_value in declared.items():
        name, value = raw_name.strip(), raw_value.strip()
        if name in ("fill", "stroke") and value in CLASSES:
            classes.append(f"{name[0]}-{CLASSES[value]}")
        elif name == "font":
            size = re.search(r"([\d.]+)px", value)
            element.set("font-size", size.group(1) if size else "12")
            if weight := re.match(r"(\d{3}|bold)\b", value):
                element.set("font-weight", weight.group(1))
        elif name not in ("font-family", "font-style", "-inkscape-stroke"):
            element.set(name, value)
    if classes:
        element.set("class", " ".join(classes))


def plain_axes(axes: Axes, x: str, y: str) -> None:
    """Units on both axes, horizontal grid lines only, no ticks: the data is the darkest thing in the picture."""
    axes.set_xlabel(x)
    axes.set_title(y)
    axes.yaxis.set_label_coords(0, 0.5)  # it has none, and a fixed place saves looking for one
    axes.grid(False, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0, pad=6)


def tip(artist: Artist, text: str) -> None:
    """What a pointer resting on it is told, by the browser itself."""
    artist.set_gid(f"{TIP}{_label(text)}")


def label(axes: Axes, text: str, at: tuple[float, float], colour: str, **where: Any) -> None:
    """A direct label beside its line; the style sheet gives it a halo, so that it stays readable over others."""
    axes.annotate(text, at, color=colour, fontsize=12, annotation_clip=False, **({"va": "center"} | where))


def _label(text: str, most: int = LONGEST_LABEL) -> str:
    """Names come from targets: no control characters (no XML could hold them), and no longer than a chart can."""
    printable = "".join(character for character in text if character.isprintable())
    return printable if len(printable) <= most else printable[: most - 1] + "…"
