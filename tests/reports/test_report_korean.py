"""Korean is read on every machine: a page carries the glyphs that it needs, and none that it does not."""

import base64
import io
import re
from pathlib import Path

import synthetic_run
from fontTools.ttLib import TTFont

from reports import hangul
from reports.render import render
from reports.wording import Words


def characters_of(face: str) -> set[str]:
    data = re.search(r"base64,([^)]+)\)", face)
    assert data is not None
    return {chr(code) for code in TTFont(io.BytesIO(base64.b64decode(data[1]))).getBestCmap()}


def test_a_page_without_korean_carries_no_font() -> None:
    assert hangul.faces("<p>How it carried the load</p>") == ""


def test_every_syllable_of_a_page_is_in_both_weights() -> None:
    faces = re.findall(r"@font-face\{.*?\}", hangul.faces("<p>용량 검토</p>"))
    assert len(faces) == 2
    for face in faces:
        assert set("용량검토") <= characters_of(face)
        assert len(characters_of(face)) < 10


def test_all_words_of_the_reports_have_their_glyphs() -> None:
    said = "".join(Words("ko")._texts.values())
    needed = set(hangul.KOREAN.findall(said))
    assert len(needed) > 200
    for face in re.findall(r"@font-face\{.*?\}", hangul.faces(said)):
        assert needed <= characters_of(face)


def test_the_cut_font_does_not_carry_the_reserved_name() -> None:
    font = TTFont(io.BytesIO(hangul._cut(hangul.WEIGHTS[400], "가")))
    assert not any("Pretendard" in str(record) for record in font["name"].names)


def test_a_service_with_a_korean_name_is_shown_in_an_english_report(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=3)
    document = run.read_json("run.json")
    document["contract"]["target"]["name"] = "판례 검색"
    run.write_json("run.json", document)
    source = render(run).read_text(encoding="utf-8")
    assert "font-src data:" in source and '"Plimsoll Hangul"' in source


def test_the_policy_lets_a_font_in_only_where_there_is_one(tmp_path: Path) -> None:
    run = synthetic_run.write(tmp_path, rates=[10, 20], stage_s=3)
    english, korean = (render(run, lang).read_text(encoding="utf-8") for lang in ("en", "ko"))
    assert "font-src" not in english and "font-src data:" in korean
