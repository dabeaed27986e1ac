from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gateway.books.conftest import Desk
from tests.gateway.spool.limits import unwritable_disk
from tests.gateway.spool.receipts import receipt_line
from tests.gateway.spool.segments import lay, lay_newer, tear

from spanmeter_gateway.board import Board, Field

ONE_CALL = {
    "calls ok ": 1,
    "cost checkout": 7,
    "spanmeter_receipts_entered_total": 1,
    "spanmeter_segments_total entered": 1,
}


def test_a_receipt_is_counted_its_spans_offered_and_its_segment_deleted(desk: Desk) -> None:
    path = lay(desk.spool, [receipt_line("a1")])
    desk.open()

    taken = desk.work()

    assert taken == 1
    assert desk.registry.read() == ONE_CALL
    assert desk.spans.offered == [(path.stem, ["a1"])]
    assert desk.files() == []
    assert desk.counters.restore().segments == {}


def test_what_watches_over_the_books_is_there_before_anything_went_wrong(desk: Desk) -> None:
    desk.open()

    desk.work()

    assert desk.registry.totals["spanmeter_receipts_dropped_total", ("spool_full",)] == 0
    assert ("spanmeter_receipts_dropped_total", ("spool_full",)) in desk.registry.totals
    assert ("spanmeter_segments_total", ("quarantined",)) in desk.registry.totals


def test_counters_go_on_where_they_were_after_a_restart(desk: Desk) -> None:
    desk.open()
    lay(desk.spool, [receipt_line("a1")], sequence=1)
    desk.work()
    desk.open()
    lay(desk.spool, [receipt_line("b2"), receipt_line("c3")], sequence=2)

    desk.work()

    assert desk.registry.read() == {
        "calls ok ": 3,
        "cost checkout": 21,
        "spanmeter_receipts_entered_total": 3,
        "spanmeter_segments_total entered": 2,
    }


def test_a_segment_stays_until_its_spans_are_settled(desk: Desk) -> None:
    path = lay(desk.spool, [receipt_line("a1")])
    desk.open(settles=False)

    desk.work()
    while_unsettled = desk.files()
    desk.spans.settles = True
    desk.work()

    assert while_unsettled == [path.name]
    assert desk.spans.call_ids() == ["a1"]
    assert desk.files() == []


def test_unsettled_spans_are_offered_again_after_a_restart_but_not_counted(desk: Desk) -> None:
    lay(desk.spool, [receipt_line("a1")])
    desk.open(settles=False)
    desk.work()
    desk.open()

    desk.work()

    assert desk.registry.read() == ONE_CALL
    assert desk.spans.call_ids() == ["a1"]
    assert desk.files() == []


def test_a_segment_without_receipts_waits_for_nobody(desk: Desk) -> None:
    lay(desk.spool)
    desk.open(settles=False)

    desk.work()

    assert desk.files() == []
    assert desk.spans.offered == []
    assert desk.registry.read() == {"spanmeter_segments_total entered": 1}


@pytest.mark.parametrize(
    ("bound", "taken"),
    [({"max_segments": 2}, 2), ({"max_bytes": 2_500}, 2), ({"max_bytes": 1}, 1), ({}, 5)],
)
def test_a_batch_is_bounded_by_segments_and_by_bytes(
    desk: Desk, bound: dict[str, int], taken: int
) -> None:
    for sequence in range(1, 6):
        lay(desk.spool, [receipt_line("a1", request_model="m" * 600)], sequence=sequence)

    assert desk.open(**bound).enter_ready() == taken


def test_a_corrupt_and_a_newer_segment_are_moved_aside_and_counted(desk: Desk) -> None:
    corrupt = tear(lay(desk.spool, [receipt_line("a1"), receipt_line("b2")], sequence=1))
    newer = lay_newer(desk.spool, sequence=2)
    lay(desk.spool, sequence=3).write_bytes(b"")
    lay(desk.spool, [receipt_line("c3")], sequence=4)
    desk.open()

    desk.work()

    assert desk.files() == [
        f"parked/{newer.name}",
        f"quarantine/{corrupt.name}",
        f"quarantine/{corrupt.name.replace('1.nd', '3.nd')}",
    ]
    assert desk.registry.read() == ONE_CALL | {
        "spanmeter_segments_total parked": 1,
        "spanmeter_segments_total quarantined": 2,
    }


def test_a_parked_segment_is_entered_by_the_version_that_can_read_it(desk: Desk) -> None:
    path = lay_newer(desk.spool)
    desk.open()
    desk.work()
    whole = lay(desk.spool, [receipt_line("a1")])
    whole.rename(desk.spool / "parked" / path.name)
    desk.open()

    desk.work()

    assert desk.registry.read() == ONE_CALL | {"spanmeter_segments_total parked": 1}
    assert desk.files() == []


def test_dropped_receipts_are_counted_once_across_restarts_of_the_books(desk: Desk) -> None:
    desk.open()
    desk.board.column(0).add(Field.RECEIPTS_DROPPED_SPOOL_ERROR, 2)
    desk.board.column(1).add(Field.RECEIPTS_DROPPED_SPOOL_ERROR, 3)
    desk.work()
    desk.open()
    desk.board.column(1).add(Field.RECEIPTS_DROPPED_SPOOL_ERROR, 4)

    desk.work()

    assert desk.registry.read() == {"spanmeter_receipts_dropped_total spool_error": 9}


def test_a_new_board_starts_from_zero(desk: Desk, tmp_path: Path) -> None:
    desk.open()
    desk.board.column(0).add(Field.RECEIPTS_DROPPED_SPOOL_FULL, 2)
    desk.work()
    desk.board = Board.create(tmp_path / "board", workers=2)
    desk.board.column(0).add(Field.RECEIPTS_DROPPED_SPOOL_FULL, 6)
    desk.open()

    desk.work()

    assert desk.registry.read() == {"spanmeter_receipts_dropped_total spool_full": 8}


def test_the_growth_of_span_counts_is_entered_once_although_a_commit_fails(desk: Desk) -> None:
    books = desk.open()
    desk.spans.sent = {"sent": 4, "dropped": 0}
    desk.work()
    desk.spans.sent = {"sent": 9, "dropped": 1}
    with unwritable_disk():
        books.enter_ready()

    desk.work()
    after_failure = desk.registry.read()
    desk.open()  # the counts of a new process begin at 0
    desk.spans.sent = {"sent": 2, "dropped": 0}
    desk.work()

    counted = {"spanmeter_spans_total dropped": 1, "spanmeter_books_commit_failures_total": 1}
    assert after_failure == counted | {"spanmeter_spans_total sent": 9}
    assert desk.registry.read() == counted | {"spanmeter_spans_total sent": 11}


def test_calls_in_flight_are_shown_as_they_are(desk: Desk) -> None:
    books = desk.open()
    desk.board.column(0).set(Field.CALLS_IN_FLIGHT, 3)
    desk.board.column(1).set(Field.CALLS_IN_FLIGHT, 4)

    books.enter_ready()

    assert desk.registry.gauges["spanmeter_request_active"] == 7


def test_the_lag_is_the_highest_age_of_a_segment_that_was_not_entered_for_long_enough_to_be_seen(
    desk: Desk, clock: Callable[[], int]
) -> None:
    lay(desk.spool, [receipt_line("a1")], sequence=1, written_at_ns=clock() - 90 * 10**9)
    lay(desk.spool, [receipt_line("b2")], sequence=2, written_at_ns=clock() - 30 * 10**9)
    books = desk.open(max_segments=1, clock_ns=clock, settles=False)
    lags = []

    for _ in range(3):
        books.enter_ready()
        lags.append(desk.registry.gauges["spanmeter_books_lag_seconds"])

    assert lags == [90.0, 90.0, 90.0]


def test_spans_that_are_only_offered_again_are_no_lag(desk: Desk) -> None:
    lay(desk.spool, [receipt_line("a1")], written_at_ns=1)
    desk.open(settles=False)
    desk.work()
    books = desk.open(settles=False)

    books.enter_ready()

    assert desk.registry.gauges["spanmeter_books_lag_seconds"] == 0.0


def test_a_spool_folder_that_is_gone_forgets_nothing(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay(desk.spool, [receipt_line("a1")])
    desk.open(settles=False)
    desk.work()
    desk.spool.rename(tmp_path / "unmounted")

    desk.work()
    (tmp_path / "unmounted").rename(desk.spool)
    desk.open()
    desk.work()

    assert desk.registry.read() == ONE_CALL
    assert [record.getMessage() for record in caplog.records] == [
        "spool: cannot look into the folder (No such file or directory)"
    ]
