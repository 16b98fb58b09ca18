"""A flame graph for the page: CPU by call stack, drawn from the tree in profiles.json; no script, no inline style.

Width is CPU time, callers above the functions they call; a box's title tells its name and figures. Names come from the
profiled process and are escaped as they are put into the markup.
"""

import re
import zlib
from typing import Any

from markupsafe import Markup

from reports import quantities as q
from reports.documents import Document, amount, listed

WIDTH, ROW = 880.0, 18
LEAST_PX = 1.5
DEEPEST, MOST_BOXES = 32, 600
TRUNK, DEEPEST_TRUNK = 0.95, 200
OWN = re.compile(r"\([/\\].*\.py\)$|\([A-Z]:.*\.py\)$")  # libraries' files are told below their package's folder
CHARACTER_PX = 6.3
SHADES = ("r0", "r1", "quiet")  # dark text stands well on all of them, in either scheme


def flame_graph(tree: Document, title: str, description: str) -> Markup | None:
    """None where no CPU was recorded."""
    whole = amount(tree, "seconds")
    if not whole or whole <= 0:
        return None
    boxes: list[Markup] = []
    deepest = 0
    trunks = [
        _folded(child, keep_own=False) for child in listed(tree, "children")
    ]  # what calls everything says nothing
    waiting: list[tuple[Document, float, int]] = [({**tree, "children": trunks}, 0.0, 0)]
    while waiting and len(boxes) < MOST_BOXES:
        node, x, depth = waiting.pop(0)
        width = (amount(node, "seconds") or 0.0) / whole * WIDTH
        if width < LEAST_PX or depth > DEEPEST or x + width > WIDTH + 0.01:
            continue
        deepest = max(deepest, depth)
        boxes.append(_box(str(node.get("name") or "?"), (x, width), depth, whole))
        for child in listed(node, "children"):
            waiting.append((_folded(child), x, depth + 1))
            x += (amount(child, "seconds") or 0.0) / whole * WIDTH
    height = (deepest + 1) * ROW
    return Markup(
        '<svg class="flame" viewBox="0 0 {} {}" role="img" aria-labelledby="flame-title flame-desc">'
        '<title id="flame-title">{}</title><desc id="flame-desc">{}</desc>{}</svg>'
    ).format(int(WIDTH), height, title, description, Markup("").join(boxes))


def _folded(node: Document, keep_own: bool = True) -> Document:
    """The next function that says something: callers of one thing alone are passed over, but for the service's own."""
    for _ in range(DEEPEST_TRUNK):
        if keep_own and OWN.search(str(node.get("name"))):
            break
        largest = max(listed(node, "children"), key=lambda child: amount(child, "seconds") or 0.0, default=None)
        if largest is None or (amount(largest, "seconds") or 0.0) < TRUNK * (amount(node, "seconds") or 0.0):
            break
        node = largest
    return node


def _box(name: str, across: tuple[float, float], depth: int, whole: float) -> Markup:
    (x, width), y = across, depth * ROW
    name = "".join(character for character in name if character.isprintable())[:160]
    told = f"{name}: {q.seconds(round(width / WIDTH * whole, 3))}, {q.share(width / WIDTH)}"
    room = int((width - 6) / CHARACTER_PX)
    label = "" if room < 4 else name if len(name) <= room else name[: room - 1] + "…"
    shade = SHADES[zlib.crc32(name.encode()) % len(SHADES)]
    return Markup(
        '<g><title>{}</title><rect class="f-{}" x="{:.2f}" y="{}" width="{:.2f}" height="{}"/>'
        '<text class="f-ink" x="{:.2f}" y="{}" font-size="11">{}</text></g>'
    ).format(told, shade, x, y, max(width - 0.5, 0.5), ROW - 1, x + 3, y + 12, label)


def by_package(packages: list[dict[str, Any]], most: int = 5) -> str:
    """ "41 % json (stdlib), 22 % chromadb"."""
    named = [(amount(row, "share"), str(row.get("package"))) for row in packages[:most]]
    return ", ".join(f"{q.share(share)} {name}" for share, name in named if share is not None and share >= 0.01)
