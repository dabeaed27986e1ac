"""The board: what cannot wait for the spool, in memory that all processes of a machine share.

One file, mapped by everyone: a header, then one column of 64-bit counters per relay worker. Only
the owner of a column writes to it, each field from one thread; readers add the columns. An aligned
64-bit store is whole on every platform that we run on, so nobody takes a lock.
"""

import mmap
import os
import time
from array import array
from enum import IntEnum, unique
from pathlib import Path
from typing import Self

from spanmeter.errors import SpanmeterError

_MAGIC = 0x31424D53  # the shape of the file below, and the byte order of this machine
_SLOT_BYTES = 8
_HEADER_SLOTS = 16
_COLUMN_SLOTS = 16  # 128 bytes: workers on different cores share no pair of cache lines


@unique
class Field(IntEnum):
    """The rows of a column."""

    CALLS_IN_FLIGHT = 0
    CONNECTIONS = 1
    BODY_BYTES_HELD = 2
    RECEIPTS_DROPPED_SPOOL_FULL = 3
    RECEIPTS_DROPPED_SPOOL_ERROR = 4
    RECEIPTS_DROPPED_SPOOL_BACKLOG = 5


LIVE_FIELDS = (Field.CALLS_IN_FLIGHT, Field.CONNECTIONS, Field.BODY_BYTES_HELD)
"""True of a living process only; the other fields are totals that go on when a worker restarts."""

DROPPED_FIELDS = {
    "spool_full": Field.RECEIPTS_DROPPED_SPOOL_FULL,
    "spool_error": Field.RECEIPTS_DROPPED_SPOOL_ERROR,
    "spool_backlog": Field.RECEIPTS_DROPPED_SPOOL_BACKLOG,
}
"""By the reason that the spool writer gives."""


class UnreadableBoard(SpanmeterError):
    """The file is not a board of this version."""


class Column:
    """The counters of one worker; costs well under a microsecond a change."""

    __slots__ = ("_slots",)

    def __init__(self, slots: memoryview) -> None:
        self._slots = slots

    def add(self, field: Field, amount: int = 1) -> None:
        """Change a counter by an amount; only for the column's owner."""
        self._slots[field] += amount

    def set(self, field: Field, value: int) -> None:
        """Set a counter; only for the column's owner."""
        self._slots[field] = value

    def get(self, field: Field) -> int:
        """Read a counter."""
        return int(self._slots[field])


class Board:
    """All columns. `identity` differs between any two boards that were ever created."""

    def __init__(self, slots: memoryview) -> None:
        self.identity = int(slots[1])
        self.workers = int(slots[2])
        self._columns = tuple(
            Column(slots[start : start + _COLUMN_SLOTS])
            for start in range(_HEADER_SLOTS, len(slots), _COLUMN_SLOTS)
        )

    @classmethod
    def create(cls, path: Path, workers: int) -> Self:
        """Replace the board by a new one of zeros; who has the old one open keeps that."""
        slots = array("q", bytes((_HEADER_SLOTS + workers * _COLUMN_SLOTS) * _SLOT_BYTES))
        slots[0:3] = array("q", (_MAGIC, time.time_ns(), workers))
        unnamed = path.with_name(f"{path.name}.new")
        unnamed.write_bytes(slots.tobytes())
        unnamed.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a board that exists; raises `UnreadableBoard` or `OSError`."""
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size < _HEADER_SLOTS * _SLOT_BYTES:
                raise UnreadableBoard(f"{path} is too short")
            mapped = mmap.mmap(file.fileno(), 0)
        slots = memoryview(mapped).cast("q")
        if slots[0] != _MAGIC or len(slots) != _HEADER_SLOTS + slots[2] * _COLUMN_SLOTS:
            raise UnreadableBoard(f"{path} is not a board of this version")
        return cls(slots)

    def column(self, worker: int) -> Column:
        """Give the column of one worker, counted from 0."""
        return self._columns[worker]

    def total(self, field: Field) -> int:
        """Add one field over all workers."""
        return sum(column.get(field) for column in self._columns)

    def clear_live(self, worker: int) -> None:
        """Zero what a dead worker no longer has; only for its supervisor."""
        for field in LIVE_FIELDS:
            self._columns[worker].set(field, 0)
