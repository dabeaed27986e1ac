"""The objects of a streamed JSON array come out the same, however the bytes were split."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects.json_array import split_objects

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a"\\{}[],é'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
ARRAYS = st.lists(VALUES | st.dictionaries(st.text(max_size=3), VALUES))
PLACES = st.lists(st.integers(0, 400))


def read(pieces: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    rest = b""
    for piece in pieces:
        objects, rest = split_objects(rest + piece)
        found += objects
    return found


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    return [stream[start:end] for start, end in pairwise(bounds)]


def text_of(values: list[Any]) -> bytes:
    return json.dumps(values, indent=1, ensure_ascii=False).encode()[1:]


@settings(deadline=None)
@given(values=ARRAYS, places=PLACES)
def test_every_object_arrives_in_any_split(values: list[Any], places: list[int]) -> None:
    found = [json.loads(each) for each in read(cut(text_of(values), places))]

    assert found == [value for value in values if isinstance(value, dict)]


@settings(deadline=None)
@given(values=st.lists(VALUES, max_size=4))
def test_every_object_arrives_bytewise(values: list[Any]) -> None:
    stream = text_of(values)

    found = read([stream[at : at + 1] for at in range(len(stream))])

    assert found == read([stream])


@settings(deadline=None)
@given(stream=st.text(alphabet='{}[]",\\a ').map(str.encode), places=PLACES)
def test_junk_gives_the_same_objects_in_any_split(stream: bytes, places: list[int]) -> None:
    assert read(cut(stream, places)) == read([stream])


@pytest.mark.parametrize("rest", [b'{"a":1', b'{"a":"}', b'{"a":"\\', b'"{'])
def test_an_unfinished_element_is_kept(rest: bytes) -> None:
    assert split_objects(b'{"b":"]"}\n,' + rest) == ([b'{"b":"]"}'], rest)
