"""Reconciliation: what two sides counted independently of each other must be equal.

Three pairs are compared for as long as the books run. A difference is 0 unless something was
dropped on the way, which another counter names; a difference that none names is a fault of ours.
"""

import time

from spanmeter_gateway.books.counters import Batch, Saved, WriterRow
from spanmeter_gateway.books.page import Page
from spanmeter_gateway.books.ports import Registry
from spanmeter_gateway.books.totals import SpanTotals
from spanmeter_gateway.spool.segment import Writer
from spanmeter_gateway.telemetry import names

RECEIPTS_CALLS = "receipts_calls"
RECEIPTS_SPANS = "receipts_spans"
WRITTEN_ENTERED = "written_entered"
SEGMENT_LOST = "segment_lost"
"""Why a receipt is dropped that was written, and never came in a segment that can be read."""


class Written:
    """How many receipts each relay says that it wrote, and how many of them were entered.

    The relay's total stands in the header of each segment, so what is missing between two of them
    is known exactly, and what comes late is recognised. Of a relay that is dead nothing is kept
    once all that it wrote is entered.
    """

    def __init__(self, saved: Saved, *, now_ns: int) -> None:
        self._rows = {row.writer: row for row in saved.writers}
        self._began_at_ns = min((row.created_at_ns for row in saved.rows), default=now_ns)
        self._retired: set[Writer] = set()

    def note(self, batch: Batch, page: Page) -> int:
        """Put a segment into a batch, and return how many receipts it shows to be lost."""
        writer = page.segment.name.writer
        row = batch.writers.get(writer) or self._rows.get(writer) or self._first(page)
        if page.result == "parked":
            # By then the next segment shows a gap; but these receipts are kept, and not lost.
            batch.writers[writer] = row._replace(has_parked=True)
            return 0
        if page.written is None:
            return 0  # nobody counted: a header that is torn, an older relay, or ourselves (lost)
        written = max(row.written, page.written)
        gap = written - row.written - len(page.entries)
        batch.writers[writer] = row._replace(
            written=written, entered=row.entered + len(page.entries)
        )
        return 0 if row.has_parked else max(0, gap)

    def _first(self, page: Page) -> WriterRow:
        """Begin with a writer: at 0, or where the books begin when it was there before them."""
        name = page.segment.name
        began = 0
        is_first = name.sequence == 1 or not name.writer.is_older_than(self._began_at_ns)
        if page.written is not None and not is_first:
            began = page.written - len(page.entries)
        return WriterRow(*name.writer, written=began, entered=began, has_parked=False)

    def retire(self, writer: Writer) -> bool:
        """Forget a dead writer with the next commit; say whether that is still to come."""
        row = self._rows.get(writer)
        if row is None or row.written != row.entered or row.has_parked:
            return False
        self._retired.add(writer)
        return True

    def retired(self) -> set[Writer]:
        """Name the writers to be forgotten."""
        return self._retired.copy()

    def apply(self, batch: Batch) -> None:
        """Take over what was committed."""
        self._rows.update(batch.writers)
        for writer in batch.retired:
            del self._rows[writer]
        self._retired -= batch.retired

    def difference(self) -> int:
        """Count the receipts that were written and are not entered."""
        return sum(row.written - row.entered for row in self._rows.values())


class Reconciliation:
    """The three differences as gauges; `interval_s` spaces out what costs a walk over series."""

    def __init__(
        self,
        registry: Registry,
        written: Written,
        spans: SpanTotals,
        *,
        interval_s: float,
    ) -> None:
        self._registry = registry
        self._written = written
        self._spans = spans
        self._interval_s = interval_s
        self._walk_at = 0.0

    def show(self) -> None:
        """Set the gauges; only while the registry is as it was committed."""
        self._set(WRITTEN_ENTERED, self._written.difference())
        self._set(RECEIPTS_SPANS, self._spans.difference())
        now = time.monotonic()
        if now >= self._walk_at:
            self._walk_at = now + self._interval_s
            total = self._registry.total
            counted = total(names.CALLS.prometheus_name) + total(names.PASSTHROUGH.prometheus_name)
            self._set(RECEIPTS_CALLS, total(names.RECEIPTS_ENTERED.prometheus_name) - counted)

    def _set(self, pair: str, difference: int) -> None:
        self._registry.set_gauge(names.RECONCILIATION.prometheus_name, (pair,), difference)
