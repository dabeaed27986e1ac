"""The board: what cannot wait for the spool, in memory that all processes of a machine share.

One file, mapped by everyone: a header, which is the supervisor's, then one column of 64-bit
counters per relay worker, with columns to spare for workers that a reload adds. Only the owner of
a column writes to it, each field from one thread; readers add the columns. An aligned
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

_MAGIC = 0x32424D53  # the shape of the file below, and the byte order of this machine
_SLOT_BYTES = 8
_HEADER_SLOTS = 16
_WORKERS_SLOT = 3
_COLUMNS = 256
"""As many workers as a configuration may ask for."""
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
    ACCEPTING_AT_MS = 6
    """When it last said that it takes new connections, by the machine's monotonic clock."""
    CONNECTIONS_REFUSED_MAX_CONNECTIONS = 7
    CONNECTIONS_REFUSED_PER_ADDRESS = 8
    CONNECTIONS_REFUSED_SLOW = 9
    CONNECTIONS_REFUSED_MALFORMED = 10
    CONFIG_ANSWER = 15
    """The generation of the configuration that it serves, or has prepared; below 0: that it could
    not prepare. 0 until it serves."""


LIVE_FIELDS = (
    Field.CALLS_IN_FLIGHT,
    Field.CONNECTIONS,
    Field.BODY_BYTES_HELD,
    Field.ACCEPTING_AT_MS,
    Field.CONFIG_ANSWER,
)
"""True of a living process only; the other fields are totals that go on when a worker restarts."""

DROPPED_FIELDS = {
    "spool_full": Field.RECEIPTS_DROPPED_SPOOL_FULL,
    "spool_error": Field.RECEIPTS_DROPPED_SPOOL_ERROR,
    "spool_backlog": Field.RECEIPTS_DROPPED_SPOOL_BACKLOG,
}
"""By the reason that the spool writer gives."""

REFUSED_FIELDS = {
    "max_connections": Field.CONNECTIONS_REFUSED_MAX_CONNECTIONS,
    "per_address": Field.CONNECTIONS_REFUSED_PER_ADDRESS,
    "slow": Field.CONNECTIONS_REFUSED_SLOW,
    "malformed": Field.CONNECTIONS_REFUSED_MALFORMED,
}
"""By the reason why a relay refused a caller's connection, or cut it off."""


@unique
class Notice(IntEnum):
    """What the supervisor tells in the header: of the configuration, see `reload`."""

    GENERATION = 4
    RELOADS_OK = 5
    RELOADS_REFUSED = 6
    LAST_RELOAD_OK = 7


RELOAD_NOTICES = {"ok": Notice.RELOADS_OK, "refused": Notice.RELOADS_REFUSED}
"""By the result of a reload: totals."""


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
        self._slots = slots
        self._columns = tuple(
            Column(slots[start : start + _COLUMN_SLOTS])
            for start in range(_HEADER_SLOTS, len(slots), _COLUMN_SLOTS)
        )

    @classmethod
    def create(cls, path: Path, workers: int) -> Self:
        """Replace the board by a new one of zeros; who has the old one open keeps that."""
        columns = max(workers, _COLUMNS)
        slots = array("q", bytes((_HEADER_SLOTS + columns * _COLUMN_SLOTS) * _SLOT_BYTES))
        slots[0:4] = array("q", (_MAGIC, time.time_ns(), columns, workers))
        unnamed = path.with_name(f"{path.name}.new")
        unnamed.write_bytes(slots.tobytes())
        unnamed.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a board that exists; raises `UnreadableBoard` or `OSError`."""
        with path.open("r+b") as file:
            return cls.of_fd(file.fileno(), str(path))

    @classmethod
    def of_fd(cls, fd: int, name: str = "the board") -> Self:
        """Map a board that is open; raises `UnreadableBoard` or `OSError`."""
        if os.fstat(fd).st_size < _HEADER_SLOTS * _SLOT_BYTES:
            raise UnreadableBoard(f"{name} is too short")
        slots = memoryview(mmap.mmap(fd, 0)).cast("q")
        if slots[0] != _MAGIC or len(slots) != _HEADER_SLOTS + slots[2] * _COLUMN_SLOTS:
            raise UnreadableBoard(f"{name} is not a board of this version")
        return cls(slots)

    @property
    def workers(self) -> int:
        """How many columns were in use so far; those of workers that ended keep their totals."""
        return int(self._slots[_WORKERS_SLOT])

    @property
    def capacity(self) -> int:
        """How many columns there are."""
        return len(self._columns)

    def use(self, worker: int) -> None:
        """Let readers count a worker's column too; only for the supervisor."""
        self._slots[_WORKERS_SLOT] = max(self.workers, worker + 1)

    def notice(self, notice: Notice) -> int:
        """Read what the supervisor tells."""
        return int(self._slots[notice])

    def tell(self, notice: Notice, value: int) -> None:
        """Tell every process something; only for the supervisor."""
        self._slots[notice] = value

    def column(self, worker: int) -> Column:
        """Give the column of one worker, counted from 0."""
        return self._columns[worker]

    def total(self, field: Field) -> int:
        """Add one field over all workers."""
        return sum(column.get(field) for column in self._columns[: self.workers])

    def clear_live(self, worker: int) -> None:
        """Zero what a dead worker no longer has; only for its supervisor."""
        for field in LIVE_FIELDS:
            self._columns[worker].set(field, 0)
