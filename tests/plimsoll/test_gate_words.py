"""`plimsoll gate` as it is typed: what is refused, with which sentence, and nothing is started for it."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from measurements.errors import Exit, PlimsollError, UsageError
from plimsoll.commands.gate import gate
from plimsoll.gate_words import Words, version
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
        ({"baseline_start": "x", "candidate_start": "x", "rate": 0.0}, Exit.USAGE, "--rate 0: give a rate above 0"),
        ({"baseline_start": "x", "candidate_start": "x", "rate": float("nan")}, Exit.USAGE, "--rate nan"),
        ({"baseline_start": "x", "candidate_start": "x", "seed": -1}, Exit.USAGE, "--seed -1"),
        ({"baseline": "a", "baseline_ref": "b"}, Exit.USAGE, "both name a version; give one"),
        (
            {"baseline_start": "no-such", "candidate_start": "x"},
            Exit.USAGE,
            "the baseline (no-such) did not start: s cannot be started: 'no-such'",
        ),
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


def test_one_url_for_both_versions_is_refused_before_any_load(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"both {url}; start two versions, on ports of their own"):
            gate(words(tmp_path, baseline=url, candidate=url))
    assert not (tmp_path / "runs").exists()


def test_a_folder_without_a_commit_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert version(words(tmp_path), "candidate").label == "the files as they are (no revision)"


def stored(tmp_path: Path, name: str) -> str:
    folder = tmp_path / name
    folder.mkdir()
    for document in ("run.json", "summary.json"):
        (folder / document).write_text('{"schema": 1, "schedule": {"loop": "open"}}', encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ("elsewhere", "STORED", "--baseline elsewhere is no run directory; the candidate is a stored run"),
        (None, "STORED", "--baseline is not given; the candidate is a stored run"),
        ("STORED", None, "name the candidate too"),
        ("STORED", "elsewhere", "--candidate elsewhere is neither a run directory nor a URL"),
    ],
)
def test_a_side_that_is_no_stored_run_is_named_and_no_run_begun(
    tmp_path: Path, baseline: str | None, candidate: str | None, said: str
) -> None:
    run = stored(tmp_path, "kept")
    sides = {"baseline": baseline, "candidate": candidate}
    given = {side: run if name == "STORED" else name for side, name in sides.items()}
    with pytest.raises(UsageError, match=said):
        gate(words(tmp_path, **given))
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
    assert version(words(tmp_path, baseline="http://127.0.0.1:9"), "baseline").url == "http://127.0.0.1:9"
    assert version(words(tmp_path, candidate_start="serve"), "candidate").start == "serve"
    assert version(words(tmp_path), "candidate").label.startswith("the files as they are")


def test_cores_are_parted_where_there_are_two_for_the_service() -> None:
    assert halves([0]) is None
    assert halves([0, 1, 2]) == ([0], [1])
    assert halves([0, 1, 2, 3]) == ([0, 1], [2, 3])
