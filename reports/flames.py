"""A flame graph for the page: CPU by call stack, drawn from the tree in profiles.json; no script, no inline style.

Width is CPU time, callers above the functions they call; a box's title tells its name and figures. Names come from the
profiled process and are escaped as they are put into the markup.
"""

import zlib
from typing import Any

from markupsafe import Markup

from reports import quantities as q
from reports.documents import Document, amount, listed

WIDTH, ROW = 880.0, 18
LEAST_PX = 1.5
DEEPEST, MOST_BOXES = 32, 600
TRUNK, DEEPEST_TRUNK = 0.95, 200
CHARACTER_PX = 6.3
SHADES = ("r0", "r1", "quiet")  # dark text stands well on all of them, in either scheme


def flame_graph(tree: Document, title: str, description: str) -> Markup | None:
    """None where no CPU was recorded."""
    whole = amount(tree, "seconds")
    if not whole or whole <= 0:
        return None
    boxes: list[Markup] = []
    deepest = 0
    trunks = [_above_the_fork(child) for child in listed(tree, "children")]
    waiting: list[tuple[Document, float, int]] = [({**tree, "children": trunks}, 0.0, 0)]
    while waiting and len(boxes) < MOST_BOXES:
        node, x, depth = waiting.pop(0)
        width = (amount(node, "seconds") or 0.0) / whole * WIDTH
        if width < LEAST_PX or depth > DEEPEST or x + width > WIDTH + 0.01:
            continue
        deepest = max(deepest, depth)
        boxes.append(_box(str(node.get("name") or "?"), (x, width), depth, whole))
        for child in listed(node, "children"):
            waiting.append((child, x, depth + 1))
            x += (amount(child, "seconds") or 0.0) / whole * WIDTH
    height = (deepest + 1) * ROW
    return Markup(
        '<svg class="flame" viewBox="0 0 {} {}" role="img" aria-labelledby="flame-title flame-desc">'
        '<title id="flame-title">{}</title><desc id="flame-desc">{}</desc>{}</svg>'
    ).format(int(WIDTH), height, title, description, Markup("").join(boxes))


def _above_the_fork(node: Document) -> Document:
    """Where the first branches part: the callers below it are the same for everything and say nothing."""
    for _ in range(DEEPEST_TRUNK):
        children = listed(node, "children")
        if len(children) != 1 or (amount(children[0], "seconds") or 0.0) < TRUNK * (amount(node, "seconds") or 0.0):
            break
        node = children[0]
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
