"""Server-sent events: whole events out of bytes in any split, and the few that matter out of many.

https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end in LF, CR or CRLF, a blank
line ends an event, a colon opens a comment, several `data` lines are one value. A stream is not
parsed event by event: whole blocks of it are searched in C, and only what was found is looked at.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BREAK = b"\n\n"


class Event(NamedTuple):
    """One event that carries data."""

    data: bytes
    end: int
    """Where the next begins in the block."""


def split_whole(pending: bytes, *, is_last: bool = False) -> tuple[bytes, bytes]:
    """Split bytes into a block of whole events, its lines ending in LF, and the unfinished rest.

    The next bytes belong behind the rest. `is_last` also takes an event without its blank line:
    providers leave it out, and a cut event does no harm.
    """
    held = b""
    if b"\r" in pending:
        if pending.endswith(b"\r") and not is_last:  # perhaps the first half of a CRLF
            pending, held = pending[:-1], b"\r"
        pending = pending.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if is_last:
        return pending, b""
    last_break = pending.rfind(_BREAK)
    cut = last_break + len(_BREAK) if last_break >= 0 else 0
    return pending[:cut], pending[cut:] + held


def unfinished(pending: bytes) -> bytes:
    """Return the event at the end of a stream that has no blank line behind it, or nothing."""
    block, _ = split_whole(pending, is_last=True)
    last_break = block.rfind(_BREAK)
    return block[last_break + len(_BREAK) if last_break >= 0 else 0 :].strip()


def picked(block: bytes, *marks: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the data of each event in which one of `marks` is found, in order.

    A mark should begin with a long literal: that is what is searched for fast.
    """
    found = [match.start() for mark in marks for match in mark.finditer(block)]
    end = -1
    for at in sorted(found):
        if at > end:
            start, end = _around(block, at)
            yield data_of(block[start:end])


def picked_backwards(block: bytes, mark: bytes) -> Iterator[bytes]:
    """Yield the data of each event that contains `mark`, the last first."""
    at = block.rfind(mark)
    while at >= 0:
        start, end = _around(block, at)
        yield data_of(block[start:end])
        at = block.rfind(mark, 0, start)


def data_of(event: bytes) -> bytes:
    """Return the data of one event: its `data` lines, joined."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    return b"\n".join(_values(event, b"data"))


def events(block: bytes) -> Iterator[Event]:
    """Yield every event of a block that carries data."""
    start = 0
    while start < len(block):
        _, end = _around(block, start)
        data = data_of(block[start:end])
        start = end + len(_BREAK)
        if data:
            yield Event(data, start)


def _around(block: bytes, at: int) -> tuple[int, int]:
    start = block.rfind(_BREAK, 0, at)
    end = block.find(_BREAK, at)
    return (0 if start < 0 else start + len(_BREAK)), (len(block) if end < 0 else end)


def _values(event: bytes, name: bytes) -> Iterator[bytes]:
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == name:
            yield value.removeprefix(b" ")
