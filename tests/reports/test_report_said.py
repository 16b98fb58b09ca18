"""What documents carry in English is said in the page's language, from the code's own sentences, and stays text."""

import ast
import re
from pathlib import Path

import pytest

from reports.page import _environment
from reports.said import HOLE, said, sentences

ROOT = Path(__file__).parents[2]
ROOMS = ("measurements", "capacity", "targets", "profiles", "plimsoll", "benchmarks")
ALWAYS = (
    "measurements/generator_checks.py",
    "measurements/run_checks.py",
    "targets/limits.py",
    "targets/traps.py",
    "capacity/memory_limit.py",
    "capacity/signatures.py",
    "capacity/waiting.py",
)


def templates(file: Path) -> set[str]:
    """The texts of a file, what is filled in as {}; docstrings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    filled = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    pieces = {id(piece) for node in filled for piece in node.values}
    pieces |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    plain = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in pieces]
    found = {"".join(str(v.value) if isinstance(v, ast.Constant) else HOLE for v in node.values) for node in filled}
    return found | {text for text in plain if isinstance(text, str)}


@pytest.fixture(scope="module")
def code() -> set[str]:
    return {text for room in ROOMS for file in (ROOT / room).rglob("*.py") for text in templates(file)}


def test_each_has_a_sentence_of_the_code_on_its_left_side(code: set[str]) -> None:
    two = {first + second for first in code if first.endswith("from ") for second in code if second.startswith("the ")}
    strangers = [english for english in sentences("ko") if english not in code | two]
    assert strangers == []


def test_each_says_all_that_was_filled_in_and_nothing_else() -> None:
    for english, korean in sentences("ko").items():
        numbers = {int(number) for number in re.findall(r"\{(\d+)\}", korean)}
        assert numbers == set(range(1, english.count(HOLE) + 1)), english
        assert re.search("[가-힣]", korean), english


@pytest.mark.parametrize("file", ALWAYS)
def test_nearly_all_that_a_report_may_say_has_korean_words(file: str) -> None:
    """Patterns are texts of the code too: hence not all."""
    long = {text for text in templates(ROOT / file) if text.count(" ") >= 5 and "|" not in text}
    without = long - set(sentences("ko"))
    assert len(without) <= 0.1 * len(long), sorted(without)


def test_sentences_inside_sentences_are_said_too() -> None:
    found = said("replicas gain 0 at 3 rps: the upstream binds, and all replicas share it", "ko")
    assert found == "3 rps에서 복제본의 이득은 0입니다: 업스트림이 한계이고, 모든 복제본이 이를 함께 씁니다"


def test_what_has_no_other_words_stays_as_it_is_and_is_marked() -> None:
    assert said("the cat sat on the mat", "ko") is None
    page = _environment("ko").from_string("{{ text | said }}")
    assert page.render(text="the cat sat on the mat") == '<span lang="en">the cat sat on the mat</span>'
    assert _environment("en").from_string("{{ text | said }}").render(text="the cat") == "the cat"


def test_what_a_target_wrote_into_a_sentence_stays_text() -> None:
    page = _environment("ko").from_string("{{ text | said }}")
    shown = page.render(text="the run ended early: <script>alert(1)</script>")
    assert "실행이 일찍 끝났습니다" in shown and "<script>" not in shown and "&lt;script&gt;" in shown
