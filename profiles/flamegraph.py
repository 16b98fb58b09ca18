"""A flame graph as one SVG file that needs nothing else: hover for the figures, click to zoom, no network.

Width is weight (CPU seconds or bytes), the root on top (an "icicle"), children by name, as Gregg describes it
(Communications of the ACM 59:6, 2016). Names come from the profiled process: they are escaped and cut.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape

WIDTH = 1200
ROW = 17
LEAST_SHARE = 0.0008  # under a pixel
MOST_DEPTH = 200
CHAR_PX = 6.6
NOT_IN_XML = re.compile("[^\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

SCRIPT = """
(function(){var s=document.currentScript.closest('svg'),g=s.querySelectorAll('g.f'),W=1200;
function show(x,w,d){g.forEach(function(e){var a=+e.dataset.x,b=+e.dataset.w,k=+e.dataset.d,
r=e.querySelector('rect'),t=e.querySelector('text');
var on=k<d?(a<=x+1e-3&&a+b>=x+w-1e-3):(a>=x-1e-3&&a+b<=x+w+1e-3);e.style.display=on?'':'none';if(!on)return;
var L=k<d?0:(a-x)/w*W,B=k<d?W:b/w*W;r.setAttribute('x',L);r.setAttribute('width',Math.max(B-0.4,0.2));
t.setAttribute('x',L+3);var n=e.dataset.n,m=Math.floor((B-6)/6.6);
t.textContent=m<3?'':n.length<=m?n:n.slice(0,m-1)+'…';});}
g.forEach(function(e){e.addEventListener('click',function(){show(+e.dataset.x,+e.dataset.w,+e.dataset.d);});});})();
"""


@dataclass
class Node:
    """A function under its callers; `weight` includes its children's. `change` is only used by a difference graph."""

    name: str
    weight: float = 0.0
    before: float = 0.0
    children: dict[str, "Node"] = field(default_factory=dict)

    def add(self, path: Iterable[str], weight: float, before: float = 0.0) -> None:
        node = self
        node.weight, node.before = node.weight + weight, node.before + before
        for depth, name in enumerate(path):
            if depth == MOST_DEPTH:
                break
            node = node.children.setdefault(name, Node(name))
            node.weight, node.before = node.weight + weight, node.before + before


Colour = Callable[[Node], str]


def svg(root: Node, title: str, amount: Callable[[float], str], colour: Colour | None = None) -> str:
    """`amount` writes a weight for people ("1.24 s", "3.1 MiB"). An empty tree gives a graph that says so."""
    colour = colour or warm
    boxes: list[str] = []
    deepest = 0
    whole = root.weight or 1.0

    def place(node: Node, x: float, depth: int) -> None:
        nonlocal deepest
        share = node.weight / whole
        if share < LEAST_SHARE:
            return
        deepest = max(deepest, depth)
        tip = f"{node.name}\n{amount(node.weight)}, {share:.1%}"
        boxes.append(_box(node.name, tip, colour(node), (x, share * WIDTH), depth))
        for name in sorted(node.children):
            place(node.children[name], x, depth + 1)
            x += node.children[name].weight / whole * WIDTH

    if root.weight > 0:
        place(root, 0.0, 0)
    height = (deepest + 1) * ROW + 30
    shown = _text(title if boxes else f"{title}: nothing was recorded")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" role="img" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11"><title>{shown}</title>'
        f"<style>g.f{{cursor:pointer}}g.f:hover rect{{stroke:#222;stroke-width:1}}</style>"
        f'<text x="3" y="16" font-size="13">{shown}</text>{"".join(boxes)}<script><![CDATA[{SCRIPT}]]></script></svg>\n'
    )


def warm(node: Node) -> str:
    """A steady colour per name, between yellow and red."""
    mark = zlib.crc32(node.name.encode("utf-8", "replace"))
    return f"hsl({12 + mark % 38},{68 + mark // 64 % 22}%,{62 + mark // 4096 % 12}%)"


def by_change(node: Node) -> str:
    """Red where the second capture spends more, blue where less, white where the same."""
    change = (node.weight - node.before) / max(node.weight, node.before, 1e-12)
    return f"hsl({8 if change > 0 else 215},80%,{96 - min(1.0, abs(change)) * 36:.0f}%)"


def _box(name: str, tip: str, fill: str, across: tuple[float, float], depth: int) -> str:
    (x, width), y = across, depth * ROW + 26
    room, name = int((width - 6) / CHAR_PX), name[:160]
    label = "" if room < 3 else name if len(name) <= room else name[: room - 1] + "…"
    return (
        f'<g class="f" data-x="{x:.3f}" data-w="{width:.3f}" data-d="{depth}" data-n="{_text(name)}">'
        f"<title>{_text(tip)}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{max(width - 0.4, 0.2):.2f}" height="{ROW - 1}" fill="{fill}" rx="1"/>'
        f'<text x="{x + 3:.2f}" y="{y + 12}">{_text(label)}</text></g>'
    )


def _text(text: str) -> str:
    """Escaped for XML, without the characters that XML 1.0 has no place for."""
    return escape(NOT_IN_XML.sub("", text))
