import subprocess
import sys
from pathlib import Path

import pytest

from spanmeter_gateway.board import DROPPED_FIELDS, Board, Field, UnreadableBoard


def test_a_new_board_is_all_zero(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board", workers=3)

    assert board.workers == 3
    assert [board.total(field) for field in Field] == [0] * len(Field)


def test_a_column_adds_sets_and_gets(tmp_path: Path) -> None:
    column = Board.create(tmp_path / "board", workers=1).column(0)

    column.add(Field.CONNECTIONS)
    column.add(Field.CONNECTIONS, 5)
    column.add(Field.CONNECTIONS, -2)
    column.set(Field.BODY_BYTES_HELD, 2**62)

    assert column.get(Field.CONNECTIONS) == 4
    assert column.get(Field.BODY_BYTES_HELD) == 2**62


def test_every_cell_is_its_own(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board", workers=4)
    expected = {}

    for worker in range(4):
        for field in Field:
            expected[worker, field] = 100 * worker + field + 1
            board.column(worker).add(field, 100 * worker + field + 1)

    assert expected == {(w, f): board.column(w).get(f) for w in range(4) for f in Field}


def test_readers_see_the_sum_of_what_other_processes_write(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board", workers=2)
    script = """
import pathlib, sys
from spanmeter_gateway.board import Board, Field
column = Board.open(pathlib.Path(sys.argv[1])).column(int(sys.argv[2]))
for _ in range(1000):
    column.add(Field.RECEIPTS_DROPPED_SPOOL_FULL)
"""

    for worker in ("0", "1", "1"):  # the second worker restarts: totals go on
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "board"), worker], check=True, timeout=30
        )

    assert board.column(1).get(Field.RECEIPTS_DROPPED_SPOOL_FULL) == 2000
    assert board.total(Field.RECEIPTS_DROPPED_SPOOL_FULL) == 3000


def test_of_a_dead_worker_only_the_totals_stay(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board", workers=2)
    for worker in range(2):
        for field in Field:
            board.column(worker).set(field, 7)

    board.clear_live(0)

    assert {field for field in Field if board.column(0).get(field) == 0} == {
        Field.CALLS_IN_FLIGHT,
        Field.CONNECTIONS,
        Field.BODY_BYTES_HELD,
        Field.ACCEPTING_AT_MS,
        Field.CONFIG_ANSWER,
    }
    assert [board.column(1).get(field) for field in Field] == [7] * len(Field)


def test_a_board_that_is_created_again_is_another_one(tmp_path: Path) -> None:
    total = Field.RECEIPTS_DROPPED_SPOOL_FULL
    first = Board.create(tmp_path / "board", workers=1)
    first.column(0).set(total, 5)

    second = Board.create(tmp_path / "board", workers=1)

    assert first.identity != second.identity
    assert (first.total(total), second.total(total)) == (5, 0)


def test_every_reason_to_drop_a_receipt_has_a_field_of_its_name() -> None:
    assert {reason: field.name.lower() for reason, field in DROPPED_FIELDS.items()} == {
        reason: f"receipts_dropped_{reason}"
        for reason in ("spool_full", "spool_error", "spool_backlog")
    }


@pytest.mark.parametrize("content", [b"", b"short", bytes(1024)])
def test_a_file_that_is_no_board_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board").write_bytes(content)

    with pytest.raises(UnreadableBoard):
        Board.open(tmp_path / "board")


def test_a_cut_board_is_refused(tmp_path: Path) -> None:
    Board.create(tmp_path / "board", workers=2)
    whole = (tmp_path / "board").read_bytes()
    (tmp_path / "board").write_bytes(whole[:-8])

    with pytest.raises(UnreadableBoard):
        Board.open(tmp_path / "board")
