"""A relay is taken for dead only when the kernel says so, or when it has long shown no sign."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanmeter_gateway.books.writers import UNSIGNED_S, Writers
from spanmeter_gateway.spool.segment import Writer

WRITER = Writer("0aa1", 0)


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """Give the `.alive` file of a living writer."""
    path = tmp_path / f"{WRITER}.alive"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield path
    os.close(descriptor)


def test_a_writer_whose_file_was_taken_away_is_not_dead_until_it_had_time_to_put_it_back(
    tmp_path: Path, locked: Path
) -> None:
    clock = Clock()
    writers = Writers(tmp_path, clock_s=clock)
    seen = [writers.dead([WRITER])]

    locked.rename(tmp_path / "elsewhere")
    for later_s in (0.0, UNSIGNED_S - 0.1, 0.1):
        clock.now_s += later_s
        seen.append(writers.dead([WRITER]))

    assert seen == [set(), set(), set(), {WRITER}]


def test_a_file_that_was_put_back_begins_the_time_anew(tmp_path: Path, locked: Path) -> None:
    clock = Clock()
    writers = Writers(tmp_path, clock_s=clock)
    aside = tmp_path / "elsewhere"
    seen = []

    for source, target in ((locked, aside), (aside, locked), (locked, aside)):
        source.rename(target)
        seen.append(writers.dead([WRITER]))
        clock.now_s += UNSIGNED_S - 0.1

    assert seen == [set(), set(), set()]


def test_a_writer_that_left_its_file_is_dead_at_once(tmp_path: Path) -> None:
    (tmp_path / f"{WRITER}.alive").touch()

    assert Writers(tmp_path).dead([WRITER]) == {WRITER}


def test_a_pipe_in_the_place_of_the_file_does_not_stop_the_books(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{WRITER}.alive")

    assert Writers(tmp_path).dead([WRITER]) == {WRITER}
