"""A page: one segment as the books take it, read and billed, or found unfit to be entered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spanmeter_gateway.books.ports import BillReceipt, Entry
from spanmeter_gateway.receipt import OpenCall
from spanmeter_gateway.spool.read import CorruptSegment, NewerSegment, Segment, read_segment

Result = Literal["entered", "parked", "quarantined"]


@dataclass(frozen=True, slots=True)
class Page:
    """What one segment adds to the books."""

    segment: Segment
    result: Result
    entries: Sequence[Entry] = ()
    opened: Sequence[OpenCall] = ()

    @property
    def name(self) -> str:
        """The key of the segment in the books."""
        return str(self.segment.name)


def read_page(segment: Segment, bill: BillReceipt) -> Page:
    """Read a segment and bill its receipts; raises `OSError`."""
    try:
        receipts, opened = read_segment(segment)
    except NewerSegment:
        return Page(segment, "parked")
    except CorruptSegment:
        return Page(segment, "quarantined")
    return Page(segment, "entered", [(receipt, bill(receipt)) for receipt in receipts], opened)
