"""A page: one segment as the books take it, read and billed, or found unfit to be entered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.books.guard import Guard
from spanmeter_gateway.books.ports import BillReceipt, Entry
from spanmeter_gateway.receipt import OpenCall, Receipt
from spanmeter_gateway.spool.read import CorruptSegment, NewerSegment, Segment, read_segment

Result = Literal["entered", "parked", "quarantined"]


@dataclass(frozen=True, slots=True)
class Page:
    """What one segment adds to the books."""

    segment: Segment
    result: Result
    entries: Sequence[Entry] = ()
    opened: Sequence[OpenCall] = ()
    written: int | None = None
    """`SegmentHeader.written`, as far as it could be read."""

    @property
    def name(self) -> str:
        """The key of the segment in the books."""
        return str(self.segment.name)


def read_page(segment: Segment, bill: BillReceipt) -> Page:
    """Read a segment and bill its receipts; raises `OSError`."""
    try:
        content = read_segment(segment)
    except NewerSegment:
        return Page(segment, "parked")
    except CorruptSegment as error:
        return Page(segment, "quarantined", written=error.written)
    entries = [(receipt, _billed(receipt, bill)) for receipt in content.receipts]
    return Page(segment, "entered", entries, content.opened, content.written)


def _billed(receipt: Receipt, bill: BillReceipt) -> Bill:
    with Guard("billed"):
        return bill(receipt)
    return Bill(unpriced="billing_failed")
