"""Spool segments: whatever a disk hands back is entered, parked or quarantined, and never raises.

An input is the content of one segment's file.
"""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import encoded
from tests.gateway.telemetry.samples import a_denial, a_receipt

from fuzz.draw import Draw
from fuzz.target import Target
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.books.page import Page, read_page
from spanmeter_gateway.metering.prices import PriceBook
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.spool.read import Segment, adopt_part, ready_segments
from spanmeter_gateway.spool.segment import (
    PART,
    READY,
    SegmentName,
    without_checksum,
)

NAME = SegmentName("0aa1", 0, 1)


def check(raw: bytes) -> None:
    """Read one file as a segment, and as what a dead relay left of one."""
    draw = Draw(raw)
    is_part = bool(draw.number(1))
    page = _read(_left_by_the_dead(draw.rest) if is_part else draw.rest)

    assert page.result in ("entered", "parked", "quarantined")
    if page.result == "entered":
        receipts = [receipt for receipt, _ in page.entries]
        assert all(isinstance(receipt, Receipt) for receipt in receipts)
        lines = [msgspec.json.encode(line) for line in (*page.opened, *receipts)]
        again = _read(encoded(NAME, lines, written=page.written))
        assert again.result == "entered"
        assert [receipt for receipt, _ in again.entries] == receipts
        assert (again.opened, again.written) == (page.opened, page.written)
    else:
        assert (page.entries, page.opened) == ((), ())


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="spanmeter-fuzz-")


@cache
def _prices() -> PriceBook:
    return PriceBook()


def _read(content: bytes) -> Page:
    path = Path(_folder().name) / f"{NAME}{READY}"
    path.write_bytes(content)
    return read_page(Segment(NAME, path, len(content), 0), _bill)


def _bill(receipt: Receipt) -> Bill:
    return _prices().bill(receipt)


def _left_by_the_dead(content: bytes) -> bytes:
    folder = Path(_folder().name) / "dead"
    folder.mkdir(exist_ok=True)
    part = folder / f"{NAME}{PART}"
    part.write_bytes(content)
    adopt_part(folder, NAME)
    left = [segment.path.read_bytes() for segment in ready_segments(folder)]
    for path in folder.iterdir():
        path.unlink()
    assert len(left) == (b"\n" in content)
    whole = without_checksum(content)
    assert all(whole.startswith(one) and one.endswith(b"\n") for one in left)
    return left[0] if left else b""


def _seeds() -> Iterator[bytes]:
    lines = [msgspec.json.encode(a_receipt()), msgspec.json.encode(a_denial())]
    # Most without their checksums, or no change of a line would get any further.
    yield b"\0" + encoded(NAME, lines, written=2)
    yield b"\0" + without_checksum(encoded(NAME, lines, written=2))
    opened = encoded(NAME, [open_line("a1"), receipt_line("a1")])
    yield b"\0" + without_checksum(opened)
    yield b"\1" + encoded(NAME, [receipt_line("a1")])[:-9]
    yield b'\0{"format":2,"shape":"unheard of"}\n'
    yield b"\0"


TARGET = Target(
    name="segments",
    check=check,
    seeds=_seeds,
    words=(
        *(
            b'"type":"receipt"',
            b'"type":"open"',
            b'"type":"segment"',
            b'"format":2',
            b"\n{",
            b"}\n",
        ),
        *(b'"usage":{"input_tokens":-1}', b'"duration_ns":-1', b"9" * 30, b'"reported_cost_usd":'),
        *(b'"tags":[["a","b"]]', b'"violations":', b'"chunk_times":[1]', b"\\ud83d", b"\xff"),
    ),
)
