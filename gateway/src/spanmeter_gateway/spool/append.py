"""The relay's end of the spool: lines go in on the event loop, a thread writes them to disk.

Whatever the disk does, a call goes on: what cannot be written is dropped and counted.
`put` runs on one thread, the writer on another; they share a deque (whose two ends are
thread-safe) and two byte counts that each only one of them changes, so neither waits for a lock.
"""

import fcntl
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from spanmeter_gateway.spool.segment import (
    ALIVE,
    PART,
    READY,
    SegmentName,
    Writer,
    is_open_line,
    write_segment,
)

DropReason = Literal["spool_full", "spool_error", "spool_backlog"]

SEGMENT_BYTES = 4 << 20
"""Where a flush is split, so that a reader never meets a segment too large for one batch."""
KEPT_LINES = 10_000
"""Ends of open calls that wait for a disk to have room; beyond it they are lines like any other."""
KEPT_FREE_BYTES = 64 << 20
KEPT_FREE_PART = 16
"""Receipts leave so much of a disk free, or one part of so many of a small one: without room books
cannot commit, and what they cannot commit they never delete."""
_PAUSE_S = 0.001
"""Between the pieces of a flush: calls come first. A piece of 64 lines takes a fifth of that."""
_HEADER_BYTES = 256
"""Of a segment's first line, at most."""
_WARN_INTERVAL_S = 60.0

_log = logging.getLogger(__name__)


class SpoolWriter:
    """Write the receipts of one relay process as segments.

    `on_drop(reason, receipts)` is called with `spool_backlog` on the thread that calls `put`, and
    with the other reasons on the writer's own; lines of unfinished calls are not counted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        worker: int,
        on_drop: Callable[[DropReason, int], None],
        generation: int = 1,
        max_bytes: int = 1 << 30,
        flush_interval_s: float = 0.25,
        max_pending_bytes: int = 64 << 20,
        recount_interval_s: float = 2.0,
    ) -> None:
        # Zero-padded time first, so that incarnations sort by start; the rest makes them unique.
        self.incarnation = f"{time.time_ns():020d}{secrets.token_hex(3)}"
        self.generation = generation
        """Of the configuration in force; may be set while running."""
        self._folder = folder
        self._writer = Writer(self.incarnation, worker)
        self._on_drop = on_drop
        self._max_bytes = max_bytes
        self._flush_interval_s = flush_interval_s
        self._max_pending_bytes = max_pending_bytes
        self._recount_interval_s = recount_interval_s
        self._pending: deque[bytes] = deque()
        self._kept: deque[bytes] = deque()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._sequence = 0
        self._written = 0
        self._used_bytes = 0
        self._recount_at = 0.0
        self._warn_at = 0.0
        self._alive_path = folder / f"{self._writer}{ALIVE}"
        self._alive_fd = -1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)

    def start(self) -> None:
        """Make the folder, show life and begin to write; raises `OSError` where that fails."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock_alive()
        self._thread.start()

    def limit(self, *, max_bytes: int, flush_interval_s: float) -> None:
        """Change the limits while running."""
        self._max_bytes, self._flush_interval_s = max_bytes, flush_interval_s

    def put(self, line: bytes, *, ends_open: bool = False) -> None:
        """Take one encoded line, without a newline; never waits and never raises.

        `ends_open`: a receipt whose call left an `open` line. It is kept until it can be written,
        because books would otherwise enter the call a second time, as lost with its relay.
        """
        if ends_open and len(self._kept) < KEPT_LINES:
            self._kept.append(line)
            return
        size = len(line)
        if self._put_bytes - self._taken_bytes + size > self._max_pending_bytes:
            if not is_open_line(line):
                self._on_drop("spool_backlog", 1)
            return
        self._put_bytes += size
        self._pending.append(line)

    def close(self) -> None:
        """Write what is pending and end; a line that is put later is dropped and counted.

        The `.alive` file stays behind, unlocked: it tells books when this relay was last seen.
        """
        self._max_pending_bytes = -1
        self._stop.set()
        self._thread.join()
        self._unlock_alive()

    def _run(self) -> None:
        while not self._stop.wait(self._flush_interval_s):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        # Lines that come meanwhile belong to the next flush. Ends are counted first: the open line
        # of each is then among those that wait, and never comes behind it.
        ended = len(self._kept)
        waiting = len(self._pending)
        try:
            self._show_life()
        except OSError as error:
            self._warn(f"cannot write, {error.strerror}")
            self._drop("spool_error", self._take(waiting))
            return
        while waiting > 0:
            lines = self._take(waiting, SEGMENT_BYTES)
            waiting -= len(lines)
            reason = self._write(lines)
            if reason is not None:
                self._drop(reason, lines)
        self._flush_kept(ended)

    def _flush_kept(self, ended: int) -> None:
        """Write the ends of open calls, behind the open lines; what cannot be written is kept."""
        lines = [self._kept.popleft() for _ in range(ended)]
        reason = self._write(lines) if lines else None
        if reason is not None and self._stop.is_set():
            self._drop(reason, lines)
        elif reason is not None:
            self._kept.extendleft(reversed(lines))

    def _take(self, most: int, enough_bytes: float = float("inf")) -> list[bytes]:
        lines: list[bytes] = []
        take = self._pending.popleft
        size = 0
        for _ in range(most):
            line = take()
            lines.append(line)
            size += len(line)
            if size >= enough_bytes:
                break
        self._taken_bytes += size
        return lines

    def _write(self, lines: list[bytes]) -> DropReason | None:
        """Write lines as one segment, or say why that cannot be."""
        self._sequence += 1
        name = SegmentName(*self._writer, self._sequence)
        # What is not written in the end is not in the total of the next segment either.
        written = self._written + _count_receipts(lines)
        size = _HEADER_BYTES + sum(map(len, lines)) + len(lines)
        part = self._folder / f"{name}{PART}"
        try:
            is_over = self._folder_bytes() + size > self._max_bytes
            if is_over or _free_bytes(self._folder) < size:
                self._warn("it is full")
                return "spool_full"
            write_segment(
                part, name, lines,
                generation=self.generation,
                written=written,
                pause_s=0.0 if self._stop.is_set() else _PAUSE_S,
            )  # fmt: skip
            part.rename(part.with_suffix(READY))
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            self._warn(f"cannot write, {error.strerror}")
            return "spool_error"
        self._used_bytes += size
        self._written = written
        return None

    def _folder_bytes(self) -> int:
        """Count what all writers have in the folder: now and then exactly, between by our own."""
        now = time.monotonic()
        if now >= self._recount_at:
            self._used_bytes = _sum_of_sizes(self._folder)
            self._recount_at = now + self._recount_interval_s
        return self._used_bytes

    def _show_life(self) -> None:
        try:
            os.utime(self._alive_path)
        except FileNotFoundError:  # somebody emptied the folder; books must not think us dead
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock_alive()

    def _lock_alive(self) -> None:
        # Locked before it gets its name: books never see the file of a living writer unlocked.
        self._unlock_alive()
        unnamed = self._alive_path.with_suffix(".starting")
        self._alive_fd = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._alive_fd, fcntl.LOCK_EX)
        unnamed.rename(self._alive_path)

    def _unlock_alive(self) -> None:
        if self._alive_fd >= 0:
            os.close(self._alive_fd)
            self._alive_fd = -1

    def _warn(self, cause: str) -> None:
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_INTERVAL_S
            _log.warning("spool: %s; receipts are dropped", cause)

    def _drop(self, reason: DropReason, lines: Sequence[bytes]) -> None:
        receipts = _count_receipts(lines)
        if receipts:
            self._on_drop(reason, receipts)


def _count_receipts(lines: Sequence[bytes]) -> int:
    return len(lines) - sum([is_open_line(line) for line in lines])


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    kept_bytes = min(KEPT_FREE_BYTES, disk.f_blocks * disk.f_frsize // KEPT_FREE_PART)
    return disk.f_bavail * disk.f_frsize - kept_bytes


def _sum_of_sizes(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # books delete while we look
                if entry.is_file(follow_symlinks=False):
                    total += entry.stat().st_size
    return total
