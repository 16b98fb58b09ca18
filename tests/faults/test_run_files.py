"""Run files that are damaged, cut off, missing, or of another format version: one sentence that names the file."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from fault_table import noted

from measurements.rundir import RunDirectory
from measurements.sample import SCHEMA_VERSION
from plimsoll import cli
from plimsoll.finish import ERRORS
from tests.reports import synthetic_run

FILES = ["run.json", "summary.json", "validity.json", "plan.json", "examples.jsonl", "errors.parquet", "resources.parquet",
         "samples/worker-000.parquet", "tokens/worker-000.parquet"]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "report": ["report", "RUN"], "markdown": ["report", "RUN", "--as", "markdown"], "junit": ["report", "RUN", "--as", "junit"],
    "compare": ["compare", "WHOLE", "RUN"], "plan": ["plan", "RUN", "--demand", "5"], "recover": ["recover", "RUN"],
    "history": ["history", "--add", "RUN", "--store", "STORE", "--kind", "run"],
}  # fmt: skip


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def garbled(path: Path) -> None:
    path.write_bytes(random.Random(4).randbytes(2_000))


def flipped(path: Path) -> None:
    data, draw = bytearray(path.read_bytes()), random.Random(str(path.name))
    for _ in range(20):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))


def removed(path: Path) -> None:
    path.unlink()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut in half": cut, "emptied": emptied, "garbled": garbled, "bits flipped": flipped, "removed": removed,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run with tokens, errors, examples and a plan; none of its files is touched, only copies are."""
    run = synthetic_run.write(tmp_path_factory.mktemp("whole"), rates=[5.0, 6.0, 7.0], stage_s=2.0)
    error = {"error_id": 1, "outcome": "timeout", "count": 2, "pattern": "timeout", "excerpt": "timeout"}
    run.write_table("errors.parquet", pa.Table.from_pylist([error], schema=ERRORS))
    run.write_text("examples.jsonl", json.dumps({"why": "first 5 ok", "outcome": "ok", "body": "x"}) + "\n")
    document = run.read_json("run.json")
    more = {"name": "kakao", "timeouts_s": {}, "limits": {}, **document, "run": run.identity}
    more["schedule"] = {"cv": 1.0, "users": 0, "workers": 1, "timeout_s": 30.0, "stages": [], **document["schedule"]}
    run.write_json("run.json", more)
    return run


@dataclass
class Said:
    code: int
    err: str


def said(capsys: pytest.CaptureFixture[str], words: list[str]) -> Said:
    capsys.readouterr()
    try:
        cli.main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return Said(code, capsys.readouterr().err)


def tried(
    command: str, damage: str, file: str, whole: RunDirectory, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = folder / whole.identity
    shutil.copytree(whole.path, copy)
    DAMAGES[damage](copy / file)
    places = {"RUN": str(copy), "WHOLE": str(whole.path), "STORE": str(folder / "history.duckdb")}
    done = said(capsys, [places.get(word, word) for word in COMMANDS[command]])
    sentences = [line for line in done.err.splitlines() if line.startswith("plimsoll: ")]
    named = len(sentences) == 1 and (Path(file).name in sentences[0] or "is finished already" in sentences[0])
    fair = (
        "Traceback" not in done.err
        and "does not expect" not in done.err
        and (done.code in (0, 3) or (done.code == 2 and len(sentences) == 1 and (named or damage == "removed")))
    )
    noted(f"run file {damage}", done.code, fair)
    assert fair, f"plimsoll {command} with {file} {damage}: exit {done.code}\n{done.err}"


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_in_half_is_a_sentence_that_names_it(
    file: str, whole: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried("plan" if file == "resources.parquet" else "markdown", "cut in half", file, whole, tmp_path, capsys)


@pytest.mark.prove
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_damage_to_any_file_is_more_than_a_sentence(
    command: str, damage: str, file: str, whole: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried(command, damage, file, whole, tmp_path, capsys)


VERSIONS = [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1, 999, "1", None]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_older_and_a_newer_format_are_refused_with_both_versions_named(
    command: str, version: object, whole: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / whole.identity
    copy.mkdir()
    document = {**whole.read_json("run.json"), "schema": version}
    (copy / "run.json").write_text(json.dumps(document), encoding="utf-8")
    places = {"RUN": str(copy), "WHOLE": str(whole.path), "STORE": str(tmp_path / "history.duckdb")}
    done = said(capsys, [places.get(word, word) for word in COMMANDS[command]])
    fair = done.code == 2 and f"format version {version}" in done.err and f"reads version {SCHEMA_VERSION}" in done.err
    noted("run of an older or newer format", done.code, fair)
    assert fair, done.err
