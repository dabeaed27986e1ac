"""A page: one segment as the books take it, read and billed, or found unfit to be entered."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.books.ports import BillReceipt, Entry
from spanmeter_gateway.receipt import OpenCall, Receipt
from spanmeter_gateway.spool.read import CorruptSegment, NewerSegment, Segment, read_segment

_log = logging.getLogger(__name__)

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
    entries = [(receipt, _billed(receipt, bill)) for receipt in receipts]
    return Page(segment, "entered", entries, opened)


def _billed(receipt: Receipt, bill: BillReceipt) -> Bill:
    try:
        return bill(receipt)
    except Exception as error:  # noqa: BLE001 - one odd receipt must not stop the books for good
        _log.error("a receipt could not be billed: %s", type(error).__name__)
        return Bill(unpriced="billing_failed")
