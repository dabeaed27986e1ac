from tests.gateway.books.conftest import Desk, just_after
from tests.gateway.books.doubles import flat_bill
from tests.gateway.spool.limits import unwritable_disk
from tests.gateway.spool.receipts import a_receipt, open_line, receipt_line
from tests.gateway.spool.segments import lay, tear

from spanmeter_gateway.board import Field
from spanmeter_gateway.books.entry import Books, Pace
from spanmeter_gateway.telemetry.registry import Registry

ONE_CALL = {
    "calls ok ": 1,
    "cost checkout": 7,
    "spanmeter_receipts_entered_total": 1,
    "spanmeter_segments_total entered": 1,
}


def test_while_the_disk_is_full_nothing_is_printed_that_is_not_committed(desk: Desk) -> None:
    books = desk.open()
    lay(desk.spool, [receipt_line("a1")], sequence=1)
    desk.work()
    lay(desk.spool, [receipt_line("b2")], sequence=2)
    lay(desk.spool, [open_line("c3")], sequence=3)

    with unwritable_disk():
        taken = [books.enter_ready() for _ in range(3)]

    assert taken == [0, 0, 0]
    assert desk.registry.read() == ONE_CALL | {"spanmeter_books_commit_failures_total": 3}
    assert desk.spans.call_ids() == ["a1"]


def test_what_could_not_be_committed_is_entered_once_when_there_is_room_again(desk: Desk) -> None:
    books = desk.open()
    desk.board.column(1).add(Field.RECEIPTS_DROPPED_SPOOL_FULL, 5)
    lay(desk.spool, [receipt_line("a1")], sequence=1)
    with unwritable_disk():
        books.enter_ready()
        books.enter_ready()

    desk.work()

    expected = ONE_CALL | {
        "spanmeter_books_commit_failures_total": 2,
        "spanmeter_receipts_dropped_total spool_full": 5,
    }
    assert desk.registry.read() == expected
    assert desk.spans.call_ids() == ["a1"]
    assert desk.files() == []
    desk.open()
    assert desk.registry.read() == expected


def test_the_real_registry_comes_back_to_the_last_commit(desk: Desk) -> None:
    desk.open()
    registry = Registry(clock_ns=lambda: 1)
    books = Books(
        desk.spool,
        bill=flat_bill,
        registry=registry,
        span_export=desk.spans,
        counters=desk.counters,
        board=desk.board,
        clock_ns=just_after,
        pace=Pace(retry_interval_s=0),
    )
    lay(desk.spool, [receipt_line("a1")], sequence=1)
    books.enter_ready()
    committed = desk.counters.restore().rows
    lay(desk.spool, [receipt_line("b2"), receipt_line("c3", feature="search")], sequence=2)

    with unwritable_disk():
        books.enter_ready()
    failures = registry.changed()
    books.enter_ready()

    assert [(row.metric, row.values) for row in failures] == [
        ("spanmeter_books_commit_failures_total", "[1]")
    ]
    assert set(registry.changed()) == set()
    once = Registry(clock_ns=lambda: 1)
    once.restore(committed)
    for call_id, feature in (("b2", "checkout"), ("c3", "search")):
        once.enter(a_receipt(call_id, feature=feature), flat_bill(a_receipt(call_id)))
    once.add("spanmeter_receipts_entered_total", (), 2)
    once.add("spanmeter_segments_total", ("entered",), 1)
    once.add("spanmeter_books_commit_failures_total", (), 1)
    expected = {row[:2]: row for row in (*committed, *once.changed())}
    assert {row[:2]: row for row in desk.counters.restore().rows} == expected


def test_after_a_failure_books_wait_before_they_try_again(desk: Desk) -> None:
    books = desk.open(retry_interval_s=3600)
    lay(desk.spool, [receipt_line("a1")])
    with unwritable_disk():
        books.enter_ready()

    assert books.enter_ready() == 0
    assert desk.registry.read() == {"spanmeter_books_commit_failures_total": 1}


def test_a_corrupt_segment_that_cannot_be_moved_is_counted_once(desk: Desk) -> None:
    (desk.spool / "quarantine").write_text("not a folder")
    tear(lay(desk.spool, [receipt_line("a1")]))
    books = desk.open()

    for _ in range(3):
        books.enter_ready()

    assert desk.registry.read() == {"spanmeter_segments_total quarantined": 1}


def test_a_segment_that_cannot_be_deleted_is_neither_counted_nor_offered_again(desk: Desk) -> None:
    path = lay(desk.spool, [receipt_line("a1")])
    books = desk.open()
    books.enter_ready()
    path.unlink()
    path.mkdir()

    for _ in range(3):
        books.enter_ready()

    assert desk.registry.read() == ONE_CALL
    assert desk.spans.call_ids() == ["a1"]
