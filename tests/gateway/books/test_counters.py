import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.spool.limits import unwritable_disk

from spanmeter_gateway.books.counters import (
    Batch,
    Counters,
    CountersUnavailable,
    MarkKey,
    OpenRow,
    Saved,
    WriterRow,
)
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.telemetry.registry import SeriesRow

ROW = SeriesRow("calls", '["a"]', "3", 5)
CALL = OpenRow("c1", "0a", 1, b"{}")
MARK = MarkKey(9, 0, "spool_full")
WRITER = WriterRow("0a", 1, written=7, entered=5, has_parked=True)
EMPTY = Saved(rows=[], segments={}, open_calls=[], marks={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.sqlite"


@pytest.fixture
def counters(path: Path) -> Iterator[Counters]:
    counters = Counters(path)
    yield counters
    counters.close()


def test_what_is_committed_is_restored_by_the_next_process(path: Path) -> None:
    first = Counters(path)
    first.commit(Batch(rows=[ROW], entered={"s1": "entered"}, opened={"c1": CALL}, marks={MARK: 4}))
    first.close()

    second = Counters(path)
    saved = second.restore()
    second.close()

    assert saved == Saved(
        rows=[ROW], segments={"s1": "entered"}, open_calls=[CALL], marks={MARK: 4}
    )


def test_rows_are_replaced_and_what_is_over_is_removed(counters: Counters) -> None:
    later = SeriesRow("calls", '["a"]', "4", 5)
    counters.commit(Batch(rows=[ROW], entered={"s1": "parked"}, opened={"c1": CALL}))

    counters.commit(Batch(rows=[later], entered={"s2": "entered"}, forgotten=["s1"], closed={"c1"}))

    assert counters.restore() == Saved(
        rows=[later], segments={"s2": "entered"}, open_calls=[], marks={}
    )


def test_marks_of_an_older_board_are_removed(counters: Counters) -> None:
    counters.commit(Batch(marks={MARK: 4}))
    newer = {MarkKey(10, 0, "spool_full"): 1, MarkKey(10, 1, "spool_full"): 2}

    counters.commit(Batch(marks=newer))

    assert counters.restore().marks == newer


def test_a_writer_is_kept_until_it_is_retired(counters: Counters) -> None:
    other = WRITER._replace(worker=2)
    counters.commit(Batch(writers={row.writer: row for row in (WRITER, other)}))
    both = counters.restore().writers

    counters.commit(Batch(retired={WRITER.writer}))

    assert (both, counters.restore().writers) == ([WRITER, other], [other])


def test_a_file_of_a_version_that_kept_no_writers_goes_on(path: Path) -> None:
    before = Counters(path)
    before.commit(Batch(rows=[ROW]))
    before.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE writers")
    connection.close()

    after = Counters(path)
    after.commit(Batch(writers={WRITER.writer: WRITER}))
    saved = after.restore()
    after.close()

    assert saved == Saved(rows=[ROW], segments={}, open_calls=[], marks={}, writers=[WRITER])


def test_a_commit_that_fails_changes_nothing_and_the_next_one_works(counters: Counters) -> None:
    batch = Batch(rows=[ROW], entered={"s1": "entered"})

    with unwritable_disk(), pytest.raises(CountersUnavailable):
        counters.commit(batch)
    after_failure = counters.restore()
    counters.commit(batch)

    assert after_failure == EMPTY
    assert counters.restore().segments == {"s1": "entered"}


def test_a_batch_that_breaks_half_way_is_undone_whole(counters: Counters) -> None:
    half_wrong = Batch(rows=[ROW], opened={"c1": CALL._replace(receipt=None)})

    with pytest.raises(CountersUnavailable):
        counters.commit(half_wrong)

    assert counters.restore() == EMPTY


def test_a_second_process_on_the_same_file_does_not_start(counters: Counters, path: Path) -> None:
    counters.commit(Batch(rows=[ROW]))
    script = "import pathlib, sys; from spanmeter_gateway.books.counters import Counters;"

    second = subprocess.run(
        [sys.executable, "-c", f"{script} Counters(pathlib.Path(sys.argv[1]))", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.stderr.splitlines()[-1] == (
        f"spanmeter_gateway.errors.StartError: {path}: database is locked; "
        "is another spanmeter using it?"
    )


def test_a_disk_that_refuses_is_not_taken_for_another_process(path: Path) -> None:
    with unwritable_disk(), pytest.raises(StartError) as refused:
        Counters(path)

    assert refused.value.message == f"{path}: disk I/O error; it needs a disk with room"


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()

    with pytest.raises(StartError, match="newer spanmeter"):
        Counters(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("not a database " * 100)

    with pytest.raises(StartError, match="not a database"):
        Counters(path)


def test_a_commit_on_a_closed_file_says_so(path: Path) -> None:
    counters = Counters(path)
    counters.close()

    with pytest.raises(CountersUnavailable):
        counters.commit(Batch(rows=[ROW]))
    with pytest.raises(CountersUnavailable):
        counters.restore()
