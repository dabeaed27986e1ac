"""Two counts of the same agree, or differ by exactly what was dropped; and that is counted."""

import sqlite3
from pathlib import Path

import pytest
from tests.gateway.books.conftest import Desk
from tests.gateway.spool.limits import unwritable_disk
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import lay, lay_newer, tear

from spanmeter_gateway.spool.append import SpoolWriter

NONE_DIFFERS = {"receipts_calls": 0, "receipts_spans": 0, "written_entered": 0}
LOST = "spanmeter_receipts_dropped_total segment_lost"


def lay_three(spool: Path) -> list[Path]:
    """Lay down what one relay wrote: one receipt, two, and three."""
    ids = [["a1"], ["b1", "b2"], ["c1", "c2", "c3"]]
    totals = [1, 3, 6]
    return [
        lay(spool, [receipt_line(i) for i in ids[place]], sequence=place + 1, written=totals[place])
        for place in range(3)
    ]


def fail(*_: object) -> None:
    raise ZeroDivisionError


def lost(desk: Desk) -> tuple[int, float]:
    """Give what the counter and the difference say is missing."""
    return desk.registry.read().get(LOST, 0), desk.registry.differences()["written_entered"]


def test_nothing_differs_while_relays_write_and_books_restart(desk: Desk) -> None:
    writers = [
        SpoolWriter(desk.spool, worker=worker, on_drop=print, flush_interval_s=0.002)
        for worker in range(2)
    ]
    seen = []

    for writer in writers:
        writer.start()
    for number in range(40):
        for worker, writer in enumerate(writers):
            writer.put(open_line(f"{number:04d}{worker}"))
            writer.put(receipt_line(f"{number:04d}{worker}"))
        desk.open(max_segments=1 + number % 3)
        desk.work()
        seen.append(desk.registry.differences())
    for writer in writers:
        writer.close()
    desk.work()

    assert seen == [NONE_DIFFERS] * 40
    assert desk.registry.differences() == NONE_DIFFERS
    assert desk.registry.read()["calls ok "] == 80
    assert desk.counters.restore().writers == []


@pytest.mark.parametrize(("place", "receipts"), [(0, 1), (1, 2)])
def test_a_segment_that_vanished_shows_with_the_next_one(
    desk: Desk, place: int, receipts: int
) -> None:
    lay_three(desk.spool)[place].unlink()
    desk.open()

    desk.work()
    at_once = lost(desk)
    desk.open()
    desk.work()

    assert at_once == (receipts, receipts)
    assert lost(desk) == (receipts, receipts)
    assert desk.registry.read()["spanmeter_receipts_entered_total"] == 6 - receipts


def test_a_segment_that_is_torn_shows_by_its_header_even_as_the_last(desk: Desk) -> None:
    tear(lay_three(desk.spool)[2])
    desk.open()

    desk.work()

    assert lost(desk) == (3, 3)


def test_a_segment_without_a_header_shows_with_the_next_one(desk: Desk) -> None:
    lay_three(desk.spool)[1].write_bytes(bytes(100))
    desk.open()

    desk.work()

    assert lost(desk) == (2, 2)


def test_a_part_that_a_dying_relay_tore_shows_what_is_cut_off(desk: Desk) -> None:
    last = tear(lay_three(desk.spool)[2])
    last.rename(last.with_suffix(".part"))
    desk.open()

    desk.work()

    assert desk.registry.read()["spanmeter_receipts_entered_total"] == 5
    assert lost(desk) == (1, 1)


def test_a_segment_that_comes_back_is_entered_and_no_longer_missing(
    desk: Desk, tmp_path: Path
) -> None:
    second = lay_three(desk.spool)[1]
    second.rename(tmp_path / "elsewhere")
    desk.open()
    desk.work()
    while_away = lost(desk)

    (tmp_path / "elsewhere").rename(second)
    desk.work()

    assert while_away == (2, 2)
    assert lost(desk) == (2, 0)  # a counter takes nothing back
    assert desk.registry.read()["spanmeter_receipts_entered_total"] == 6


def test_a_parked_segment_is_missing_but_not_lost(desk: Desk) -> None:
    second = lay_three(desk.spool)[1]
    whole = second.read_bytes()
    lay_newer(desk.spool, sequence=2)
    desk.open()
    desk.work()
    while_parked = lost(desk)
    (desk.spool / "parked" / second.name).write_bytes(whole)
    desk.open()

    desk.work()

    assert while_parked == (0, 2)
    assert lost(desk) == (0, 0)


def test_a_parked_segment_that_is_the_last_of_a_dead_relay_comes_back_as_it_should(
    desk: Desk,
) -> None:
    last = lay_three(desk.spool)[2]
    whole = last.read_bytes()
    lay_newer(desk.spool, sequence=3)
    (desk.spool / "0aa1-000.alive").touch()
    desk.open()
    desk.work()
    (desk.spool / "parked" / last.name).write_bytes(whole)
    desk.open()

    desk.work()

    assert lost(desk) == (0, 0)
    assert desk.registry.read()["spanmeter_receipts_entered_total"] == 6


def test_of_relays_that_do_not_count_nothing_is_said_to_be_missing(desk: Desk) -> None:
    lay(desk.spool, [receipt_line("a1")], sequence=1)
    lay(desk.spool, [receipt_line("a2")], sequence=5)
    desk.open()

    desk.work()

    assert desk.registry.differences() == NONE_DIFFERS
    assert desk.counters.restore().writers == []


def test_calls_that_books_close_for_a_dead_relay_were_not_written_by_it(desk: Desk) -> None:
    lay(desk.spool, [receipt_line("a1"), open_line("b2"), open_line("c3")], written=1)
    desk.open()

    desk.work()

    assert desk.registry.read()["spanmeter_relay_lost_calls_total"] == 2
    assert desk.registry.differences() == NONE_DIFFERS


def test_a_dead_relay_is_forgotten_when_all_that_it_wrote_is_entered(desk: Desk) -> None:
    lay_three(desk.spool)
    (desk.spool / "0aa1-000.alive").touch()
    lay(desk.spool, [receipt_line("d1")], incarnation="0bb2", sequence=2, written=5)
    (desk.spool / "0bb2-000.alive").touch()
    desk.open()

    desk.work()

    assert desk.files() == []
    assert [row.writer for row in desk.counters.restore().writers] == [("0bb2", 0)]
    assert lost(desk) == (4, 4)


def test_a_relay_is_not_forgotten_while_that_cannot_be_committed(desk: Desk) -> None:
    (desk.spool / "0aa1-000.alive").touch()
    lay_three(desk.spool)
    books = desk.open()
    books.enter_ready()

    with unwritable_disk():
        books.enter_ready()
    meanwhile = desk.files()
    desk.work()

    assert meanwhile == ["0aa1-000.alive"]
    assert (desk.files(), desk.counters.restore().writers) == ([], [])


def test_what_a_relay_wrote_before_these_counters_began_is_not_missing(desk: Desk) -> None:
    incarnation = f"{1:020d}abcdef"
    for sequence, written in ((8, 70), (9, 71), (11, 74)):
        lay(
            desk.spool,
            [receipt_line(f"{written}")],
            incarnation=incarnation,
            sequence=sequence,
            written=written,
        )
    desk.open()

    desk.work()

    assert lost(desk) == (2, 2)


def test_the_first_segment_of_a_relay_older_than_these_counters_misses_what_is_torn(
    desk: Desk,
) -> None:
    tear(lay(desk.spool, [receipt_line("a1")], incarnation=f"{1:020d}abcdef", written=1))
    desk.open()

    desk.work()

    assert lost(desk) == (1, 1)


def test_a_loss_is_counted_once_although_a_commit_fails(desk: Desk) -> None:
    lay_three(desk.spool)[1].unlink()
    books = desk.open()

    with unwritable_disk():
        books.enter_ready()
        books.enter_ready()
    desk.work()

    assert lost(desk) == (2, 2)


def test_a_receipt_that_cannot_be_entered_is_a_call_less(desk: Desk) -> None:
    lay(desk.spool, [receipt_line("a1"), receipt_line("b2")], written=2)
    desk.open()
    desk.work()
    desk.registry.enter = fail  # type: ignore[method-assign]  # a fault put in place
    lay(desk.spool, [receipt_line("c3")], sequence=2, written=3)

    desk.work()
    at_once = desk.registry.differences()
    desk.open()
    desk.work()

    assert at_once == NONE_DIFFERS | {"receipts_calls": 1}
    assert desk.registry.differences() == at_once
    assert desk.registry.read()["spanmeter_receipts_dropped_total entry_failed"] == 1


def test_what_costs_a_walk_over_all_series_is_not_compared_each_turn(desk: Desk) -> None:
    desk.open(reconcile_interval_s=3600)
    desk.work()
    desk.registry.enter = fail  # type: ignore[method-assign]  # a fault put in place
    lay(desk.spool, [receipt_line("a1")])

    desk.work()

    assert desk.registry.differences() == NONE_DIFFERS


def test_a_series_that_was_not_restored_shows(desk: Desk, tmp_path: Path) -> None:
    lay(
        desk.spool,
        [receipt_line("a1"), receipt_line("b2"), receipt_line("c3", outcome="cancelled")],
    )
    desk.open()
    desk.work()
    desk.leave()
    damaged = sqlite3.connect(tmp_path / "books.sqlite")
    damaged.execute("DELETE FROM series WHERE labels LIKE '%ok%' AND metric = 'calls'")
    damaged.commit()
    damaged.close()

    desk.open()
    desk.work()

    assert desk.registry.differences() == NONE_DIFFERS | {"receipts_calls": 2}
