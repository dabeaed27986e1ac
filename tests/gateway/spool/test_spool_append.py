import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from zlib import crc32

import pytest
from tests.gateway.spool.limits import unwritable_disk
from tests.gateway.spool.receipts import a_receipt, open_line, receipt_line

from spanmeter_gateway.receipt import OpenCall
from spanmeter_gateway.spool.append import SEGMENT_BYTES, SpoolWriter
from spanmeter_gateway.spool.read import is_alive, read_segment, ready_segments
from spanmeter_gateway.spool.segment import Writer

ROOT = Path(__file__).parents[3]


class Drops:
    """Counts what a writer drops, and lets a test wait for it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = threading.Condition()

    def __call__(self, reason: str, receipts: int) -> None:
        with self._changed:
            self.counts[reason] += receipts
            self._changed.notify_all()

    def wait_for(self, counts: dict[str, int]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.counts == counts, timeout=10), self.counts


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest.fixture
def open_writer(tmp_path: Path, drops: Drops) -> Iterator[Callable[..., SpoolWriter]]:
    writers = []

    def opened(**settings: object) -> SpoolWriter:
        options = {"worker": 2, "on_drop": drops, "flush_interval_s": 0.01} | settings
        writers.append(SpoolWriter(tmp_path, **options))
        writers[-1].start()
        return writers[-1]

    yield opened
    for writer in writers:
        writer.close()


def contents(folder: Path) -> list[tuple[list, list]]:
    return [read_segment(segment)[:2] for segment in ready_segments(folder)]


def wait_for_segments(folder: Path, count: int) -> None:
    pause = threading.Event()
    while not folder.is_dir() or len(ready_segments(folder)) < count:
        pause.wait(0.002)


def test_what_is_put_before_a_flush_is_one_segment_in_order(tmp_path: Path, drops: Drops) -> None:
    writer = SpoolWriter(tmp_path, worker=2, on_drop=drops, flush_interval_s=3600)
    writer.start()

    writer.put(open_line("a1"))
    writer.put(receipt_line("b2"))
    writer.put(receipt_line("a1"))
    writer.close()

    assert contents(tmp_path) == [
        ([a_receipt("b2"), a_receipt("a1")], [OpenCall(receipt=a_receipt("a1"))])
    ]
    assert drops.counts == {}


def test_a_segment_says_who_wrote_it_under_which_configuration(
    tmp_path: Path, drops: Drops
) -> None:
    writer = SpoolWriter(tmp_path, worker=2, generation=7, on_drop=drops, flush_interval_s=3600)
    writer.start()

    writer.put(receipt_line("a1"))
    writer.close()

    (segment,) = ready_segments(tmp_path)
    header, body = segment.path.read_bytes().split(b"\n", 1)
    assert segment.path.name == f"{writer.incarnation}-002-0000000001.ndjson"
    assert header.decode() == (
        f'{{"type":"segment","format":1,"worker":2,"incarnation":"{writer.incarnation}",'
        f'"sequence":1,"generation":7,"written":1,"crc32":"{crc32(body):08x}"}}'
    )


def test_an_idle_writer_leaves_no_segments(tmp_path: Path, drops: Drops) -> None:
    writer = SpoolWriter(tmp_path, worker=0, on_drop=drops)
    writer.start()

    writer.close()

    assert [path.suffix for path in tmp_path.iterdir()] == [".alive"]


def test_each_flush_is_the_next_segment(
    tmp_path: Path, open_writer: Callable[..., SpoolWriter]
) -> None:
    writer = open_writer()

    writer.put(receipt_line("a1"))
    wait_for_segments(tmp_path, 1)
    writer.put(receipt_line("b2"))
    wait_for_segments(tmp_path, 2)

    assert contents(tmp_path) == [([a_receipt("a1")], []), ([a_receipt("b2")], [])]
    assert [segment.name.sequence for segment in ready_segments(tmp_path)] == [1, 2]


def test_a_large_flush_is_split(tmp_path: Path, drops: Drops) -> None:
    writer = SpoolWriter(tmp_path, worker=0, on_drop=drops, flush_interval_s=3600)
    writer.start()
    line = receipt_line("a1", request_model="m" * 1_000_000)

    for _ in range(10):
        writer.put(line)
    writer.close()

    sizes = [segment.size_bytes for segment in ready_segments(tmp_path)]
    assert sum(len(receipts) for receipts, _ in contents(tmp_path)) == 10
    assert len(sizes) == 2
    assert max(sizes) < SEGMENT_BYTES + 2 * len(line)


def test_over_the_byte_cap_the_newest_receipts_are_dropped_and_counted(
    tmp_path: Path, drops: Drops, open_writer: Callable[..., SpoolWriter]
) -> None:
    (tmp_path / "of-another-worker.ndjson").write_bytes(bytes(9_000))
    writer = open_writer(max_bytes=10_000)

    writer.put(receipt_line("a1"))
    wait_for_segments(tmp_path, 1)
    writer.put(open_line("c3"))
    writer.put(receipt_line("b2", request_model="m" * 1_000))
    drops.wait_for({"spool_full": 1})

    assert contents(tmp_path) == [([a_receipt("a1")], [])]


def test_a_full_spool_takes_receipts_again_once_books_have_deleted(
    tmp_path: Path, drops: Drops, open_writer: Callable[..., SpoolWriter]
) -> None:
    blocking = tmp_path / "of-another-worker.ndjson"
    blocking.write_bytes(bytes(10_000))
    writer = open_writer(max_bytes=10_000, recount_interval_s=0)
    writer.put(receipt_line("a1"))
    drops.wait_for({"spool_full": 1})

    blocking.unlink()
    writer.put(receipt_line("b2"))
    wait_for_segments(tmp_path, 1)

    assert contents(tmp_path) == [([a_receipt("b2")], [])]


def test_a_backlog_over_its_bound_is_dropped_at_once(tmp_path: Path, drops: Drops) -> None:
    line = receipt_line("a1")
    writer = SpoolWriter(
        tmp_path, worker=0, on_drop=drops, max_pending_bytes=2 * len(line), flush_interval_s=3600
    )
    writer.start()

    for _ in range(5):
        writer.put(line)
    writer.put(open_line("c3"))
    writer.close()

    assert drops.counts == {"spool_backlog": 3}
    assert contents(tmp_path) == [([a_receipt("a1")] * 2, [])]


def test_a_line_put_after_the_end_is_counted_as_dropped(
    open_writer: Callable[..., SpoolWriter], tmp_path: Path, drops: Drops
) -> None:
    writer = SpoolWriter(tmp_path, worker=0, on_drop=drops)
    writer.start()
    writer.close()

    writer.put(receipt_line("a1"))

    assert drops.counts == {"spool_backlog": 1}


def test_a_disk_that_refuses_costs_receipts_but_no_error_and_no_torn_part(
    tmp_path: Path,
    drops: Drops,
    open_writer: Callable[..., SpoolWriter],
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = open_writer()

    with unwritable_disk():
        writer.put(receipt_line("a1"))
        drops.wait_for({"spool_error": 1})
        writer.put(receipt_line("b2"))
        writer.put(receipt_line("c3"))
        drops.wait_for({"spool_error": 3})
    writer.put(receipt_line("d4"))
    wait_for_segments(tmp_path, 1)

    assert contents(tmp_path) == [([a_receipt("d4")], [])]
    assert [path.name for path in tmp_path.glob("*.part")] == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_full_file_system_is_survived(tmp_path: Path) -> None:
    """On a real tmpfs of 64 KiB, in a mount namespace of its own."""
    script = f"""
import pathlib, sys, threading
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.spool.read import read_segment, ready_segments
from tests.gateway.spool.receipts import receipt_line
folder = pathlib.Path({str(tmp_path)!r})
dropped, full = [], threading.Event()
def on_drop(reason, receipts):
    dropped.append((reason, receipts))
    full.set()
writer = SpoolWriter(folder, worker=0, on_drop=on_drop, flush_interval_s=0.001)
writer.start()
count = 0
while not full.wait(0.002):
    writer.put(receipt_line("a1", request_model="m" * 1_000))
    count += 1
parts = list(folder.glob("*.part"))
for segment in ready_segments(folder):
    count -= len(read_segment(segment)[0])
    segment.path.unlink()
writer.put(receipt_line("b2"))
count += 1
writer.close()
count -= sum(len(read_segment(segment)[0]) for segment in ready_segments(folder))
print({{reason for reason, _ in dropped}}, count - sum(n for _, n in dropped), parts)
"""
    mounted = f'mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -c "$SCRIPT"'

    ended = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted],
        env=os.environ | {"SCRIPT": script, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (ended.stdout, ended.stderr.count("\n")) == (
        "{'spool_full'} 0 []\n",
        1,  # the one warning
    )


def test_each_segment_tells_how_many_receipts_were_written_without_those_that_were_dropped(
    tmp_path: Path, drops: Drops, open_writer: Callable[..., SpoolWriter]
) -> None:
    writer = open_writer()

    writer.put(receipt_line("a1"))
    wait_for_segments(tmp_path, 1)
    with unwritable_disk():
        writer.put(receipt_line("b2"))
        drops.wait_for({"spool_error": 1})
    writer.put(open_line("c3"))
    wait_for_segments(tmp_path, 2)
    writer.put(receipt_line("c3"), ends_open=True)
    writer.put(receipt_line("d4"))
    wait_for_segments(tmp_path, 4)

    assert [read_segment(each).written for each in ready_segments(tmp_path)] == [1, 1, 2, 3]


def test_a_call_that_is_noted_open_and_ends_in_the_midst_of_a_flush_is_written_in_that_order(
    tmp_path: Path, drops: Drops
) -> None:
    writer = SpoolWriter(tmp_path, worker=0, on_drop=drops, flush_interval_s=0.01)

    def end_a_call(_frame: FrameType, event: str, called: object) -> None:
        # The first thing that a flush does is to show life.
        if event == "c_call" and called is os.utime:
            sys.setprofile(None)
            writer.put(open_line("a1"))
            writer.put(receipt_line("a1"), ends_open=True)

    threading.setprofile(end_a_call)
    writer.start()
    wait_for_segments(tmp_path, 2)
    threading.setprofile(None)
    writer.close()

    assert contents(tmp_path) == [
        ([], [OpenCall(receipt=a_receipt("a1"))]),
        ([a_receipt("a1")], []),
    ]


def test_the_end_of_an_open_call_is_kept_until_the_disk_takes_it(
    tmp_path: Path, drops: Drops, open_writer: Callable[..., SpoolWriter]
) -> None:
    writer = open_writer()

    with unwritable_disk():
        writer.put(receipt_line("a1"), ends_open=True)
        writer.put(receipt_line("b2"))
        drops.wait_for({"spool_error": 1})
    wait_for_segments(tmp_path, 1)

    assert contents(tmp_path) == [([a_receipt("a1")], [])]
    assert drops.counts == {"spool_error": 1}


def test_the_end_of_an_open_call_that_never_finds_room_is_counted_at_the_stop(
    tmp_path: Path, drops: Drops, open_writer: Callable[..., SpoolWriter]
) -> None:
    writer = open_writer()

    with unwritable_disk():
        writer.put(receipt_line("a1"), ends_open=True)
        writer.close()

    assert drops.counts == {"spool_error": 1}


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path, drops: Drops) -> None:
    folder = tmp_path / "data" / "spool"
    writer = SpoolWriter(folder, worker=0, on_drop=drops, flush_interval_s=0.01)
    writer.start()

    folder.parent.rename(tmp_path / "elsewhere")
    writer.put(receipt_line("a1"))
    wait_for_segments(folder, 1)

    assert is_alive(folder, Writer(writer.incarnation, 0))
    writer.close()
    assert contents(folder) == [([a_receipt("a1")], [])]
    assert drops.counts == {}


def test_a_folder_that_cannot_be_used_is_counted_and_one_that_is_back_is_used(
    tmp_path: Path, drops: Drops
) -> None:
    folder = tmp_path / "spool"
    writer = SpoolWriter(folder, worker=0, on_drop=drops, flush_interval_s=0.01)
    writer.start()

    folder.rename(tmp_path / "elsewhere")
    folder.write_text("in its place")
    writer.put(receipt_line("a1"))
    drops.wait_for({"spool_error": 1})
    folder.unlink()
    writer.put(receipt_line("b2"))
    wait_for_segments(folder, 1)

    assert is_alive(folder, Writer(writer.incarnation, 0))
    writer.close()
    assert contents(folder) == [([a_receipt("b2")], [])]


def test_an_unwritable_folder_refuses_to_start(tmp_path: Path, drops: Drops) -> None:
    (tmp_path / "spool").write_text("not a folder")
    writer = SpoolWriter(tmp_path / "spool", worker=0, on_drop=drops)

    with pytest.raises(FileExistsError):
        writer.start()


def test_a_writer_is_alive_until_it_is_closed(tmp_path: Path, drops: Drops) -> None:
    writer = SpoolWriter(tmp_path, worker=3, on_drop=drops)
    name = Writer(writer.incarnation, 3)

    before = is_alive(tmp_path, name)
    writer.start()
    meanwhile = is_alive(tmp_path, name)
    writer.close()

    assert (before, meanwhile, is_alive(tmp_path, name)) == (None, True, False)


def test_later_incarnations_sort_behind_earlier_ones(tmp_path: Path, drops: Drops) -> None:
    writers = [SpoolWriter(tmp_path, worker=0, on_drop=drops) for _ in range(3)]

    incarnations = [writer.incarnation for writer in writers]

    assert incarnations == sorted(set(incarnations))
