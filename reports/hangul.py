"""Korean glyphs for readers whose machine has none: the syllables of one page, cut out of Pretendard and put into it.

vendor/Pretendard-*.woff are the published subset of KS X 1001's 2,350 syllables and the Latin letters (SIL Open Font
License 1.1, vendor/Pretendard-OFL.txt). It stands first in the style sheet, for Korean alone: behind other families Chromium leaves
whole words as boxes.
"""

import base64
import io
import re
from functools import cache
from importlib.resources import files

FAMILY = "Plimsoll Hangul"
WEIGHTS = {400: "Pretendard-Regular.subset.woff", 600: "Pretendard-SemiBold.subset.woff"}
KOREAN = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
RANGE = "U+1100-11FF,U+3130-318F,U+AC00-D7A3"


def faces(page: str) -> str:
    """@font-face rules with just the Korean characters of `page`; "" where there is none."""
    characters = "".join(sorted(set(KOREAN.findall(page))))
    return "".join(_face(weight, characters) for weight in WEIGHTS) if characters else ""


@cache
def _face(weight: int, characters: str) -> str:
    data = base64.b64encode(_cut(WEIGHTS[weight], characters)).decode()
    return (
        f'@font-face{{font-family:"{FAMILY}";font-weight:{weight};unicode-range:{RANGE};'
        f'src:url(data:font/woff;base64,{data}) format("woff")}}'
    )


def _cut(name: str, characters: str) -> bytes:
    """The font with these characters alone. Its names are left out: a cut font may not carry the reserved one."""
    from fontTools import subset

    options = subset.Options(flavor="woff", name_IDs=[], layout_features=[], hinting=False, glyph_names=False)
    source = io.BytesIO(files("reports").joinpath("vendor").joinpath(name).read_bytes())
    font = subset.load_font(source, options, lazy=True)
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(font)
    written = io.BytesIO()
    font.flavor = "woff"
    font.save(written)
    return written.getvalue()
