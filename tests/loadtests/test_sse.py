"""Server-sent events, whatever way the bytes were cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadtests.sse import MAX_EVENT_BYTES, EventReader

BOM = b"\xef\xbb\xbf"


def read(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces; the same place twice gives an empty piece."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


lines = st.text(st.characters(blacklist_characters="\r\n", codec="utf-8"), max_size=12)
events = st.tuples(st.one_of(st.just(""), lines), st.lists(lines, min_size=1, max_size=3))


@settings(max_examples=250)
@given(
    given_events=st.lists(events, max_size=5),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1, max_size=4),
    bom=st.booleans(),
    noise=st.sampled_from([b"", b": a comment", b"id: 5", b"retry: 10", b"data2: no", b"event"]),
    space=st.sampled_from([b"", b" "]),
    places=st.lists(st.integers(0, 2_000), max_size=12),
)
@example([("", ["a", "b"])], [b"\r\n"], True, b"", b" ", [1, 2, 11, 12])
def test_any_cutting_of_any_events_with_any_line_ends_gives_the_same_events(
    given_events: list[tuple[str, list[str]]], ends: list[bytes], bom: bool, noise: bytes, space: bytes,
    places: list[int],
) -> None:  # fmt: skip
    data, number = b"", 0

    def line(content: bytes) -> bytes:
        nonlocal number
        number += 1
        end = ends[number % len(ends)]
        return content + (b"\r" if data.endswith(b"\r") and not content else end)  # CR and LF together are one end

    for kind, texts in given_events:
        if noise:
            data += line(noise)
        if kind:
            data += line(b"event:" + space + kind.encode())
        for text in texts:
            data += line(b"data:" + space + text.encode())
        data += line(b"")
    space_is_ours = space == b" "
    expected = []
    for kind, texts in given_events:
        # without a space of ours, one leading space of the value itself is taken off (section 9.2.6)
        values = [text if space_is_ours else text.removeprefix(" ") for text in texts]
        name = kind if space_is_ours else kind.removeprefix(" ")
        expected.append((name.encode(), "\n".join(values).encode()))
    data = BOM * bom + data
    reader = EventReader()
    assert [event for chunk in cut(data, places) for event in reader.feed(chunk)] == expected
    assert not reader.pending


def test_every_cut_into_two_of_a_korean_stream_with_cr_lf_gives_the_same_events() -> None:
    data = BOM + "event: message\r\ndata: 판례\r\ndata: 검색\r\n\r\ndata: [DONE]\r\n\r\n".encode()
    expected = [(b"message", "판례\n검색".encode()), (b"", b"[DONE]")]
    for place in range(len(data) + 1):
        assert read(data[:place], data[place:]) == expected, place


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_dispatched_as_soon_as_its_blank_line_has_come(end: bytes) -> None:
    reader = EventReader()
    assert reader.feed(b"data: one" + end) == []
    assert reader.feed(end) == [(b"", b"one")]


def test_a_byte_order_mark_counts_only_at_the_very_start() -> None:
    assert read(BOM + b"data: a\n\n", BOM + b"data: b\n\n") == [(b"", b"a")]
    assert read(BOM[:1], BOM[1:2], BOM[2:] + b"data: a\n\n") == [(b"", b"a")]


def test_an_event_that_the_end_cuts_off_is_discarded_and_reported() -> None:
    reader = EventReader()
    assert reader.feed(b"data: whole\n\ndata: half\n") == [(b"", b"whole")]
    assert reader.pending


def test_comments_and_blank_lines_between_events_are_nothing_pending() -> None:
    reader = EventReader()
    assert reader.feed(b": keep-alive\n\n\n\n") == []
    assert not reader.pending


def test_data_without_a_value_is_an_empty_event_and_an_event_without_data_none() -> None:
    assert read(b"data\n\ndata:\n\nevent: ping\n\n") == [(b"", b""), (b"", b"")]


def test_an_event_type_holds_for_one_event_only() -> None:
    assert read(b"event: done\ndata: 1\n\ndata: 2\n\n") == [(b"done", b"1"), (b"", b"2")]


def test_an_endless_event_is_refused_before_it_fills_the_memory() -> None:
    reader = EventReader()
    with pytest.raises(ValueError, match="an event over"):
        for _ in range(2 * MAX_EVENT_BYTES // 65_536):
            reader.feed(b"x" * 65_536)
