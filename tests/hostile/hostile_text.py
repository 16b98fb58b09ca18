"""Text that a hostile target may send into every place that ends on a screen, in a file or in a page."""

from unicodedata import category

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x1b[H"
C1 = "\x9b31mred\x9b0m"
BIDI = "\u202egnp.exe"
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"
ATTRIBUTE = "\"' onmouseover='alert(1)"
MARKDOWN = "|[a](javascript:alert(1)) `x` @everyone ![i](http://evil/x.png)"
FORMULA = '=HYPERLINK("http://evil","x")'
RICH = "[red]markup[/red] [link=http://evil]x[/link]"
TEMPLATE = "{{7*7}} {% raw %} ${env:HOME} %s {0}"
NUL = "a\x00b\x0c\x0b\x85\u2028\u2029"
EVERY = [TITLE, CLEAR, C1, BIDI, SCRIPT, IMAGE, ATTRIBUTE, MARKDOWN, FORMULA, RICH, TEMPLATE, NUL]
ALL = " ".join(EVERY)
IN_A_HEADER = " ".join([C1, SCRIPT, IMAGE, ATTRIBUTE, MARKDOWN, FORMULA, RICH, TEMPLATE]).encode("latin-1", "replace")


def unsafe(text: str) -> list[str]:
    """Characters that a terminal acts on, or that turn a line around."""
    return sorted({repr(c) for c in text if category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"})
