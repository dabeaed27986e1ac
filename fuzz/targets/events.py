"""Server-sent events: what is searched for in blocks equals what a plain reader of lines finds.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, but that
an event without its blank line counts too, as the product has it.
"""

import re
from collections.abc import Iterator

from fuzz.draw import IN_SEVENS, WHOLE, Draw
from fuzz.seeds import small_recordings
from fuzz.target import Target
from spanmeter.dialects import sse

MARKS = (b"usage", b'"error"', b"data", b"x")


def check(raw: bytes) -> None:
    """Split a stream in any pieces, and read it in every way that dialects do."""
    draw = Draw(raw)
    mark, split = draw.one_of(MARKS), draw.split()
    stream = draw.rest

    block = _block(split.cut(stream))
    expected = list(_datas(stream))

    events = list(sse.events(block))
    assert [event.data for event in events] == [data for data in expected if data]
    if events:
        rest = sse.events(block[events[0].end :])
        assert [event.data for event in rest] == [event.data for event in events[1:]]
    texts = list(sse.picked(block, re.compile(re.escape(mark))))
    backwards = list(sse.picked_backwards(block, mark))
    assert texts == backwards[::-1], "an event is found from one end and not from the other"
    assert [text for text in texts if mark in text] == [data for data in expected if mark in data]


def _block(pieces: list[bytes]) -> bytes:
    blocks, pending = [], b""
    for piece in pieces:
        block, pending = sse.split_whole(pending + piece)
        assert not block or block.endswith(b"\n\n")
        blocks.append(block)
    block, pending = sse.split_whole(pending, is_last=True)
    assert pending == b""
    return b"".join([*blocks, block])


def _datas(stream: bytes) -> Iterator[bytes]:
    lines: list[bytes] = []
    for line in [*re.split(rb"\r\n|\r|\n", stream), b""]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if line == b"":
            if lines:
                yield b"\n".join(lines)
            lines = []
        elif name == b"data":
            lines.append(value)


def _seeds() -> Iterator[bytes]:
    for each in small_recordings():
        if each.is_event_stream:
            yield b"\0" + WHOLE + each.response_body
            yield b"\1" + IN_SEVENS + each.response_body.replace(b"\n", b"\r\n")


TARGET = Target(
    name="events",
    check=check,
    seeds=_seeds,
    words=(
        *(b"data: ", b"data:", b"data", b"event: ", b"event:x\n", b"id: 1\n", b"retry: 3\n", b":"),
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b"usage", b'"error"'),
    ),
    max_bytes=2048,
)
