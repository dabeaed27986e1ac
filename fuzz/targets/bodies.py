"""A request's JSON body: what is read of it, and the two edits, against Python's own JSON reader.

Properties: nothing but `UnreadableBody` is raised; the edited body is the original but for the
member, by bytes and by meaning; what is read is what the other reader reads.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from fuzz.draw import Draw
from fuzz.seeds import plain_path, small_recordings
from fuzz.target import Target
from spanmeter.dialects.dialect import RequestFacts
from spanmeter.dialects.registry import DIALECTS, recognise
from spanmeter.errors import UnreadableBody
from spanmeter_gateway.relay.body_edit import with_include_usage, without_member

PATHS = ("/v1/chat/completions", "/v1beta/models/gemini-2.5-pro:generateContent", "/x")
OPTIONS = "stream_options"
EDITED_MEMBERS = 1024
Pairs = list[tuple[str, Any]]


def check(raw: bytes) -> None:
    """Describe and edit one body."""
    draw = Draw(raw)
    dialect, path = draw.one_of(DIALECTS), draw.one_of(PATHS)
    body = draw.rest
    try:
        facts = dialect.describe(body, path)
    except UnreadableBody as error:
        assert len(str(error)) < 200, "the error quotes the body"
        return
    msgspec.json.encode(facts)
    pairs = _pairs(body)
    if pairs is None:
        without_member(body, "tags")
        with_include_usage(body)
    elif len(pairs) <= EDITED_MEMBERS:
        _check_facts(facts, pairs, path)
        _check_removal(body, pairs)
        _check_asking(body, pairs)


def _check_facts(facts: RequestFacts, pairs: Pairs, path: str) -> None:
    assert facts.has_tags == any(name == "tags" for name, _ in pairs)
    models = [value for name, value in pairs if name == "model"]
    if path == PATHS[0] and models and isinstance(models[-1], str) and models[-1]:
        assert facts.model is None or facts.model == models[-1] or "\ufffd" in facts.model


def _check_removal(body: bytes, pairs: Pairs) -> None:
    edited = without_member(body, "tags")
    assert _pairs(edited) == [pair for pair in pairs if pair[0] != "tags"]
    if sum(name == "tags" for name, _ in pairs) == 1:
        assert _shared(edited, body) >= len(edited), "another byte was changed"


def _check_asking(body: bytes, pairs: Pairs) -> None:
    edited = with_include_usage(body)
    expected = [
        (name, _asking(value)) if name == OPTIONS else (name, value) for name, value in pairs
    ]
    if all(name != OPTIONS for name, _ in pairs):
        expected.insert(0, (OPTIONS, _asking(None)))
        assert _shared(edited, body) >= len(body), "another byte was changed"
    assert _pairs(edited) == expected


def _asking(options: Any) -> "_Object":
    pairs = options.pairs if isinstance(options, _Object) else []
    if all(name != "include_usage" for name, _ in pairs):
        return _Object([("include_usage", True), *pairs])
    return _Object([(name, True if name == "include_usage" else value) for name, value in pairs])


class _Object:
    """An object with the order of its members, and every one of those that stand twice."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Object) and self.pairs == other.pairs

    __hash__ = None  # type: ignore[assignment]  # compared only


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _pairs(body: bytes) -> Pairs | None:
    """Read the members of a body; `None` where Python's reader refuses or cannot."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    try:
        read = json.loads(
            text,
            object_pairs_hook=_Object,
            parse_int=lambda digits: ("number", digits),
            parse_float=lambda digits: ("number", digits),
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError):
        return None
    return read.pairs if isinstance(read, _Object) else None


def _shared(one: bytes, other: bytes) -> int:
    """Count the bytes that two texts share at their beginning and, behind those, at their end."""
    start = _shared_at_start(one, other)
    return start + _shared_at_start(one[start:][::-1], other[start:][::-1])


def _shared_at_start(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _seeds() -> Iterator[bytes]:
    places = {dialect.name: place for place, dialect in enumerate(DIALECTS)}
    for each in small_recordings():
        dialect = recognise("POST", plain_path(each))
        if dialect is not None:
            yield bytes([places[dialect.name], 0]) + each.request_body
    for options in (b"{}", b"null", b'{"include_usage":false}', b'{"x":[{"include_usage":1}]}'):
        yield b'\0\0{"tags":["env:prod"],"model":"m","stream_options":' + options + b',"tags":1}'


TARGET = Target(
    name="bodies",
    check=check,
    seeds=_seeds,
    words=(
        *(b'"tags":', b'"t\\u0061gs":', b'"model":', b'"stream":true', b'"stream_options":{'),
        *(
            b'"include_usage":false',
            b'"messages":[',
            b"\\ud83d",
            b"\\ud83d\\ude00",
            b"\xef\xbb\xbf",
        ),
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b"null",
            b"1e5",
            b"-0",
            b'"\\\\"',
            b" ",
            b"\xff",
            b'"metadata":',
        ),
    ),
)
