"""Whose turn it is to take a connection, by the board; and the files that a relay may open."""

import subprocess
import sys
from pathlib import Path

import pytest

from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.relay.accept import Turns

LONG_AGO_MS = 1


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board.create(tmp_path / "board", workers=3)


def turns(board: Board, worker: int, connections: int) -> Turns:
    """Give the turns of a worker that accepts and has told the others what it has."""
    told = Turns(board, worker, range(connections))
    told.note(0)
    told.say_accepting(is_accepting=True)
    return told


@pytest.mark.parametrize(
    ("own", "other", "too_many"),
    [(0, 0, 0), (1, 0, 1), (0, 5, 0), (8, 8, 0), (9, 8, 0), (10, 8, 1), (90, 80, 0), (91, 80, 1)],
)
def test_it_is_the_turn_of_who_has_at_most_an_eighth_more(
    board: Board, own: int, other: int, too_many: int
) -> None:
    turns(board, 1, other)

    assert turns(board, 0, own).too_many(own) == too_many


def test_the_worker_with_the_fewest_is_the_measure(board: Board) -> None:
    turns(board, 1, 40)
    turns(board, 2, 4)

    assert turns(board, 0, 40).too_many(40) == 36


def test_a_worker_that_hangs_or_never_began_is_not_waited_for(board: Board) -> None:
    board.column(1).set(Field.ACCEPTING_AT_MS, LONG_AGO_MS)

    assert turns(board, 0, 40).too_many(40) == 0


def test_a_worker_that_drains_or_died_is_not_waited_for(board: Board) -> None:
    turns(board, 1, 0).say_accepting(is_accepting=False)
    turns(board, 2, 0)
    board.clear_live(2)

    assert turns(board, 0, 40).too_many(40) == 0


def test_connections_that_are_still_opening_are_told_to_the_others(board: Board) -> None:
    told = turns(board, 0, 3).note(2)

    assert (told, board.column(0).get(Field.CONNECTIONS)) == (5, 5)


@pytest.mark.parametrize(
    ("connections", "files"), [(100, 456), (10_000, 5000), (1, 300)], ids=["up", "hard", "kept"]
)
def test_a_relay_may_open_two_files_a_connection_and_some(connections: int, files: int) -> None:
    script = f"""
import resource
from spanmeter_gateway.relay.accept import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 5000))
allow_connections({connections})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""

    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)

    assert int(done.stdout) == files
