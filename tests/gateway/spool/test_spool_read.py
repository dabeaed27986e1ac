import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest
from tests.gateway.spool.receipts import a_receipt, open_line, receipt_line
from tests.gateway.spool.segments import INCARNATION, encoded, lay, lay_newer, tear

from spanmeter_gateway.receipt import OpenCall
from spanmeter_gateway.spool.read import (
    CorruptSegment,
    NewerSegment,
    adopt_part,
    is_alive,
    list_spool,
    move_aside,
    read_segment,
    ready_segments,
    release_parked,
)
from spanmeter_gateway.spool.segment import SegmentName, Writer, without_checksum

ROOT = Path(__file__).parents[3]


def names(folder: Path) -> list[tuple[str, int, int]]:
    return [tuple(segment.name) for segment in ready_segments(folder)]


def test_receipts_and_open_calls_are_read_back_as_written(tmp_path: Path) -> None:
    tags = (("env", "prod"), ("env", "eu"))
    lay(tmp_path, [open_line("a1"), receipt_line("b2", tags=tags)], written=9)

    read = read_segment(ready_segments(tmp_path)[0])

    assert read == ([a_receipt("b2", tags=tags)], [OpenCall(receipt=a_receipt("a1"))], 9)


def test_a_segment_of_nothing_but_a_header_is_whole(tmp_path: Path) -> None:
    lay(tmp_path)

    assert read_segment(ready_segments(tmp_path)[0]) == ([], [], None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"not json\n",
        bytes(200),
        b'{"type":"segment","format":1}\n',
        receipt_line("a1") + b"\n",
        encoded(SegmentName(INCARNATION, 0, 2), [receipt_line("a1")]),
        encoded(SegmentName(INCARNATION, 0, 1), [receipt_line("a1")])[:-1],
        encoded(SegmentName(INCARNATION, 0, 1), [receipt_line("a1")])[:-9] + b"\n",
        encoded(SegmentName(INCARNATION, 0, 1), [b'{"type":"unknown"}']),
        encoded(SegmentName(INCARNATION, 0, 1), [b'{"type":"receipt","call_id":1}']),
        encoded(SegmentName(INCARNATION, 0, 1), [b"\xff\xfe"]),
        encoded(SegmentName(INCARNATION, 0, 1), []) * 2,
    ],
    ids=[
        "empty", "blank", "prose", "zeros", "half a header", "no header", "of another name",
        "no last newline", "torn line", "unknown type", "wrong field", "not UTF-8", "two headers",
    ],
)  # fmt: skip
def test_a_segment_that_is_not_what_it_should_be_is_corrupt(tmp_path: Path, content: bytes) -> None:
    lay(tmp_path).write_bytes(content)

    with pytest.raises(CorruptSegment):
        read_segment(ready_segments(tmp_path)[0])


def test_a_torn_segment_still_tells_what_its_writer_had_written(tmp_path: Path) -> None:
    tear(lay(tmp_path, [receipt_line("a1")], written=9))

    with pytest.raises(CorruptSegment) as caught:
        read_segment(ready_segments(tmp_path)[0])

    assert caught.value.written == 9


def test_a_header_of_before_receipts_were_counted_and_lines_summed_up_is_read(
    tmp_path: Path,
) -> None:
    path = lay(tmp_path, [receipt_line("a1")])
    header, lines = path.read_bytes().split(b"\n", 1)
    path.write_bytes(header[: header.index(b',"written"')] + b"}\n" + lines)

    assert read_segment(ready_segments(tmp_path)[0]) == ([a_receipt("a1")], [], None)


def test_lines_that_are_sound_but_not_those_that_were_written_are_corrupt(tmp_path: Path) -> None:
    path = lay(tmp_path, [receipt_line("a1"), receipt_line("b2")], written=9)
    path.write_bytes(path.read_bytes().replace(b'"duration_ns":1000', b'"duration_ns":3000', 1))

    with pytest.raises(CorruptSegment) as caught:
        read_segment(ready_segments(tmp_path)[0])

    assert caught.value.written == 9


def test_a_header_without_its_checksum_is_as_long_as_before_and_is_read(tmp_path: Path) -> None:
    path = lay(tmp_path, [receipt_line("a1")])
    content = path.read_bytes()

    mended = without_checksum(content).replace(b'"duration_ns":1000', b'"duration_ns":3000')
    path.write_bytes(mended)

    assert len(mended) == len(content)
    assert read_segment(ready_segments(tmp_path)[0]).receipts[0].duration_ns == 3000


def test_a_corrupt_segment_is_not_quoted(tmp_path: Path) -> None:
    lay(tmp_path, [b'{"type":"receipt","call_id":"sk-secret"}'])

    with pytest.raises(CorruptSegment) as caught:
        read_segment(ready_segments(tmp_path)[0])

    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_a_newer_format_is_told_from_a_corrupt_one_whatever_its_shape(tmp_path: Path) -> None:
    lay_newer(tmp_path)

    with pytest.raises(NewerSegment):
        read_segment(ready_segments(tmp_path)[0])


def test_unknown_fields_of_the_same_format_are_ignored(tmp_path: Path) -> None:
    lay(tmp_path, [receipt_line("a1")[:-1] + b',"of_tomorrow":1}'])

    assert read_segment(ready_segments(tmp_path)[0]) == ([a_receipt("a1")], [], None)


def test_segments_are_listed_by_age_and_those_of_a_writer_by_sequence(tmp_path: Path) -> None:
    lay(tmp_path, incarnation="0b", sequence=1, written_at_ns=200)
    lay(tmp_path, incarnation="0b", sequence=2, written_at_ns=100)  # its clock was set back
    lay(tmp_path, incarnation="0a", sequence=9, written_at_ns=150)
    lay(tmp_path, incarnation="0a", sequence=10, written_at_ns=300)

    assert names(tmp_path) == [("0a", 0, 9), ("0b", 0, 1), ("0b", 0, 2), ("0a", 0, 10)]


def test_a_segment_is_not_listed_before_one_that_is_older(tmp_path: Path) -> None:
    """What a change of the folder in the midst of reading it may show and hide."""
    lay(tmp_path, sequence=2)
    lay(tmp_path, incarnation="0b", sequence=5)

    def change_when_scanned(_frame: FrameType, event: str, called: object) -> None:
        # Between the first look and the second: one came late, another is younger than the look.
        if event == "c_call" and called is os.scandir:
            lay(tmp_path, sequence=1)
            lay(tmp_path, incarnation="0b", sequence=6)
            sys.setprofile(None)

    sys.setprofile(change_when_scanned)
    during = names(tmp_path)

    assert sorted(during) == [(INCARNATION, 0, 1), (INCARNATION, 0, 2), ("0b", 0, 5)]
    assert set(names(tmp_path)) - set(during) == {("0b", 0, 6)}


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    for foreign in ("notes.ndjson", "x-000-0000000001.ndjson", "0a-000.ndjson", "books.sqlite"):
        (tmp_path / foreign).write_text("")
    (tmp_path / "parked").mkdir()

    assert list_spool(tmp_path) == ([], [], {})


def test_parts_and_writers_are_listed_beside_the_segments(tmp_path: Path) -> None:
    part = lay(tmp_path).rename(tmp_path / "0a-001-0000000004.part")
    (tmp_path / "0a-001.alive").write_text("")

    listing = list_spool(tmp_path)

    assert listing.segments == []
    assert listing.parts == [SegmentName.parse(part.stem)]
    assert listing.alive == {Writer("0a", 1): (tmp_path / "0a-001.alive").stat().st_mtime_ns}


def test_a_part_of_a_dead_writer_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    torn = tear(lay(tmp_path, [receipt_line("a1"), receipt_line("b2")]))
    part = torn.rename(torn.with_suffix(".part"))

    adopt_part(tmp_path, list_spool(tmp_path).parts[0])

    assert not part.exists()
    assert read_segment(ready_segments(tmp_path)[0]) == ([a_receipt("a1")], [], None)


def test_a_part_without_a_whole_line_is_removed(tmp_path: Path) -> None:
    path = lay(tmp_path)
    tear(path).rename(path.with_suffix(".part"))

    adopt_part(tmp_path, list_spool(tmp_path).parts[0])

    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_moved_aside_under_its_name(tmp_path: Path) -> None:
    path = lay(tmp_path)

    move_aside(ready_segments(tmp_path)[0], "quarantine")

    assert [entry.name for entry in (tmp_path / "quarantine").iterdir()] == [path.name]
    assert names(tmp_path) == []


def test_of_the_parked_segments_those_that_can_be_read_now_are_released(tmp_path: Path) -> None:
    lay(tmp_path, [receipt_line("a1")], sequence=1)
    lay_newer(tmp_path, sequence=2)
    lay(tmp_path, sequence=3).write_bytes(b"broken\n")
    for segment in ready_segments(tmp_path):
        move_aside(segment, "parked")

    release_parked(tmp_path)

    assert names(tmp_path) == [(INCARNATION, 0, 1)]


def test_the_kernel_tells_that_a_killed_writer_is_dead(tmp_path: Path) -> None:
    script = """
import pathlib, sys, time
from spanmeter_gateway.spool.append import SpoolWriter
writer = SpoolWriter(pathlib.Path(sys.argv[1]), worker=4, on_drop=print)
writer.start()
print(writer.incarnation, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        writer = Writer(process.stdout.readline().strip(), 4)
        before = is_alive(tmp_path, writer)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert (before, is_alive(tmp_path, writer)) == (True, False)
