"""Pieces of growing files at a place that all hosts reach: whatever fails there, the file at home becomes the file here."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.hosts.laying import MOST_NAMED, Laying
from loadtests.hosts.shared import OBJECT_BYTES, PLACED, TRIAL, Damaged, Laid, Place, bring, parse
from loadtests.hosts.shipping import KINDS, Piece, Shipper, Store
from measurements.errors import UsageError
from measurements.rundir import RunDirectory

RUN = "20261129T120000Z-shop-0a1b2c"


def place_in(folder: Path, system: Any = None) -> Place:
    return Place(system or pa.fs.LocalFileSystem(), str(folder), RUN)


def two(tmp_path: Path) -> tuple[RunDirectory, RunDirectory, Store]:
    there = RunDirectory.create(tmp_path / "there", "run")
    return RunDirectory.create(tmp_path / "here", "run"), there, Store(there, lambda rank, line: None)


class Local:
    """pyarrow's local file system; `failing` calls raise what they are given, once each."""

    def __init__(self, **failing: BaseException) -> None:
        self._local, self.failing = pa.fs.LocalFileSystem(), failing

    def __getattr__(self, name: str) -> Any:
        if name in self.failing:
            raise self.failing.pop(name)
        return getattr(self._local, name)


def test_an_object_has_a_name_of_numbers_and_comes_back_as_it_was_put(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    laid = place.put(3, "samples", 70, b"rows")
    digest = hashlib.sha256(b"rows").hexdigest()
    assert (tmp_path / RUN / "3" / "samples" / f"{70:020d}-{digest}").read_bytes() == b"rows"
    assert place.get(laid) == b"rows" and place.laid(3, "samples") == [laid] and place.laid(3, "tokens") == []
    assert Laid.of_message(laid.as_message()) == laid


def test_a_run_is_removed_and_its_neighbours_stay(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    place.put(0, "samples", 0, b"rows")
    other = Place(pa.fs.LocalFileSystem(), str(tmp_path), "another-run")
    other.put(0, "samples", 0, b"rows")
    place.remove()
    place.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["another-run"]


def test_what_is_neither_logs_nor_headers_is_laid_there_and_nothing_else() -> None:
    """Known secrets are cut out of rows and evidence when they are written; of the others only afterwards."""
    assert set(KINDS) - set(PLACED) == {"timings", "log", "news"}


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIDCANARY:canary-secret@bucket/rows", "s3://canary-key@bucket/rows", "gs://me:canary@bucket",
        "abfs://box@account.dfs.core.windows.net/rows?sas_token=canary", "s3://bucket/rows?secret_key=canary",
        "s3://bucket?sse_customer_key=canary", "s3://bucket?endpoint_override=http://me:canary@127.0.0.1:9",
        "hdfs://me:canary@node/rows", "abfs://box@account/rows?client_secret=canary", "s3://bucket?X-Amz-Signature=canary",
    ],
)  # fmt: skip
def test_credentials_in_a_place_are_refused_and_not_said_again(text: str) -> None:
    with pytest.raises(UsageError, match="credentials come from the environment") as refused:
        parse(text)
    assert "canary" not in str(refused.value).lower()


def test_a_place_without_credentials_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("rows") == str(tmp_path / "rows")  # the same path on every host, from wherever it is read
    for text in (
        "/mnt/rows", "file:///mnt/rows", "s3://bucket/rows?endpoint_override=http://127.0.0.1:9000&region=eu-north-1",
        "gs://anonymous@bucket/rows", "abfs://box@account.dfs.core.windows.net/rows", "hdfs://node:8020/rows?user=load",
    ):  # fmt: skip
        assert parse(text) == text


@pytest.mark.parametrize("uri", ["nope://bucket/rows", "s3://bucket?bogus=1", "s3://"])
def test_a_place_that_nobody_knows_is_a_sentence_of_one_line(uri: str) -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix") as refused:
        Place.at(uri, RUN)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("run", ["../../etc", "a/b", "", ".", "run\n"])
def test_a_run_whose_name_would_climb_out_of_the_place_is_refused(run: str) -> None:
    with pytest.raises(UsageError, match="name of the run"):
        Place(pa.fs.LocalFileSystem(), "/tmp", run)


GOOD = {"rank": 1, "kind": "samples", "offset": 0, "size": 5, "digest": "0" * 64}


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": -1}, {"rank": "1"}, {"rank": True}, {"rank": 1.0}, {"kind": "log"}, {"kind": "../x"}, {"kind": ["samples"]},
        {"offset": -1}, {"offset": 10**30}, {"size": 0}, {"size": OBJECT_BYTES + 1}, {"digest": "0" * 63}, {"digest": b"0" * 64},
        {"digest": "../" + "0" * 61}, {"digest": "A" * 64},
    ],
)  # fmt: skip
def test_what_a_host_says_it_has_laid_must_be_an_object_of_ours(wrong: dict[str, Any]) -> None:
    assert Laid.of_message(GOOD).end == 5
    with pytest.raises(ValueError, match="of ours"):
        Laid.of_message({**GOOD, **wrong})


def test_an_object_that_was_cut_off_or_changed_is_damaged(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    laid = place.put(0, "samples", 0, b"0123456789")
    path = next((tmp_path / RUN).rglob("*-*"))
    for wrong in (b"01234", b"012345678X", b"0123456789 and more"):
        path.write_bytes(wrong)
        with pytest.raises(Damaged):
            place.get(laid)


def test_what_the_run_lacks_is_brought_home_up_to_the_first_gap(tmp_path: Path) -> None:
    _, there, store = two(tmp_path)
    store.take(Piece(0, "samples", 0, b"0123"))  # came over the line
    place = place_in(tmp_path / "place")
    for offset, data in ((0, b"01"), (2, b"234"), (5, b"56"), (9, b"never")):
        place.put(0, "samples", offset, data)
    folder = tmp_path / "place" / RUN / "0" / "samples"
    (folder / "a note").write_text("somebody's")
    (folder / f"{7:020d}-{'0' * 64}").write_bytes(b"torn")
    damaged = bring(place, 0, "samples", store.size(0, "samples"), store.take)
    assert KINDS["samples"](there, 0).read_bytes() == b"0123456"
    assert len(damaged) == 1 and "damaged" in damaged[0]


def test_a_torn_object_does_not_hide_a_whole_one_over_the_same_bytes(tmp_path: Path) -> None:
    _, there, store = two(tmp_path)
    place = place_in(tmp_path / "place")
    place.put(0, "samples", 0, b"0123456789")
    (tmp_path / "place" / RUN / "0" / "samples" / f"{0:020d}-{'f' * 64}").write_bytes(b"01")
    assert len(bring(place, 0, "samples", 0, store.take)) == 1
    assert KINDS["samples"](there, 0).read_bytes() == b"0123456789"


def test_every_failure_of_a_place_is_one_kind_of_error(tmp_path: Path) -> None:
    for failure in (
        PermissionError(13, "denied"),
        pa.ArrowInvalid("strange"),
        TimeoutError("late"),
        pa.ArrowIOError("gone"),
    ):
        with pytest.raises(OSError):
            place_in(tmp_path, Local(open_output_stream=failure)).put(0, "samples", 0, b"x")
        with pytest.raises(OSError):
            place_in(tmp_path, Local(get_file_info=failure)).laid(0, "samples")


def test_only_what_has_gained_enough_is_due_and_an_object_has_a_bound(tmp_path: Path) -> None:
    here, _, _ = two(tmp_path)
    laying = Laying(here, [0, 1])
    KINDS["samples"](here, 0).write_bytes(bytes(OBJECT_BYTES + 7))
    KINDS["tokens"](here, 1).write_bytes(b"few")
    assert [(piece.rank, piece.kind, len(piece.data)) for piece in laying.due(OBJECT_BYTES)] == [
        (0, "samples", OBJECT_BYTES)
    ]
    assert [len(piece.data) for piece in laying.due(1)] == [OBJECT_BYTES, 3]
    assert laying.unlaid_bytes == OBJECT_BYTES + 10


def test_laying_goes_on_without_the_master_and_names_only_so_many_of_a_file(tmp_path: Path) -> None:
    here, there, store = two(tmp_path)
    place, laying, path = place_in(tmp_path / "place"), Laying(here, [0]), KINDS["samples"](here, 0)
    written = b""
    for number in range(40):
        written += b"%04d" % number
        path.write_bytes(written)
        for piece in laying.due(1):
            laying.lies(place.put(piece.rank, piece.kind, piece.offset, piece.data))
    assert laying.unlaid_bytes == 0 and len(list(laying.to_name())) == MOST_NAMED and list(laying.to_name()) == []
    laying.acknowledge(0, "samples", 10)  # two whole objects, and a part of the third
    assert [laid.offset for laid in laying.to_name()] == [4 * MOST_NAMED, 4 * MOST_NAMED + 4]
    laying.again()
    assert next(laying.to_name()).offset == 8
    bring(place, 0, "samples", 0, store.take)
    assert KINDS["samples"](there, 0).read_bytes() == written


def test_what_the_master_has_by_the_line_is_not_laid_again(tmp_path: Path) -> None:
    here, _, _ = two(tmp_path)
    laying = Laying(here, [0])
    KINDS["samples"](here, 0).write_bytes(b"0123456789")
    laying.acknowledge(0, "samples", 7)
    laying.acknowledge(0, "samples", 99)  # more than there is
    laying.acknowledge(5, "samples", 3)  # of another host
    assert laying.due(1) == [] and laying.unlaid_bytes == 0
    KINDS["samples"](here, 0).write_bytes(b"0123456789abc")
    assert [(piece.offset, piece.data) for piece in laying.due(1)] == [(10, b"abc")]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.3, 0.8]))
def test_line_and_place_in_any_turn_with_losses_give_the_same_file(
    seed: int, loss: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("place")
    here, there, store = two(folder)
    system = Local()
    place, laying, shipper = place_in(folder / "place", system), Laying(here, [1]), Shipper(here, [1])
    path, written = KINDS["samples"](here, 1), b""

    def acknowledged(size: int) -> None:
        if chance.random() >= loss:
            shipper.acknowledge(1, "samples", size)
            laying.acknowledge(1, "samples", size)

    for turn in range(400):
        if turn < 8:
            written += chance.randbytes(chance.randrange(50_000))
            path.write_bytes(written)
        if chance.random() < loss:
            system.failing["open_output_stream"] = OSError("away")
        try:
            for piece in laying.due(1):
                laying.lies(place.put(piece.rank, piece.kind, piece.offset, piece.data))
            named = list(laying.to_name())
            chance.shuffle(named)
            for laid in named:
                if chance.random() >= loss:
                    acknowledged(store.take(Piece(1, "samples", laid.offset, place.get(laid))))
        except OSError:
            for piece in shipper.due():
                if chance.random() >= loss:
                    acknowledged(store.take(piece))
        shipper.again()
        laying.again()
        if turn >= 8 and shipper.open_bytes == 0:
            break
    assert KINDS["samples"](there, 1).read_bytes() == written and shipper.open_bytes == 0
    assert TRIAL not in KINDS
