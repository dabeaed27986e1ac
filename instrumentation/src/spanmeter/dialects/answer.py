"""The tally of one answer: collects its bytes, recognises their shape, and reads them in bulk.

The shape is taken from the bytes and not from the content type or the request: a request for a
stream may be answered with plain JSON, and an error may be labelled `text/event-stream`.
"""

import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from spanmeter.dialects import json_array, sse
from spanmeter.dialects.dialect import OpenTally, ResponseFacts, Tally
from spanmeter.dialects.json_values import decode
from spanmeter.dialects.provider_error import code_in_body

BULK_BYTES: Final = 8192
"""How much of a stream waits for a scan: bounds the memory of an open stream, and makes the fixed
cost of a scan small beside the bytes scanned."""

LARGEST_BYTES = 64 * 1024 * 1024
"""What is kept of an answer, or of one event, that can only be read whole."""

_LEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*(?P<first>[{[]|(?:data|event|id|retry)?:|[^ \t\r\n])?"
)
_ANY = msgspec.json.Decoder(Any)
_BOM = b"\xef\xbb\xbf"
_LONGEST_LEAD_BYTES = len(b"retry:")


class Reading(Protocol):
    """What a dialect makes of an answer's parts; none of its methods raises on content."""

    def read_events(self, block: bytes) -> None:
        """Take a block of whole server-sent events, lines ending in LF."""

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole JSON answer, or one object of a JSON array; false if it is not one."""

    def has_ended(self) -> bool:
        """Tell whether what ends a stream of the dialect was seen."""

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""


class Traits(NamedTuple):
    """What else differs between dialects."""

    error_keys: tuple[str, ...]
    splits_arrays: bool
    """A stream may be a JSON array."""


_Shape = Literal["unknown", "json", "array", "events", "foreign", "too_large"]
"""`foreign`: neither JSON nor a stream; the page of a proxy, say."""


class AnswerTally:
    """A `Tally` for every dialect; `reading` knows the dialect."""

    def __init__(self, reading: Reading, traits: Traits, *, status: int, needs_json: bool) -> None:
        self._reading = reading
        self._traits = traits
        self._status = status
        self._needs_json = needs_json
        self._buffer = bytearray()
        self._due_bytes = BULK_BYTES
        self._shape: _Shape = "unknown"

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        buffer = self._buffer
        buffer += piece
        if len(buffer) >= self._due_bytes:
            self._drain(is_last=False)

    def close(self) -> ResponseFacts:
        """Account for everything fed so far."""
        if self._shape == "unknown":
            self._recognise(is_last=True)
        if self._shape == "json":
            return self._close_json()
        last = bytes(self._buffer)
        self._drain(is_last=True)
        if self._shape == "too_large":
            return ResponseFacts(is_error=self._status >= 400, unread="too_large")
        if self._status >= 400:
            return ResponseFacts(is_error=True, error_type=self._reading.facts().error_type)
        if self._shape == "foreign" or (self._shape == "unknown" and self._needs_json):
            return self._malformed()
        facts = self._reading.facts()
        if facts.is_error:
            return facts
        if self._shape == "events" and is_torn(sse.unfinished(last)):
            return msgspec.structs.replace(facts, ending="torn")
        if self._reading.has_ended():
            return facts
        return msgspec.structs.replace(facts, ending="open")

    def _close_json(self) -> ResponseFacts:
        if self._status >= 400:
            error_type = code_in_body(self._buffer, self._traits.error_keys)
            return ResponseFacts(is_error=True, error_type=error_type)
        return self._reading.facts() if self._reading.read_body(self._buffer) else self._malformed()

    def _malformed(self) -> ResponseFacts:
        return ResponseFacts(unread="malformed" if self._status < 300 else None)

    def _drain(self, *, is_last: bool) -> None:
        if self._shape == "unknown":
            self._recognise(is_last=is_last)
        if self._shape == "events":
            block, rest = sse.split_whole(bytes(self._buffer), is_last=is_last)
            self._reading.read_events(block)
            self._keep(rest)
        elif self._shape == "array":
            objects, rest = json_array.split_objects(bytes(self._buffer))
            for each in objects:
                self._reading.read_body(each)
            self._keep(rest)
        elif self._shape == "json":
            self._due_bytes = LARGEST_BYTES + 1
            self._bound()
        elif self._shape == "unknown":
            self._keep(self._buffer)
        else:
            self._buffer.clear()

    def _recognise(self, *, is_last: bool) -> None:
        buffer = self._buffer
        if buffer.startswith(b"{"):
            self._shape = "json"
            return
        lead = _LEAD.match(buffer)
        if lead is None or lead["first"] is None:
            return
        first = bytes(lead["first"])
        is_clear = first in (b"{", b"[") or first.endswith(b":")
        if not (is_clear or is_last) and len(buffer) - lead.start("first") < _LONGEST_LEAD_BYTES:
            return  # perhaps the name of a field, or a BOM, that is not whole
        if buffer.startswith(_BOM):
            del buffer[: len(_BOM)]
        if first == b"[" and self._traits.splits_arrays and self._status < 400:
            self._shape = "array"
            del buffer[: buffer.index(b"[") + 1]
        elif first in (b"{", b"["):
            self._shape = "json"
        else:
            self._shape = "events" if first.endswith(b":") else "foreign"

    def _keep(self, rest: bytes | bytearray) -> None:
        self._buffer = bytearray(rest)
        # Doubling: a rest that is read again and again would cost its length squared.
        self._due_bytes = max(BULK_BYTES, min(2 * len(rest), LARGEST_BYTES + 1))
        self._bound()

    def _bound(self) -> None:
        if len(self._buffer) > LARGEST_BYTES:
            self._shape = "too_large"
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


def is_torn(event: bytes) -> bool:
    """Tell half an event from one that only lacks its blank line: its JSON is not whole."""
    data = sse.data_of(event).strip()
    if not data.startswith((b"{", b"[")) or data == b"[DONE]":
        return event.startswith(b"event:") and not data
    try:
        decode(_ANY, data)
    except (ValueError, RecursionError):
        return True
    return False
