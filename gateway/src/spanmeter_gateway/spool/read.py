"""The books' end of the spool: which segments are ready, what they hold, and who still writes.

A segment that cannot be entered is moved aside and never entered in part: `parked/` holds those
of a newer format, until a version that reads them starts; `quarantine/` those that are broken.
"""

import fcntl
import os
import stat
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from spanmeter.errors import SpanmeterError
from spanmeter_gateway.receipt import FORMAT, Line, OpenCall, Receipt, SegmentHeader
from spanmeter_gateway.spool.segment import (
    ALIVE,
    PART,
    READY,
    SegmentName,
    Writer,
    checksum,
    without_checksum,
)

PARKED = "parked"
QUARANTINE = "quarantine"
LARGEST_BYTES = 64 << 20
"""What is larger was not written by us: a flush is split at 4 MiB, and a line is a fraction."""


class CorruptSegment(SpanmeterError):
    """The segment is torn or is not what its name says; never quotes its content.

    `written` is `SegmentHeader.written`, where at least the header can be read.
    """

    def __init__(self, reason: str, written: int | None = None) -> None:
        super().__init__(reason)
        self.written = written


class NewerSegment(SpanmeterError):
    """The segment was written by a later version, in a format that this one does not know."""


class Segment(NamedTuple):
    """A whole segment on disk."""

    name: SegmentName
    path: Path
    size_bytes: int
    written_at_ns: int


class Listing(NamedTuple):
    """What the spool folder held at one moment."""

    segments: list[Segment]
    """In order per writer; those of different writers by age."""
    parts: list[SegmentName]
    alive: dict[Writer, int]
    """Writers that left an `.alive` file, dead ones too, and when each was last seen (ns)."""


class Content(NamedTuple):
    """What a segment holds; `written` is its header's."""

    receipts: list[Receipt]
    opened: list[OpenCall]
    written: int | None


class _AnyHeader(msgspec.Struct):
    format: int


_read_format = msgspec.json.Decoder(_AnyHeader).decode
_read_header = msgspec.json.Decoder(SegmentHeader).decode
_read_lines = msgspec.json.Decoder(Line).decode_lines

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of damaged JSON: the second of a tag that is no UTF-8, the third of nesting
that is too deep."""


def list_spool(folder: Path) -> Listing:
    """Look at the spool folder once; raises `OSError` where that fails.

    A segment is listed only with all those before it: a folder that is changed while it is read
    may show a name and hide an older one, so what came after a first look waits for the next list.
    """
    newest = _newest_sequences(folder)
    segments: list[Segment] = []
    parts: list[SegmentName] = []
    alive: dict[Writer, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            name = SegmentName.parse(path.stem)
            with suppress(FileNotFoundError):  # a part may be renamed while we look
                state = entry.stat(follow_symlinks=False)
                if path.suffix == READY and name and name.sequence <= newest.get(name.writer, -1):
                    segments.append(Segment(name, path, state.st_size, state.st_mtime_ns))
                elif not stat.S_ISREG(state.st_mode):
                    continue
                elif path.suffix == PART and name:
                    parts.append(name)
                elif path.suffix == ALIVE and (writer := Writer.parse(path.stem)):
                    alive[writer] = state.st_mtime_ns
    return Listing(_in_order(segments), parts, alive)


def ready_segments(folder: Path) -> list[Segment]:
    """List the whole segments, those of one writer in the order in which they were written."""
    return list_spool(folder).segments


def read_segment(segment: Segment) -> Content:
    """Decode a segment; raises `CorruptSegment`, `NewerSegment` or `OSError`.

    A receipt stands behind the `open` line of its call, so entering those lines first is right.
    """
    content = _content(segment.path)
    if _format_of(content) > FORMAT:
        raise NewerSegment("the segment has a newer format")
    header = _header_of(content, segment.name)
    if not content.endswith(b"\n"):
        raise CorruptSegment("the last line is torn", header.written)
    if header.crc32 not in (None, _sum_of_lines(content)):
        raise CorruptSegment("the lines are not as they were written", header.written)
    try:
        _, *lines = _read_lines(content)
    except _UNREADABLE as error:
        raise CorruptSegment("a line is not valid", header.written) from error
    receipts = [line for line in lines if isinstance(line, Receipt)]
    opened = [line for line in lines if isinstance(line, OpenCall)]
    if len(receipts) + len(opened) != len(lines):
        raise CorruptSegment("a header stands between the lines", header.written)
    if not _are_hex(receipts):
        raise CorruptSegment("an id is not hexadecimal", header.written)
    return Content(receipts, opened, header.written)


def _sum_of_lines(content: bytes) -> str:
    return checksum(zlib.crc32(memoryview(content)[content.find(b"\n") + 1 :]))


def move_aside(segment: Segment, folder_name: str) -> None:
    """Move a segment into `parked` or `quarantine` beside it; raises `OSError`."""
    folder = segment.path.parent / folder_name
    folder.mkdir(exist_ok=True)
    segment.path.replace(folder / segment.path.name)


def release_parked(folder: Path) -> None:
    """Put back the parked segments that this version can read; raises `OSError`."""
    for path in filter(_is_file, sorted((folder / PARKED).glob(f"*{READY}"))):
        with path.open("rb") as file, suppress(CorruptSegment):
            if _format_of(file.readline()) <= FORMAT:
                path.replace(folder / path.name)


def is_alive(folder: Path, writer: Writer) -> bool | None:
    """Say whether the writer's process lives: the kernel frees its lock when it ends.

    `None`: there is no file to tell it by. Somebody may have taken it away from a living writer,
    which puts it back with its next flush.
    """
    try:
        # Not waiting: whoever put a FIFO there must not stop the books.
        descriptor = os.open(folder / f"{writer}{ALIVE}", os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def adopt_part(folder: Path, name: SegmentName) -> None:
    """Make an unfinished segment of a DEAD writer ready, up to its last whole line.

    Raises `OSError`. May be cut short and repeated: what is left is a part, or a whole segment.
    """
    path = folder / f"{name}{PART}"
    content = path.read_bytes()
    whole_bytes = content.rfind(b"\n") + 1
    if not whole_bytes:
        path.unlink()
        return
    with path.open("r+b") as file:
        # The sum was that of all lines. The rest is written over itself, so it is whole all along.
        file.write(without_checksum(content)[:whole_bytes])
        file.truncate()
    path.rename(path.with_suffix(READY))


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _content(path: Path) -> bytes:
    # What is no file may never end (a link to a device), or never begin (a FIFO).
    if not _is_file(path):
        raise CorruptSegment("it is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise CorruptSegment("it is larger than any segment")
    return content


def _are_hex(receipts: Iterable[Receipt]) -> bool:
    # At once, as a pattern for each would cost a tenth of reading: only hex is stripped whole.
    ids: list[str] = []
    for receipt in receipts:
        trace = receipt.trace
        ids += (trace.trace_id, trace.span_id, trace.parent_id or "")
        ids += [attempt.span_id for attempt in receipt.attempts]
    return not "".join(ids).strip("0123456789abcdef")


def _format_of(content: bytes) -> int:
    # Only the number is looked at: the header of a newer format may have any other shape.
    try:
        return _read_format(content[: content.find(b"\n") + 1]).format
    except _UNREADABLE as error:
        raise CorruptSegment("the header is not valid") from error


def _header_of(content: bytes, name: SegmentName) -> SegmentHeader:
    try:
        header = _read_header(content[: content.find(b"\n") + 1])
    except _UNREADABLE as error:
        raise CorruptSegment("the header is not valid") from error
    if (header.incarnation, header.worker, header.sequence) != name:
        raise CorruptSegment("the header does not fit the name")
    return header


def _newest_sequences(folder: Path) -> dict[Writer, int]:
    newest: dict[Writer, int] = {}
    for entry in os.listdir(folder):
        name = SegmentName.parse(entry.removesuffix(READY))
        if name:
            newest[name.writer] = max(newest.get(name.writer, 0), name.sequence)
    return newest


def _in_order(segments: list[Segment]) -> list[Segment]:
    """Sort by age, but never against the sequence of a writer whose clock was set back."""
    newest: dict[Writer, int] = {}
    ages: dict[SegmentName, int] = {}
    for segment in sorted(segments):
        writer = segment.name.writer
        newest[writer] = max(newest.get(writer, 0), segment.written_at_ns)
        ages[segment.name] = newest[writer]
    return sorted(segments, key=lambda segment: (ages[segment.name], segment.name))
