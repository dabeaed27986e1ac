"""Edits of a JSON body that leave every other byte as the caller wrote it.

Pure. A body is an object that has already been read as JSON, so nothing is validated here. msgspec
says how long each top-level value is; a pattern steps over the names between them.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from spanmeter.dialects.json_values import mended

_MAX_MEMBERS = 1024
"""Of an object that is edited: many times what any API has. A longer one is left alone, so that it
cannot stall the loop; providers refuse it."""

_BLANK = rb"[ \t\n\r]*"
_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?" + _BLANK + rb"({)")
_KEY = re.compile(rb'[ \t\n\r,]*("[^"\\]*+(?:\\.[^"\\]*+)*+")' + _BLANK + rb":" + _BLANK, re.DOTALL)
_ASCII = bytes(range(128)) + b"?" * 128


class _Name:
    """A member's name, unescaped; never equal to another, so that a dict keeps duplicates."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _TooManyMembers(Exception):
    """Stop reading an object that is longer than what is edited."""


class _Naming:
    """Name one object's members, as many as are edited."""

    def __init__(self) -> None:
        self.named = 0

    def __call__(self, _: type, text: str) -> _Name:
        self.named += 1
        if self.named > _MAX_MEMBERS:
            raise _TooManyMembers
        return _Name(text)


class _Member(NamedTuple):
    """A top-level member, and where its key and its value stand."""

    name: str
    start: int
    value_start: int
    end: int


def without_member(body: bytes, name: str) -> bytes:
    """Remove every top-level member of this name, each with one comma."""
    members = _members(body)
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


def _members(body: bytes) -> list[_Member]:
    if (opening := _OPENING.match(body)) is None:
        return []
    members = []
    end = opening.end()
    for name, value in _read(body[opening.start(1) :]).items():
        key = _KEY.match(body, end)
        assert key is not None, "msgspec read a member here"
        end = key.end() + len(memoryview(value))
        members.append(_Member(name.text, key.start(1), key.end(), end))
    return members


def _read(json_object: bytes) -> dict[_Name, msgspec.Raw]:
    """Read an object's members in order; none of an object too long or too deep to be edited."""
    try:
        return msgspec.json.decode(json_object, type=dict[_Name, msgspec.Raw], dec_hook=_Naming())
    except UnicodeDecodeError:
        # Where msgspec skips a name it does not ask whether it is UTF-8, so the body got here.
        return _read(json_object.translate(_ASCII))
    except msgspec.DecodeError:
        # It minds half an emoji, which the body was read in spite of (`json_values.decode`).
        whole = mended(json_object)
        if whole == json_object:
            raise
        return _read(whole)
    except (_TooManyMembers, RecursionError):
        return {}
