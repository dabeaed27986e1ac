"""The tally of one answer: collects its bytes, recognises their shape, and reads them in bulk.

The shape is taken from the bytes and not from the content type or the request: a request for a
stream may be answered with plain JSON, and an error may be labelled `text/event-stream`.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol

from spanmeter.dialects import json_array, sse
from spanmeter.dialects.dialect import OpenTally, ResponseFacts, Tally
from spanmeter.dialects.provider_error import code_in_body

BULK_BYTES = 8192
"""How much of a stream waits for a scan: bounds the memory of an open stream, and makes the fixed
cost of a scan small beside the bytes scanned."""

LARGEST_BYTES = 64 * 1024 * 1024
"""What is kept of an answer, or of one event, that can only be read whole."""

_LEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(?P<first>[{[]|(?:data|event|id|retry)?:|[^ \t\r\n])?"
)
_BOM = b"\xef\xbb\xbf"


class Reading(Protocol):
    """What a dialect makes of an answer's parts; none of its methods raises on content."""

    def read_events(self, block: bytes) -> None:
        """Take a block of whole server-sent events, lines ending in LF."""

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole JSON answer, or one object of a JSON array; false if it is not one."""

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""


class Traits(NamedTuple):
    """What else differs between dialects."""

    error_keys: tuple[str, ...]
    splits_arrays: bool
    """A stream may be a JSON array."""


class _Shape(Enum):
    UNKNOWN = auto()
    JSON = auto()
    ARRAY = auto()
    EVENTS = auto()
    FOREIGN = auto()
    """A page of a proxy, say: neither JSON nor a stream."""
    TOO_LARGE = auto()


class AnswerTally:
    """A `Tally` for every dialect; `reading` knows the dialect."""

    _due_bytes = BULK_BYTES
    _shape = _Shape.UNKNOWN

    def __init__(self, reading: Reading, traits: Traits, *, status: int, needs_json: bool) -> None:
        self._reading = reading
        self._traits = traits
        self._status = status
        self._needs_json = needs_json
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._buffer += piece
        if len(self._buffer) >= self._due_bytes:
            self._drain(is_last=False)

    def close(self) -> ResponseFacts:
        """Account for everything fed so far."""
        self._drain(is_last=True)
        if self._shape is _Shape.TOO_LARGE:
            return ResponseFacts(is_error=self._status >= 400, unread="too_large")
        if self._status >= 400:
            return ResponseFacts(is_error=True, error_type=self._error_type())
        if self._shape is _Shape.JSON and not self._reading.read_body(self._buffer):
            return ResponseFacts(unread="malformed" if self._status < 300 else None)
        if self._shape is _Shape.FOREIGN or (self._shape is _Shape.UNKNOWN and self._needs_json):
            return ResponseFacts(unread="malformed" if self._status < 300 else None)
        return self._reading.facts()

    def _error_type(self) -> str | None:
        if self._shape is _Shape.JSON:
            return code_in_body(self._buffer, self._traits.error_keys)
        return self._reading.facts().error_type

    def _drain(self, *, is_last: bool) -> None:
        if self._shape is _Shape.UNKNOWN:
            self._recognise()
        if self._shape is _Shape.EVENTS:
            block, rest = sse.split_whole(bytes(self._buffer), is_last=is_last)
            self._reading.read_events(block)
            self._keep(rest)
        elif self._shape is _Shape.ARRAY:
            objects, rest = json_array.split_objects(bytes(self._buffer))
            for each in objects:
                self._reading.read_body(each)
            self._keep(rest)
        elif self._shape in (_Shape.FOREIGN, _Shape.TOO_LARGE):
            self._buffer.clear()
        elif len(self._buffer) > LARGEST_BYTES:
            self._give_up()
        else:
            self._due_bytes = LARGEST_BYTES + 1 if self._shape is _Shape.JSON else self._later()

    def _recognise(self) -> None:
        if self._buffer.startswith(b"{"):
            self._shape = _Shape.JSON
            return
        lead = _LEAD.match(self._buffer)
        first = bytes(lead["first"] or b"") if lead else b""
        if not first:
            return
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        if first == b"[" and self._traits.splits_arrays and self._status < 400:
            self._shape = _Shape.ARRAY
            del self._buffer[: self._buffer.index(b"[") + 1]
        elif first in (b"{", b"["):
            self._shape = _Shape.JSON
        else:
            self._shape = _Shape.EVENTS if first.endswith(b":") else _Shape.FOREIGN

    def _keep(self, rest: bytes) -> None:
        self._buffer = bytearray(rest)
        self._due_bytes = self._later()
        if len(rest) > LARGEST_BYTES:
            self._give_up()

    def _later(self) -> int:
        # Doubling: a rest that is read again and again would cost its length squared.
        return max(BULK_BYTES, 2 * len(self._buffer))

    def _give_up(self) -> None:
        self._shape = _Shape.TOO_LARGE
        self._buffer = bytearray()
        self._due_bytes = BULK_BYTES


def opener(
    start: Callable[[], Reading],
    error_keys: tuple[str, ...],
    *,
    splits_arrays: bool = False,
) -> OpenTally:
    """Make the `tally` of a dialect from its reading and the keys of its error code."""

    traits = Traits(error_keys, splits_arrays)

    def open_tally(*, status: int, content_type: str, stream: bool) -> Tally:
        needs_json = not stream and "event-stream" not in content_type
        return AnswerTally(start(), traits, status=status, needs_json=needs_json)

    return open_tally
