"""Which writers of the spool are dead: what they left is settled, so nobody is taken for it."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from spanmeter_gateway.spool.read import is_alive
from spanmeter_gateway.spool.segment import Writer

UNSIGNED_S = 5.0
"""A living relay puts back its `.alive` file with its next flush, 0.25 s later, or when a disk that
refuses takes files again; calls that are closed before that would be counted twice."""


class Writers:
    """Tell the dead from the living; used by one thread."""

    def __init__(
        self,
        folder: Path,
        *,
        unsigned_s: float = UNSIGNED_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._unsigned_s = unsigned_s
        self._clock_s = clock_s
        self._unsigned_since_s: dict[Writer, float] = {}

    def dead(self, writers: Iterable[Writer]) -> set[Writer]:
        """Return those whose lock is free, and those that have had no file to lock for long."""
        signs = {writer: is_alive(self._folder, writer) for writer in writers}
        now_s = self._clock_s()
        self._unsigned_since_s = {
            writer: self._unsigned_since_s.get(writer, now_s)
            for writer, sign in signs.items()
            if sign is None
        }
        long_ago_s = now_s - self._unsigned_s
        missing = {
            writer for writer, since_s in self._unsigned_since_s.items() if since_s <= long_ago_s
        }
        return missing | {writer for writer, sign in signs.items() if sign is False}
