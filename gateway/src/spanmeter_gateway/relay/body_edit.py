"""Edits of a JSON body that leave every other byte as the caller wrote it.

Pure. A body is an object that has already been read as JSON, so nothing is validated here. Where a
value ends is asked of msgspec, which reads ten times faster than a pattern but keeps only the last
of several members of one name; the others are walked. The patterns' quantifiers are possessive
because nothing in JSON needs a second reading.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

_VALUE_BY_NAME = msgspec.json.Decoder(dict[str, msgspec.Raw])

_UNREAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Names that are no text, and depth: msgspec lets them be where it skips, and refuses to read them.
Such a body is walked."""

_DEPTH = 8
"""Levels that one match crosses; deeper values are walked bracket by bracket."""

_BLANK = rb"[ \t\n\r]*"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^"\[\]{}]++|' + _STRING


def _runs(depth: int) -> bytes:
    """Write the pattern of anything but a bracket, and of brackets that close within `depth`."""
    return _FLAT if depth == 0 else _FLAT + rb"|[\[{](?:" + _runs(depth - 1) + rb")*+[\]}]"


_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?" + _BLANK + rb"({)")
_KEY = re.compile(rb"[ \t\n\r,]*(" + _STRING + rb")" + _BLANK + rb":" + _BLANK, re.DOTALL)
_VALUE = re.compile(
    _STRING + rb"|[\[{](?:" + _runs(_DEPTH - 1) + rb")*+[\]}]|[^\"\[\]{}, \t\n\r]++", re.DOTALL
)
_RUNS = re.compile(rb"(?:" + _runs(_DEPTH) + rb")*+", re.DOTALL)


class _Member(NamedTuple):
    """A top-level member: its name unescaped, and where its key and its value stand."""

    name: str
    start: int
    value_start: int
    end: int


def without_member(body: bytes, name: str) -> bytes:
    """Remove every top-level member of this name, each with one comma."""
    members = list(_members(body))
    if all(member.name != name for member in members):
        return body
    pieces = [body[: members[0].start]]
    previous_end = members[0].start
    for member in members:
        if member.name != name:
            is_first = len(pieces) == 1
            pieces.append(body[member.start if is_first else previous_end : member.end])
        previous_end = member.end
    return b"".join([*pieces, body[previous_end:]])


def with_member(body: bytes, name: str, json_value: bytes) -> bytes:
    """Give every top-level member of this name the value; insert one at the front if none is."""
    return _with_value(body, name, lambda _: json_value)


def with_include_usage(body: bytes) -> bytes:
    """Set `stream_options.include_usage` to true, keeping what else stands in `stream_options`."""
    return _with_value(body, "stream_options", _asking_for_usage)


def _asking_for_usage(stream_options: bytes) -> bytes:
    options = stream_options if stream_options.startswith(b"{") else b"{}"
    return with_member(options, "include_usage", b"true")


def _with_value(body: bytes, name: str, edit: Callable[[bytes], bytes]) -> bytes:
    """Edit the values of this name; an absent one is edited from nothing."""
    if name.encode() not in body and b"\\u00" not in body:
        # A name of letters has no other escape, so it is nowhere: the usual case of a stream.
        return _with_front(body, name, edit(b""))
    pieces = []
    end = 0
    for member in _members(body):
        if member.name == name:
            pieces += [body[end : member.value_start], edit(body[member.value_start : member.end])]
            end = member.end
    return b"".join([*pieces, body[end:]]) if pieces else _with_front(body, name, edit(b""))


def _with_front(body: bytes, name: str, json_value: bytes) -> bytes:
    if (opening := _OPENING.match(body)) is None:
        return body
    at = opening.end()
    comma = b"" if _KEY.match(body, at) is None else b","
    return b"".join([body[:at], msgspec.json.encode(name), b":", json_value, comma, body[at:]])


def _members(body: bytes) -> Iterator[_Member]:
    if (opening := _OPENING.match(body)) is None:
        return
    value_by_name = _read(memoryview(body)[opening.start(1) :])
    key = _KEY.match(body, opening.end())
    while key:
        name = _unescaped(key[1])
        end = _known_end(body, key.end(), value_by_name.get(name))
        if end is None:
            end = _walked_end(body, key.end())
        yield _Member(name, key.start(1), key.end(), end)
        key = _KEY.match(body, end)


def _read(json_object: memoryview) -> dict[str, msgspec.Raw]:
    try:
        return _VALUE_BY_NAME.decode(json_object)
    except _UNREAD:
        return {}


def _unescaped(string: bytes) -> str:
    try:
        return msgspec.json.decode(string, type=str)
    except _UNREAD:
        return string.decode(errors="replace")


def _known_end(body: bytes, start: int, value: msgspec.Raw | None) -> int | None:
    """Return the end of this value if it is what stands here; a number must end here too."""
    if value is None or not body.startswith(value, start):
        return None
    end = start + len(memoryview(value))
    return end if body[end] in b",} \t\n\r" else None


def _walked_end(body: bytes, start: int) -> int:
    if value := _VALUE.match(body, start):
        return value.end()
    at, depth = start + 1, 1
    while depth:
        runs = _RUNS.match(body, at)
        at = runs.end() if runs else at
        depth += 1 if body[at] in b"[{" else -1
        at += 1
    return at
