"""Rows on their way to another host: whatever the line does, the file there becomes the file here."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.hosts.shipping import KINDS, NEWS, PIECE_BYTES, WINDOW_BYTES, Piece, Shipper, Store
from measurements.rundir import RunDirectory


def two(tmp_path: Path) -> tuple[RunDirectory, RunDirectory]:
    return RunDirectory.create(tmp_path / "here", "run"), RunDirectory.create(tmp_path / "there", "run")


def nothing(rank: int, line: bytes) -> None: ...


def test_what_is_written_here_is_there_byte_for_byte(tmp_path: Path) -> None:
    here, there = two(tmp_path)
    shipper, store = Shipper(here, [0, 3]), Store(there, nothing)
    written = {
        key: random.Random(str(key)).randbytes(700_000) for key in ((0, "samples"), (3, "samples"), (3, "tokens"))
    }
    for (rank, kind), data in written.items():
        KINDS[kind](here, rank).write_bytes(data)
    for piece in shipper.due():
        shipper.acknowledge(piece.rank, piece.kind, store.take(piece))
    assert shipper.open_bytes == 0
    for (rank, kind), data in written.items():
        assert KINDS[kind](there, rank).read_bytes() == data
    assert all(store.has(*size) for size in shipper.sizes()) and len(shipper.sizes()) == 3


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_pieces_lost_doubled_and_out_of_order_still_give_the_same_file(
    seed: int, loss: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance = random.Random(seed)
    here, there = two(tmp_path_factory.mktemp("ship"))
    shipper, store = Shipper(here, [1]), Store(there, nothing)
    path, written = KINDS["samples"](here, 1), b""
    for turn in range(400):
        if turn < 8:
            written += chance.randbytes(chance.randrange(PIECE_BYTES))
            path.write_bytes(written)
        pieces = list(shipper.due())
        chance.shuffle(pieces)
        for piece in pieces:
            for _ in range(chance.choice([1, 1, 2])):
                if chance.random() < loss:
                    continue
                size = store.take(piece)
                if chance.random() >= loss:
                    shipper.acknowledge(1, "samples", size)
        shipper.again()
        if turn >= 8 and shipper.open_bytes == 0:
            break
    assert KINDS["samples"](there, 1).read_bytes() == written
    assert shipper.open_bytes == 0


def test_a_line_that_says_nothing_back_is_not_filled_without_end(tmp_path: Path) -> None:
    here, _ = two(tmp_path)
    path = KINDS["samples"](here, 0)
    path.write_bytes(bytes(3 * WINDOW_BYTES))
    shipper = Shipper(here, [0])
    assert sum(len(piece.data) for piece in shipper.due()) == WINDOW_BYTES
    assert list(shipper.due()) == []
    shipper.acknowledge(0, "samples", WINDOW_BYTES)
    assert sum(len(piece.data) for piece in shipper.due()) == WINDOW_BYTES


def test_a_gap_is_not_written_and_an_acknowledgement_of_more_than_there_is_does_not_count(tmp_path: Path) -> None:
    here, there = two(tmp_path)
    store = Store(there, nothing)
    assert store.take(Piece(0, "samples", 5, b"later")) == 0
    assert store.take(Piece(0, "samples", 0, b"first")) == 5
    assert store.take(Piece(0, "samples", 5, b"later")) == 10
    KINDS["samples"](here, 0).write_bytes(b"abc")
    shipper = Shipper(here, [0])
    shipper.acknowledge(0, "samples", 99)
    shipper.acknowledge(7, "samples", 1)
    assert shipper.open_bytes == 3


def test_news_come_as_whole_lines_and_leave_no_file(tmp_path: Path) -> None:
    _, there = two(tmp_path)
    heard: list[tuple[int, bytes]] = []
    store = Store(there, lambda rank, line: heard.append((rank, line)))
    store.take(Piece(2, NEWS, 0, b'{"a": 1}\n{"b"'))
    store.take(Piece(2, NEWS, 4, b'": 1}\n{"b": 2}\n'[:4]))  # sent again: already here
    store.take(Piece(2, NEWS, 13, b": 2}\n"))
    assert heard == [(2, b'{"a": 1}'), (2, b'{"b": 2}')]
    assert not KINDS[NEWS](there, 2).exists()


def test_a_file_that_is_there_already_is_never_written_over(tmp_path: Path) -> None:
    _, there = two(tmp_path)
    KINDS["samples"](there, 0).write_bytes(b"of somebody else")
    with pytest.raises(FileExistsError):
        Store(there, nothing).take(Piece(0, "samples", 0, b"new"))
