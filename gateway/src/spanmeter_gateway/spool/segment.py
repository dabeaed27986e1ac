"""A segment: what it is called, and the bytes of its file.

`<name>.part` is being written; `<name>.ndjson` is whole; `<incarnation>-<worker>.alive` is locked
by its writer for as long as that lives. A name holds the start of its writer and a sequence, so
the segments of one writer sort in the order in which they were written.
"""

import re
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from spanmeter_gateway.receipt import SegmentHeader

READY = ".ndjson"
PART = ".part"
ALIVE = ".alive"

LOST_SEQUENCE = 9_999_999_999
"""Of the segment in which books close the calls of a dead relay; no writer comes this far."""

_WRITER = re.compile(r"([0-9a-f]+)-(\d{3,})")
_CHECKSUM = re.compile(rb'"crc32":"[0-9a-f]{8}"')
_SEGMENT = re.compile(r"([0-9a-f]+)-(\d{3,})-(\d{10})")

_PIECE_LINES = 64

_encode = msgspec.json.encode

_OPEN_LINE = b'{"type":"open"'  # msgspec writes the tag of a struct first


class Writer(NamedTuple):
    """Who writes segments: one process of one relay worker."""

    incarnation: str
    worker: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the stem of an `.alive` file; `None` when it is not one."""
        match = _WRITER.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None

    def is_older_than(self, at_ns: int) -> bool:
        """Say whether the writer started before a time: its incarnation begins with its own."""
        return self.incarnation < f"{at_ns:020d}"

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.worker:03d}"


class SegmentName(NamedTuple):
    """The place of a segment: whose it is, and after which others it comes."""

    incarnation: str
    worker: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the stem of a segment's file; `None` when it is not one."""
        match = _SEGMENT.fullmatch(text)
        return cls(match[1], int(match[2]), int(match[3])) if match else None

    @property
    def writer(self) -> Writer:
        """Name the writer of this segment."""
        return Writer(self.incarnation, self.worker)

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.worker:03d}-{self.sequence:010d}"


def write_segment(
    path: Path,
    name: SegmentName,
    lines: Sequence[bytes],
    *,
    generation: int = 1,
    written: int | None = None,
    pause_s: float = 0.0,
) -> None:
    """Write a segment's file: the header, then the lines. Raises `OSError`, and leaves a part then.

    In pieces, and `pause_s` after each: a thread that slept is put before one that serves calls
    for some ms, and then a flush in one piece would hold up every call that comes meanwhile.
    """
    header = SegmentHeader(
        worker=name.worker,
        incarnation=name.incarnation,
        sequence=name.sequence,
        generation=generation,
        written=written,
        crc32=checksum(0),
    )
    crc = 0
    with path.open("wb") as file:
        file.write(_encode(header) + b"\n")  # as long as the one that takes its place
        for begin in range(0, len(lines), _PIECE_LINES):
            piece = b"\n".join([*lines[begin : begin + _PIECE_LINES], b""])
            crc = zlib.crc32(piece, crc)
            file.write(piece)
            time.sleep(pause_s)
        file.seek(0)
        file.write(_encode(msgspec.structs.replace(header, crc32=checksum(crc))))


def checksum(crc: int) -> str:
    """Write the CRC-32 of what follows the header's line as the header holds it."""
    return f"{crc:08x}"


def without_checksum(content: bytes) -> bytes:
    """Take the checksum out of a segment's header, which stays as long as it was."""
    header, newline, body = content.partition(b"\n")
    return _CHECKSUM.sub(b'"crc32":null      ', header) + newline + body


def is_open_line(line: bytes) -> bool:
    """Tell the line of an unfinished call from a receipt, without decoding it."""
    return line.startswith(_OPEN_LINE)
