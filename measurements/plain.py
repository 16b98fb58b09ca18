"""Text from outside, made harmless for whoever prints it: what would move a cursor, set a title or turn a line around is
shown as its code, written as JSON writes it, so that a document stays the document that it is."""

from __future__ import annotations

import json
import re
from typing import Any

# Unicode's Cc, Cf (directions, zero widths), Zl, Zp and lone surrogates, without line break and tab
ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-"
    "\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U00013438\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)


def plain(text: str) -> str:
    """Line breaks, tabs and every kind of space stay; control and formatting characters become \\uNNNN."""
    return text if text.isprintable() else ACTING.sub(lambda found: json.dumps(found[0])[1:-1], text)


class PlainStream:
    """Standard output or error for words that may come from a target. `unfiltered` is for what draws on purpose."""

    def __init__(self, stream: Any) -> None:
        self.unfiltered = getattr(stream, "unfiltered", stream)

    def write(self, text: str) -> int:
        shown = plain(text)
        try:
            self.unfiltered.write(shown)
        except UnicodeEncodeError:  # a terminal of ASCII: its codes rather than nothing
            self.unfiltered.write(shown.encode("ascii", "backslashreplace").decode("ascii"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)
