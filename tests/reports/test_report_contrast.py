"""Text and marks can be told from what lies behind them, in the light, in the dark and on paper (WCAG 2.2, 1.4.3)."""

import re
from pathlib import Path

import pytest

import reports
from reports.charts.canvas import CLASSES

CSS = (Path(reports.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
PALETTES = [
    dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", block)) for block in re.findall(r":root\{(.*?)\}", CSS, re.DOTALL)
]


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_there_is_a_palette_for_light_dark_and_paper() -> None:
    assert len(PALETTES) == 3
    assert all(set(palette) == set(PALETTES[0]) for palette in PALETTES)


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "paper"])
def test_text_stands_out_by_four_and_a_half(palette: dict[str, str]) -> None:
    texts = ["ink", "muted", "good", "warn", "bad", "blue", *(name for name in palette if re.fullmatch(r"c\d", name))]
    for text in texts:
        for face in ("face", "raised"):
            if text.startswith("c") and face == "raised":
                continue
            assert contrast(palette[text], palette[face]) >= 4.5, (text, face)
    for tone in ("good", "warn", "bad"):
        assert contrast(palette[tone], palette[f"{tone}-face"]) >= 4.5, tone


def test_every_colour_of_a_chart_has_its_rule_in_the_style_sheet() -> None:
    for name in CLASSES.values():
        assert f".f-{name}{{" in CSS
        assert f".s-{name}{{" in CSS
