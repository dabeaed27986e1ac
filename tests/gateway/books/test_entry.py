import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gateway.books.conftest import Desk
from tests.gateway.spool.limits import unwritable_disk
from tests.gateway.spool.receipts import STARTED_AT_NS, open_line, receipt_line
from tests.gateway.spool.segments import lay, lay_newer, tear

from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.spool.append import SpoolWriter

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


def test_a_call_that_ends_is_no_longer_open(desk: Desk) -> None:
    lay(desk.spool, [open_line("a1"), open_line("b2")], sequence=1)
    desk.open()
    (desk.spool / "0aa1-000.alive").write_text("")
    desk.open(max_segments=1).enter_ready()
    after_opening = [row.call_id for row in desk.counters.restore().open_calls]

    lay(desk.spool, [receipt_line("a1"), receipt_line("b2")], sequence=2)
    desk.work()

    assert after_opening == ["a1", "b2"]
    assert desk.counters.restore().open_calls == []
    assert desk.registry.read()["calls ok "] == 2
    assert "calls gateway_error relay_lost" not in desk.registry.read()


def test_calls_of_a_dead_relay_end_once_as_lost_when_all_of_its_segments_are_entered(
    desk: Desk,
) -> None:
    lay(desk.spool, [open_line("a1"), open_line("b2"), open_line("c3")], sequence=1)
    lay(desk.spool, [receipt_line("b2")], sequence=2)
    desk.open(max_segments=1)

    desk.work()

    assert desk.registry.read() == {
        "calls ok ": 1,
        "calls gateway_error relay_lost": 2,
        "spanmeter_relay_lost_calls_total": 2,
        "cost checkout": 21,
        "spanmeter_receipts_entered_total": 3,
        "spanmeter_segments_total entered": 3,
    }
    assert desk.spans.call_ids() == ["b2", "a1", "c3"]
    assert desk.counters.restore().open_calls == []
    assert desk.files() == []


def test_a_lost_call_lasted_until_its_relay_was_last_seen(desk: Desk) -> None:
    alive = desk.spool / "0aa1-000.alive"
    alive.write_text("")
    os.utime(alive, ns=(STARTED_AT_NS + 5_000, STARTED_AT_NS + 5_000))
    lay(desk.spool, [open_line("a1", outcome="ok", response_bytes=9)])
    desk.open()

    desk.work()

    (receipt,) = desk.registry.receipts
    assert (receipt.outcome, receipt.error_type, receipt.error_source) == (
        "gateway_error", "relay_lost", "gateway",
    )  # fmt: skip
    assert (receipt.duration_ns, receipt.response_bytes) == (5_000, 9)


def test_a_lost_call_without_a_sign_of_life_lasted_until_now(
    desk: Desk, clock: Callable[[], int]
) -> None:
    lay(desk.spool, [open_line("a1")])
    desk.open(clock_ns=clock)

    desk.work()

    assert [receipt.duration_ns for receipt in desk.registry.receipts] == [clock() - STARTED_AT_NS]


def test_calls_of_a_living_relay_stay_open(desk: Desk) -> None:
    writer = SpoolWriter(desk.spool, worker=0, on_drop=print, flush_interval_s=0.01)
    writer.start()
    desk.open()

    writer.put(open_line("a1"))
    pause = threading.Event()
    while not desk.work():
        pause.wait(0.005)
    while_alive = desk.registry.read()
    writer.close()
    desk.work()

    assert while_alive == {"spanmeter_segments_total entered": 1}
    assert desk.registry.read()["spanmeter_relay_lost_calls_total"] == 1
    assert desk.files() == []


def test_the_unfinished_part_of_a_dead_relay_is_entered_up_to_its_last_whole_line(
    desk: Desk,
) -> None:
    path = tear(lay(desk.spool, [receipt_line("a1"), receipt_line("b2")]))
    path.rename(path.with_suffix(".part"))
    desk.open()

    desk.work()

    assert desk.registry.read() == ONE_CALL
    assert desk.files() == []


def test_the_part_of_a_living_relay_is_left_alone(desk: Desk) -> None:
    writer = SpoolWriter(desk.spool, worker=0, on_drop=print, flush_interval_s=3600)
    writer.start()
    path = lay(desk.spool, [receipt_line("a1")], incarnation=writer.incarnation)
    part = path.rename(path.with_suffix(".part"))
    desk.open()

    taken = desk.work()

    assert (taken, part.exists()) == (0, True)
    writer.close()


def test_a_relay_that_is_killed_leaves_one_receipt_for_each_call_older_than_a_flush(
    desk: Desk,
) -> None:
    script = """
import pathlib, sys, time
from spanmeter_gateway.spool.append import SpoolWriter
from tests.gateway.spool.receipts import open_line, receipt_line
writer = SpoolWriter(pathlib.Path(sys.argv[1]), worker=1, on_drop=print, flush_interval_s=0.02)
writer.start()
for number in range(1, 10_000):
    writer.put(open_line(f"{number:04d}0"))
    if number % 3:
        writer.put(receipt_line(f"{number:04d}0"))
    writer.put(receipt_line(f"{number:04d}1"))
    time.sleep(0.0005)
    print(number, flush=True)
"""
    desk.open()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(desk.spool)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while int(process.stdout.readline()) < 400:
            desk.work()
        process.send_signal(signal.SIGKILL)
        last = int(["0", *process.stdout.read().split()][-1])
    desk.work()

    seen = desk.spans.call_ids()
    ended = max(int(call_id[:4]) for call_id in seen)
    assert len(seen) == len(set(seen))
    assert set(seen) >= {f"{number:04d}{end}" for number in range(1, ended) for end in "01"}
    assert last - 300 < ended  # of some 0.6 ms each: all but those of the last flushes
    assert len(desk.registry.receipts) == len(seen)
    assert desk.files() == []


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


def test_after_a_failure_books_wait_before_they_try_again(desk: Desk) -> None:
    books = desk.open(retry_interval_s=3600)
    lay(desk.spool, [receipt_line("a1")])
    with unwritable_disk():
        books.enter_ready()

    assert books.enter_ready() == 0
    assert desk.registry.read() == {"spanmeter_books_commit_failures_total": 1}


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

    assert desk.registry.gauges["spanmeter_calls_in_flight"] == 7


def test_the_lag_is_the_age_of_the_oldest_segment_that_is_not_entered(
    desk: Desk, clock: Callable[[], int]
) -> None:
    lay(desk.spool, [receipt_line("a1")], sequence=1, written_at_ns=clock() - 90 * 10**9)
    lay(desk.spool, [receipt_line("b2")], sequence=2, written_at_ns=clock() - 30 * 10**9)
    books = desk.open(max_segments=1, clock_ns=clock, settles=False)
    lags = []

    for _ in range(3):
        books.enter_ready()
        lags.append(desk.registry.gauges["spanmeter_books_lag_seconds"])

    assert lags == [90.0, 30.0, 0.0]


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
