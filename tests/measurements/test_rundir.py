"""The run directory: its name, `latest`, its documents, and what it refuses."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_sample_and_journal import packed

from measurements import sample
from measurements.errors import FormatError, UsageError
from measurements.journal import JournalWriter
from measurements.rundir import RunDirectory
from measurements.sample import SAMPLES, SCHEMA_VERSION

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


def test_a_run_is_named_by_its_time_in_utc_its_target_and_an_id(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao", NOON)
    assert re.fullmatch(r"20260301T120005Z-kakao-[0-9a-f]{6}", run.identity)
    assert {path.name for path in run.path.iterdir()} == {"samples", "tokens", "profiles"}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Service 2.0", "my-service-2-0"),
        ("../../etc/passwd", "etc-passwd"),
        ("카카오", "run"),
        ("-x-", "x"),
        ("a" * 80, "a" * 40),
    ],
)
def test_a_name_becomes_a_harmless_slug(tmp_path: Path, name: str, slug: str) -> None:
    run = RunDirectory.create(tmp_path, name, NOON)
    assert run.identity.removeprefix("20260301T120005Z-").rsplit("-", 1)[0] == slug
    assert run.path.parent == tmp_path


def test_latest_points_at_the_newest_run_and_moves_with_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    for name in ("first", "second"):
        run = RunDirectory.create(out, name)
        run.write_json("run.json", {"schema": 1})
    assert (out / "latest").resolve() == run.path.resolve()
    moved = out.rename(tmp_path / "elsewhere")
    assert (moved / "latest").resolve().name == run.identity


def test_a_run_that_was_refused_before_it_began_is_not_the_latest_and_leaves_no_folder(tmp_path: Path) -> None:
    good = RunDirectory.create(tmp_path, "good")
    good.write_json("run.json", {"schema": 1})
    refused = RunDirectory.create(tmp_path, "refused")
    assert (tmp_path / "latest").resolve() == good.path.resolve()
    refused.discard_if_empty()
    assert not refused.path.exists()
    with_a_log = RunDirectory.create(tmp_path, "died")
    (with_a_log.path / "service.log").write_text("why")
    with_a_log.discard_if_empty()
    assert (with_a_log.path / "service.log").exists()


def test_writing_an_older_run_again_does_not_make_it_the_latest(tmp_path: Path) -> None:
    older, newer = RunDirectory.create(tmp_path, "older"), RunDirectory.create(tmp_path, "newer")
    for run in (older, newer, older):
        run.write_json("run.json", {"schema": 1})
    assert (tmp_path / "latest").resolve() == newer.path.resolve()


def test_two_runs_in_the_same_second_get_directories_of_their_own(tmp_path: Path) -> None:
    made = {RunDirectory.create(tmp_path, "kakao", NOON).identity for _ in range(20)}
    assert len(made) == 20


def test_a_folder_that_cannot_be_written_is_a_sentence_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be made .*--out"):
        RunDirectory.create(tmp_path / "file", "kakao")


def test_a_folder_without_run_json_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run directory .*runs/latest"):
        RunDirectory.open(tmp_path)


def test_another_format_version_is_refused_with_both_versions_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(FormatError, match=rf"version 99.*version {SCHEMA_VERSION}"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("content", ["{", "", "[1, 2", "\x00\xff"])
def test_a_damaged_run_json_is_a_sentence_and_not_a_traceback(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(FormatError, match="is damaged"):
        RunDirectory.open(tmp_path)


def test_a_run_json_that_is_no_object_is_a_sentence_too(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(FormatError):
        RunDirectory.open(tmp_path)


def test_latest_can_be_opened_and_names_the_run_itself(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    run.write_json("run.json", {"schema": SCHEMA_VERSION})
    assert RunDirectory.open(tmp_path / "latest").identity == run.identity


def test_a_document_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    run.write_json("run.json", {"schema": 1, "name": "카카오"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("run.json", {"schema": 1, "p95": float("nan")})
    assert run.read_json("run.json")["name"] == "카카오"
    assert "카카오" in (run.path / "run.json").read_text(encoding="utf-8")
    assert not list(run.path.glob(".*"))


def test_a_missing_document_says_how_to_finish_the_run(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    run.write_json("run.json", {"schema": 1, "name": "kakao"})
    with pytest.raises(UsageError, match=r"has no summary\.json.*plimsoll recover"):
        run.read_json("summary.json")


def test_samples_read_the_same_while_they_are_journals_and_after_they_became_parquet(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    for worker, name in enumerate(("generate", "search")):
        writer = JournalWriter(run.journal_path("samples", worker), SAMPLES)
        writer.append(sample.batch(packed(4, 10 * worker), worker, ["steady"], [name]))
        writer.close()
    before = run.table("samples")
    assert run.finish_shards() == {"samples": [], "tokens": []}
    after = run.table("samples")
    assert before.to_pylist() == after.to_pylist()
    assert sorted(path.name for path in (run.path / "samples").iterdir()) == [
        "worker-000.parquet",
        "worker-001.parquet",
    ]
    assert run.table("samples", ["seq", "endpoint"]).column_names == ["seq", "endpoint"]


def test_a_journal_without_its_end_is_named_when_the_shards_are_finished(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    writer = JournalWriter(run.journal_path("samples", 0), SAMPLES)
    writer.append(sample.batch(packed(4), 0, ["steady"], ["generate"]))
    assert run.finish_shards()["samples"] == ["worker-000.arrows"]
    assert run.table("samples").num_rows == 4
    writer.close()


def test_a_run_without_rows_has_an_empty_table_of_the_right_columns(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "kakao")
    assert run.table("samples").num_rows == 0
    assert run.table("samples").schema.names == SAMPLES.names
