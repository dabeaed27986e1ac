"""Hiding the usage chunk that the relay asked for from a caller who did not.

Pure: stream bytes in, the same bytes out less that event. With `stream_options.include_usage`
OpenAI sends one more chunk before `[DONE]`, whose `choices` is empty and whose `usage` is set
(https://platform.openai.com/docs/api-reference/chat/create). Azure's first chunk has no choices
either, but no usage.
"""

import re

import msgspec

from spanmeter.dialects.shapes.openai_chat import UsageChunk

_MAX_HELD_BYTES = 65_536
"""An unfinished event longer than this is no usage chunk (those stay under 2 KB): pass it on."""

# A blank line: two line ends, each LF, CRLF or CR, where CRLF is never read as two
# (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
_EVENT_END = re.compile(rb"(?:\r\n|\n)(?:\r\n?|\n)|\r\r\n?")
_WHOLE_EVENTS = (b"\n\n", b"\n\r\n")
_NO_CHOICES = re.compile(rb'"choices"[ \t]*:[ \t]*\[[ \t]*\]')


_CHUNK = msgspec.json.Decoder(UsageChunk)


class UsageChunkFilter:
    """One stream's filter: fed its bytes in any split, closed once."""

    def __init__(self) -> None:
        self._held = b""
        self._is_passing = False
        """In the middle of an event too long to be held."""

    def feed(self, piece: bytes) -> bytes:
        """Return what may be shown: all events that are now complete, less the usage chunk."""
        if not self._held and piece.endswith(_WHOLE_EVENTS) and not _NO_CHOICES.search(piece):
            self._is_passing = False
            return piece
        return self._filtered(self._held + piece)

    def close(self) -> bytes:
        """Return the end of a stream that stopped within an event."""
        held, self._held = self._held, b""
        return _visible(held)

    def _filtered(self, text: bytes) -> bytes:
        shown = []
        start = 0
        for blank_line in _EVENT_END.finditer(text):
            event = text[start : blank_line.end()]
            visible = event if self._is_passing else _visible(event)
            if visible != event and event.endswith(b"\r") and blank_line.end() == len(text):
                break  # The line feed of a last CRLF, still to come, would be hidden too.
            shown.append(visible)
            self._is_passing = False
            start = blank_line.end()
        self._held = text[start:]
        if self._is_passing or len(self._held) > _MAX_HELD_BYTES:
            shown.append(self._let_pass())
        return b"".join(shown)

    def _let_pass(self) -> bytes:
        """Give up the held bytes, except line ends that may be half of a blank line."""
        passed = self._held.rstrip(b"\r\n")
        self._held = self._held[len(passed) :]
        self._is_passing = True
        return passed


def _visible(event: bytes) -> bytes:
    """Reduce a usage chunk to the line ends before it, which are not its own."""
    return event[: -len(event.lstrip(b"\r\n"))] if _is_usage_chunk(event) else event


def _is_usage_chunk(event: bytes) -> bool:
    if not _NO_CHOICES.search(event):
        return False
    lines = event.splitlines()
    try:
        chunk = _CHUNK.decode(b"\n".join(line[5:] for line in lines if line.startswith(b"data:")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not chunk.choices and chunk.error is None
