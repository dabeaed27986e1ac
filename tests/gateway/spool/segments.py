"""Segments laid down by hand, in any state that a writer or a disk may leave them in."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from spanmeter_gateway.spool.segment import SegmentName, write_segment

INCARNATION = "0aa1"


def lay(
    folder: Path,
    lines: Sequence[bytes] = (),
    *,
    sequence: int = 1,
    incarnation: str = INCARNATION,
    worker: int = 0,
    written_at_ns: int | None = None,
    written: int | None = None,
) -> Path:
    """Lay down a whole segment; `written` is the total of its writer, by default not counted."""
    name = SegmentName(incarnation, worker, sequence)
    path = folder / f"{name}.ndjson"
    write_segment(path, name, lines, written=written)
    if written_at_ns is not None:
        os.utime(path, ns=(written_at_ns, written_at_ns))
    return path


def encoded(name: SegmentName, lines: Sequence[bytes], *, written: int | None = None) -> bytes:
    """Return what a segment's file holds."""
    with NamedTemporaryFile() as file:
        write_segment(Path(file.name), name, lines, written=written)
        return file.read()


def tear(path: Path, lost_bytes: int = 5) -> Path:
    """Cut the end off a file."""
    os.truncate(path, path.stat().st_size - lost_bytes)
    return path


def lay_newer(folder: Path, *, sequence: int = 1, incarnation: str = INCARNATION) -> Path:
    """Lay down a segment of a format that is not known yet."""
    path = folder / f"{SegmentName(incarnation, 0, sequence)}.ndjson"
    path.write_bytes(b'{"format":2,"shape":"unheard of"}\n\x00\x01\n')
    return path
