"""The memory of the books: one SQLite file, changed by one transaction for each batch.

It holds every series with its current value together with the names of the segments that these
values contain, so a crash at any moment neither loses nor doubles an increment. Rows are absolute
values and names are keys: a commit whose end is in doubt may be repeated.
"""

import sqlite3
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

from spanmeter.errors import SpanmeterError
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.spool.segment import Writer
from spanmeter_gateway.telemetry.registry import GONE, SeriesRow

_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE series (
    metric TEXT, labels TEXT, amounts TEXT NOT NULL, created_at_ns INTEGER NOT NULL,
    PRIMARY KEY (metric, labels)) WITHOUT ROWID;
CREATE TABLE segments (name TEXT PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE open_calls (
    call_id TEXT PRIMARY KEY, incarnation TEXT NOT NULL, worker INTEGER NOT NULL,
    receipt BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (
    board INTEGER, worker INTEGER, field TEXT, amount INTEGER NOT NULL,
    PRIMARY KEY (board, worker, field)) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# Came later: a file of before gets it, and a version of before ignores it.
_WRITERS = """
CREATE TABLE IF NOT EXISTS writers (
    incarnation TEXT, worker INTEGER, written INTEGER NOT NULL, entered INTEGER NOT NULL,
    has_parked INTEGER NOT NULL, PRIMARY KEY (incarnation, worker)) WITHOUT ROWID;
"""


class CountersUnavailable(SpanmeterError):
    """The file cannot be written or read now: nothing of the batch was kept."""


class OpenRow(NamedTuple):
    """A call that has not ended; `receipt` is JSON."""

    call_id: str
    incarnation: str
    worker: int
    receipt: bytes


class WriterRow(NamedTuple):
    """What one writer of the spool says that it wrote, and what of it was entered."""

    incarnation: str
    worker: int
    written: int
    entered: int
    has_parked: bool
    """A segment of it was set aside, and may come back."""

    @property
    def writer(self) -> Writer:
        """Name the writer."""
        return Writer(self.incarnation, self.worker)


class MarkKey(NamedTuple):
    """A total of one column of one board."""

    board: int
    worker: int
    field: str


@dataclass(slots=True)
class Batch:
    """What one transaction changes."""

    rows: list[SeriesRow] = field(default_factory=list)
    entered: dict[str, str] = field(default_factory=dict)
    """Segment name to result: `entered`, `parked` or `quarantined`."""
    forgotten: list[str] = field(default_factory=list)
    """Names of segments whose files are gone."""
    opened: dict[str, OpenRow] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    marks: dict[MarkKey, int] = field(default_factory=dict)
    writers: dict[Writer, WriterRow] = field(default_factory=dict)
    retired: set[Writer] = field(default_factory=set)
    """Writers of which nothing can come any more."""

    def is_empty(self) -> bool:
        """Say whether there is nothing to commit."""
        return not any(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything as of the last commit."""

    rows: list[SeriesRow]
    segments: dict[str, str]
    open_calls: list[OpenRow]
    marks: dict[MarkKey, int]
    writers: list[WriterRow] = field(default_factory=list)


class Counters:
    """The file, held by this process alone for as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises `StartError`."""
        self.path = path
        try:
            with ExitStack() as undo:
                # Used by one thread at a time, under the books' lock, but not always the same one.
                self._connection = sqlite3.connect(
                    path, isolation_level=None, check_same_thread=False, timeout=1.0
                )
                undo.callback(self._connection.close)
                # Two books on one spool would count everything twice: the second one stops here.
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._prepare(path)
                undo.pop_all()
        except sqlite3.OperationalError as error:
            is_taken = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            why = "is another spanmeter using it?" if is_taken else "it needs a disk with room"
            raise StartError(f"{path}: {error}; {why}") from error
        except sqlite3.Error as error:
            raise StartError(
                f"{path}: {error}; move it away, and the counters start from 0 again"
            ) from error

    def _prepare(self, path: Path) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise StartError(f"{path} was written by a newer spanmeter: upgrade this one")
        # Some ms for 50,000 series. What is damaged now would stop a commit at some later time.
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        if version == 0:
            self._connection.executescript(_SCHEMA)
        self._connection.executescript(_WRITERS)

    def restore(self) -> Saved:
        """Read everything; raises `CountersUnavailable`."""
        read = self._connection.execute
        try:
            return Saved(
                rows=[SeriesRow(*row) for row in read("SELECT * FROM series")],
                segments=dict(read("SELECT name, result FROM segments")),
                open_calls=[OpenRow(*row) for row in read("SELECT * FROM open_calls")],
                marks={MarkKey(*key): amount for *key, amount in read("SELECT * FROM marks")},
                writers=[WriterRow(*row) for row in read("SELECT * FROM writers")],
            )
        except sqlite3.Error as error:
            raise CountersUnavailable(str(error)) from error

    def commit(self, batch: Batch) -> None:
        """Change everything or nothing; raises `CountersUnavailable`."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._change(batch)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):  # SQLite has already rolled back after some failures
                self._connection.execute("ROLLBACK")
            raise CountersUnavailable(str(error)) from error

    def _change(self, batch: Batch) -> None:
        change = self._connection.executemany
        change("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)", batch.rows)
        gone = [row[:2] for row in batch.rows if row.values == GONE]
        change("DELETE FROM series WHERE metric = ? AND labels = ?", gone)
        change("INSERT OR REPLACE INTO segments VALUES (?, ?)", batch.entered.items())
        change("DELETE FROM segments WHERE name = ?", [(name,) for name in batch.forgotten])
        change("INSERT OR REPLACE INTO open_calls VALUES (?, ?, ?, ?)", batch.opened.values())
        change("DELETE FROM open_calls WHERE call_id = ?", [(call,) for call in batch.closed])
        # A board is replaced when the supervisor starts; marks of older ones mean nothing any more.
        change("DELETE FROM marks WHERE board <> ?", {(key.board,) for key in batch.marks})
        change(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
            [(*key, amount) for key, amount in batch.marks.items()],
        )
        change("INSERT OR REPLACE INTO writers VALUES (?, ?, ?, ?, ?)", batch.writers.values())
        change("DELETE FROM writers WHERE incarnation = ? AND worker = ?", batch.retired)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
