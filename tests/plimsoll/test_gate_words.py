"""`plimsoll gate` as it is typed: what is refused, with which sentence, and nothing is started for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from measurements.errors import Exit, PlimsollError
from plimsoll.commands.gate import Words, _version, gate
from plimsoll.pair import halves

CONTRACT = """
[target]
name = "s"
base_url = "http://127.0.0.1:9"
[[endpoint]]
name = "ask"
path = "/ask"
"""


def words(tmp_path: Path, extra: str = "", **given: object) -> Words:
    path = tmp_path / "s.toml"
    path.write_text(CONTRACT + extra, encoding="utf-8")
    known: dict[str, object] = dict.fromkeys(Words.__dataclass_fields__)
    known |= {
        "contract": path,
        "budget": 60.0,
        "out": tmp_path / "runs",
        "lang": "en",
        "json": False,
        "quiet": True,
        "alternate": False,
        "search": 0.0,
        "allocations": False,
    }
    return Words(**{**known, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"budget": 5.0}, Exit.USAGE, "give seconds from 30"),
        ({"baseline": "http://127.0.0.1:1", "baseline_start": "x"}, Exit.USAGE, "it is not started"),
        ({"baseline": "http://127.0.0.1:0"}, Exit.USAGE, "no usable port"),
        ({"baseline": "no-such-revision"}, Exit.USAGE, "no-such-revision"),
        ({"baseline_start": "x", "candidate_start": "x", "endpoint": "gone"}, Exit.USAGE, "the contract has ask"),
        ({"baseline_start": "true", "candidate_start": "true"}, Exit.UNREACHABLE, "the baseline (true) did not start"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, given: dict[str, object], code: Exit, said: str) -> None:
    with pytest.raises(PlimsollError, match=said.replace("(", r"\(").replace(")", r"\)")) as found:
        gate(words(tmp_path, **given))
    assert found.value.exit_code == code


def test_what_is_refused_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(PlimsollError) as found:
        gate(words(tmp_path, baseline="http://127.0.0.1:9", candidate="http://127.0.0.1:9"))
    assert found.value.exit_code == Exit.UNREACHABLE
    assert "the baseline http://127.0.0.1:9 does not answer" in str(found.value)
    assert not (tmp_path / "runs").exists()


def test_a_version_that_must_be_started_needs_to_be_told_how(tmp_path: Path) -> None:
    with pytest.raises(PlimsollError, match="--baseline-start"):
        gate(words(tmp_path, baseline="HEAD"))


def test_a_paid_upstream_needs_a_cap_that_covers_the_worst_course(tmp_path: Path) -> None:
    paid = """
[upstream]
paid = true
usd_per_1k_tokens_in = 1
tokens_in = 100
"""
    urls = {"baseline_start": "true", "candidate_start": "true"}
    for extra, given, code in (
        (paid, {}, Exit.REFUSED), (paid + "max_usd = 1", {}, Exit.USAGE), (paid + "max_usd = 1", {"rate": 1.0}, Exit.REFUSED),
    ):  # fmt: skip
        with pytest.raises(PlimsollError) as found:
            gate(words(tmp_path, extra, **urls, **given))
        assert found.value.exit_code == code


def test_sides_are_urls_commands_or_the_files_as_they_are(tmp_path: Path) -> None:
    assert _version(words(tmp_path, baseline="http://127.0.0.1:9"), "baseline").url == "http://127.0.0.1:9"
    assert _version(words(tmp_path, candidate_start="serve"), "candidate").start == "serve"
    assert _version(words(tmp_path), "candidate").label.startswith("the files as they are")


def test_cores_are_parted_where_there_are_two_for_the_service() -> None:
    assert halves([0]) is None
    assert halves([0, 1, 2]) == ([0], [1])
    assert halves([0, 1, 2, 3]) == ([0, 1], [2, 3])
