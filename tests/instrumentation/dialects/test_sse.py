"""Server-sent events come out the same, however the bytes were split."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects import sse

LINES = st.sampled_from(
    [b"", b"data: a", b"data:b", b"data", b"data:  c", b": comment", b"event: error", b"id: 1",
     b"retry: 5", b"junk", b" data: x", b"event:"]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS).map(b"".join)).map(b"".join)
PLACES = st.lists(st.integers(0, 200))


def read(pieces: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    rest = b""
    for piece in pieces:
        block, rest = sse.split_whole(rest + piece)
        found += _datas(block)
    block, _ = sse.split_whole(rest, is_last=True)
    return found + _datas(block)


def _datas(block: bytes) -> list[bytes]:
    return [event.data for event in sse.events(block)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    return [stream[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_ends_a_line(end: bytes) -> None:
    stream = end.join([b": hello", b"event: x", b"data: 1", b"data:2", b"", b"data: 3", b"", b""])

    assert read([stream]) == [b"1\n2", b"3"]


def test_an_event_without_its_blank_line_still_counts_at_the_end() -> None:
    assert read([b"data: 1\n\ndata: 2"]) == [b"1", b"2"]


def test_only_one_blank_before_a_value_is_dropped() -> None:
    assert read([b"data:  x\n\n"]) == [b" x"]


@settings(deadline=None)
@given(stream=STREAMS, places=PLACES)
def test_any_split_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    assert read(cut(stream, places)) == read([stream])


@settings(deadline=None)
@given(stream=STREAMS)
def test_bytewise_gives_the_same_events(stream: bytes) -> None:
    assert read([stream[at : at + 1] for at in range(len(stream))]) == read([stream])


@settings(deadline=None)
@given(stream=st.binary(), places=PLACES)
def test_junk_gives_the_same_events_in_any_split(stream: bytes, places: list[int]) -> None:
    assert read(cut(stream, places)) == read([stream])


@settings(deadline=None)
@given(values=st.lists(st.from_regex(rb"[a-z]{1,9}", fullmatch=True)), places=PLACES)
def test_every_event_that_was_sent_arrives(values: list[bytes], places: list[int]) -> None:
    stream = b"".join(b"data: " + value + b"\r\n\r\n" for value in values)

    assert read(cut(stream, places)) == values
