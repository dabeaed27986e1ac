import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.gateway.books.conftest import Desk
from tests.gateway.spool.receipts import STARTED_AT_NS, open_line, receipt_line
from tests.gateway.spool.segments import lay, tear

from spanmeter_gateway.spool.append import SpoolWriter

ONE_CALL = {
    "calls ok ": 1,
    "cost checkout": 7,
    "spanmeter_receipts_entered_total": 1,
    "spanmeter_segments_total entered": 1,
}


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
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.telemetry.registry import Registry
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
