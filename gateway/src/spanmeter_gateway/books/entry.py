"""The books: every receipt of the spool is entered exactly once, whatever ends this process.

One turn takes some segments and commits, in one transaction, the counters that they changed
together with their names. From then on a segment waits only for its spans; when those are settled
its file is deleted, and after that its name forgotten. A restart finds each segment in one of four
states: not committed (entered now), committed (its spans are offered again), file gone (name
forgotten), name forgotten.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spanmeter_gateway.board import DROPPED_FIELDS, REFUSED_FIELDS, RELOAD_NOTICES, Board
from spanmeter_gateway.books.counters import Batch, Counters, CountersUnavailable, Saved
from spanmeter_gateway.books.guard import Guard
from spanmeter_gateway.books.lag import LATE_NS, Lag
from spanmeter_gateway.books.lost import OpenCalls, lost_name, write_lost
from spanmeter_gateway.books.page import Page, read_page
from spanmeter_gateway.books.ports import BillReceipt, MetricExport, Registry, SpanExport
from spanmeter_gateway.books.reconciliation import SEGMENT_LOST, Reconciliation, Written
from spanmeter_gateway.books.totals import BoardTotals, ResultTotals, SpanTotals
from spanmeter_gateway.books.writers import UNSIGNED_S, Writers
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.spool.read import (
    PARKED,
    QUARANTINE,
    Listing,
    Segment,
    adopt_part,
    list_spool,
    move_aside,
    release_parked,
)
from spanmeter_gateway.spool.segment import ALIVE, LOST_SEQUENCE, READY, SegmentName, Writer
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import SeriesRow

ENTRY_FAILED = "entry_failed"
"""Why a receipt is dropped that the registry cannot take."""
_WARN_INTERVAL_S = 60.0
_HEALTH = (
    names.RECEIPTS_ENTERED, names.RECEIPTS_LATE, names.RELAY_LOST, names.COMMIT_FAILURES,
)  # fmt: skip
_ASIDE = {"parked": PARKED, "quarantined": QUARANTINE}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much one turn takes, and what not every turn does."""

    max_segments: int = 64
    max_bytes: int = 8 << 20
    retry_interval_s: float = 1.0
    """After a commit that failed."""
    reconcile_interval_s: float = 5.0
    """A walk over every series of calls: some ms for 50,000."""
    unsigned_s: float = UNSIGNED_S


PACE = Pace()


class Books:
    """Enter segments until none is left. Used by one thread, but for `lock`.

    `lock` is held while the registry differs from what is committed: who prints the registry holds
    it too, so that nothing is ever printed that a crash could take back.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bill: BillReceipt,
        registry: Registry,
        span_export: SpanExport,
        metric_export: MetricExport | None = None,
        counters: Counters,
        board: Board,
        lock: AbstractContextManager[object] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        pace: Pace = PACE,
    ) -> None:
        """Take up where the last commit ended; raises `OSError` and `StartError`."""
        self.lock = lock or threading.Lock()
        self._folder = folder
        self._bill = bill
        self._registry = registry
        self._counters = counters
        self._clock_ns = clock_ns
        self._pace = pace
        folder.mkdir(parents=True, exist_ok=True)
        release_parked(folder)
        saved = self._restore_first()
        self._recorded = saved.segments
        self._open_calls = OpenCalls(saved.open_calls)
        self._writers = Writers(folder, unsigned_s=pace.unsigned_s)
        self._lag = Lag()
        self._totals = BoardTotals(board, saved.marks)
        self._span_totals = SpanTotals(span_export)
        counts = metric_export.counts if metric_export else dict
        self._metric_totals = ResultTotals(names.METRIC_EXPORTS, counts)
        self._written = Written(saved, now_ns=clock_ns())
        self._reconciliation = Reconciliation(
            registry, self._written, self._span_totals, interval_s=pace.reconcile_interval_s
        )
        self._queue: deque[Segment] = deque()
        self._offered: set[str] = set()
        self._settled: set[str] = set()
        self._forgotten: list[str] = []
        self._failures = 0
        self._is_stale = False
        self._retry_at = 0.0
        self._warn_at = 0.0

    def enter_ready(self) -> int:
        """Take one batch of ready segments, and return how many: 0 when there is nothing to do.

        Also 0 while the counters cannot be committed; what was taken then stays in the spool.
        """
        if time.monotonic() < self._retry_at:
            return 0
        self._sweep()
        if not self._queue:
            self._survey()
        lag_s = self._lag.highest(self._lag_s(), now_s=time.monotonic())
        pages = self._read_batch()
        with self.lock:
            is_entered = self._enter(pages)
            self._registry.set_gauge(names.BOOKS_LAG.prometheus_name, (), lag_s)
            self._totals.show(self._registry)
            self._span_totals.show(self._registry)
            if is_entered:
                self._reconciliation.show()
        if not is_entered:
            self._queue.extendleft(page.segment for page in reversed(pages))
            return 0
        for page in pages:
            self._pass_on(page)
        return len(pages)

    def close(self) -> None:
        """Delete what was settled meanwhile, commit the last totals and release the counters."""
        self._sweep()
        with self.lock:
            self._enter(())
        self._counters.close()

    def _survey(self) -> None:
        """List the work: segments that are new, and names of segments that are gone."""
        try:
            listing = self._look()
        except OSError as error:
            self._warn("spool: cannot look into the folder (%s)", error.strerror)
            return
        present = {str(segment.name) for segment in listing.segments}
        self._forgotten = [name for name in self._recorded if name not in present]
        self._queue.extend(
            segment for segment in listing.segments if str(segment.name) not in self._offered
        )

    def _look(self) -> Listing:
        listing = list_spool(self._folder)
        dead = self._dead_writers(listing)
        if not dead:
            return listing
        # Death is established before the list is made: it has all that they ever wrote.
        parts = [part for part in listing.parts if part.writer in dead]
        untidy = {part.writer for part in parts if not self._adopt(part)}
        self._bury(dead - untidy)
        return list_spool(self._folder)

    def _dead_writers(self, listing: Listing) -> set[Writer]:
        writers = {*listing.alive, *self._open_calls.writers()}
        writers.update(part.writer for part in listing.parts)
        return self._writers.dead(writers)

    def _adopt(self, part: SegmentName) -> bool:
        try:
            adopt_part(self._folder, part)
        except OSError as error:
            self._warn("spool: cannot settle a dead relay (%s)", error.strerror)
            return False
        return True

    def _bury(self, dead: Iterable[Writer]) -> None:
        """End the calls of relays that are dead and whose every segment is entered."""
        listing = list_spool(self._folder)
        waiting = {
            segment.name.writer
            for segment in listing.segments
            if str(segment.name) not in self._recorded
        }
        for writer in set(dead) - waiting:
            last_seen_ns = listing.alive.get(writer, self._clock_ns())
            try:
                self._bury_one(writer, last_seen_ns)
            except OSError as error:
                self._warn("spool: cannot settle a dead relay (%s)", error.strerror)
            except msgspec.DecodeError:
                self._warn("books: cannot settle a dead relay (%s)", "its open calls are damaged")

    def _bury_one(self, writer: Writer, last_seen_ns: int) -> None:
        rows = self._open_calls.of(writer)
        if rows and str(lost_name(writer)) not in self._recorded:
            write_lost(self._folder, writer, rows=rows, last_seen_ns=last_seen_ns)
        elif not rows and not self._written.retire(writer):
            (self._folder / f"{writer}{ALIVE}").unlink(missing_ok=True)

    def _lag_s(self) -> float:
        for segment in self._queue:
            if str(segment.name) not in self._recorded:
                return max(0.0, (self._clock_ns() - segment.written_at_ns) / 1e9)
        return 0.0

    def _read_batch(self) -> list[Page]:
        pages: list[Page] = []
        size = 0
        while self._queue and len(pages) < self._pace.max_segments:
            segment = self._queue[0]
            size += segment.size_bytes
            if pages and size > self._pace.max_bytes:
                break
            self._queue.popleft()
            try:
                pages.append(read_page(segment, self._bill))
            except FileNotFoundError:
                continue  # somebody removed it
            except OSError as error:
                self._warn("spool: cannot read a segment (%s)", error.strerror)
        return pages

    def _enter(self, pages: Sequence[Page]) -> bool:
        """Bring registry and counters from one committed state to the next, or back to the last."""
        if self._is_stale and not self._rebuild():
            return False
        batch = Batch(forgotten=self._forgotten, retired=self._written.retired())
        for page in pages:
            # A segment that was parked by an older version is new to us.
            if self._recorded.get(page.name) != page.result:
                self._enter_page(page, batch)
        batch.marks = self._totals.enter(self._registry)
        self._span_totals.enter(self._registry)
        self._metric_totals.enter(self._registry)
        batch.rows = self._registry.changed()
        if batch.is_empty():
            return True
        try:
            self._counters.commit(batch)
        except CountersUnavailable as error:
            self._failures += 1
            self._is_stale = True
            self._warn("books: cannot commit (%s); will try again", error)
            self._rebuild()
            return False
        self._apply(batch)
        return True

    def _enter_page(self, page: Page, batch: Batch) -> None:
        add = self._registry.add
        batch.entered[page.name] = page.result
        lost = self._written.note(batch, page)
        if lost:
            add(names.RECEIPTS_DROPPED.prometheus_name, (SEGMENT_LOST,), lost)
        add(names.SEGMENTS.prometheus_name, (page.result,), 1)
        self._open_calls.note(batch, page.segment.name, page.opened)
        guard = Guard("entered")
        for receipt, bill in page.entries:
            with guard:
                self._registry.enter(receipt, bill)
            self._open_calls.end(batch, receipt.call_id)
        if guard.faults:
            add(names.RECEIPTS_DROPPED.prometheus_name, (ENTRY_FAILED,), guard.faults)
        if page.entries:
            add(names.RECEIPTS_ENTERED.prometheus_name, (), len(page.entries))
            late_ns = self._clock_ns() - LATE_NS
            ends_ns = [receipt.started_at_ns + receipt.duration_ns for receipt, _ in page.entries]
            add(names.RECEIPTS_LATE.prometheus_name, (), sum(end < late_ns for end in ends_ns))
        if page.segment.name.sequence == LOST_SEQUENCE:
            add(names.RELAY_LOST.prometheus_name, (), len(page.entries))

    def _apply(self, batch: Batch) -> None:
        self._registry.mark_saved()
        self._recorded.update(batch.entered)
        for name in batch.forgotten:
            del self._recorded[name]
        self._forgotten = []
        self._open_calls.apply(batch)
        self._written.apply(batch)
        self._totals.apply(batch.marks)
        self._span_totals.apply()
        self._metric_totals.apply()
        self._failures = 0

    def _rebuild(self) -> bool:
        """Bring the registry back to the last commit, and count the commits that failed since."""
        self._retry_at = time.monotonic() + self._pace.retry_interval_s
        try:
            saved = self._counters.restore()
        except CountersUnavailable:
            return False
        self._restore(saved.rows)
        self._registry.add(names.COMMIT_FAILURES.prometheus_name, (), self._failures)
        self._is_stale = False
        return True

    def _restore_first(self) -> Saved:
        try:
            saved = self._counters.restore()
            self._restore(saved.rows)
        except (CountersUnavailable, msgspec.DecodeError, ValueError, KeyError) as error:
            path = self._counters.path
            raise StartError(
                f"{path}: {type(error).__name__}; move it away, and the counters start from 0 again"
            ) from error
        return saved

    def _restore(self, rows: Iterable[SeriesRow]) -> None:
        """Set the registry to what is committed; what watches over us is there from the start.

        A health counter that is missing until something goes wrong cannot be alerted on.
        """
        self._registry.restore(rows)
        for reason in (*DROPPED_FIELDS, ENTRY_FAILED, SEGMENT_LOST):
            self._registry.add(names.RECEIPTS_DROPPED.prometheus_name, (reason,), 0)
        for result in ("entered", *_ASIDE):
            self._registry.add(names.SEGMENTS.prometheus_name, (result,), 0)
        for reason in REFUSED_FIELDS:
            self._registry.add(names.CONNECTIONS_REFUSED.prometheus_name, (reason,), 0)
        for result in RELOAD_NOTICES:
            self._registry.add(names.CONFIG_RELOADS.prometheus_name, (result,), 0)
        for health in _HEALTH:
            self._registry.add(health.prometheus_name, (), 0)

    def _pass_on(self, page: Page) -> None:
        """Hand a committed segment to whoever comes next."""
        if page.result != "entered":
            try:
                move_aside(page.segment, _ASIDE[page.result])
            except OSError as error:
                self._warn("spool: cannot move a segment aside (%s)", error.strerror)
            return
        self._offered.add(page.name)
        if not page.entries or not self._span_totals.offer(page.name, page.entries):
            self._settled.add(page.name)

    def _sweep(self) -> None:
        """Delete the segments with which everybody is done."""
        self._settled.update(self._span_totals.settled())
        for name in tuple(self._settled):
            try:
                (self._folder / f"{name}{READY}").unlink(missing_ok=True)
            except OSError as error:
                self._warn("spool: cannot delete a segment (%s)", error.strerror)
                continue
            self._settled.remove(name)
            self._offered.discard(name)

    def _warn(self, message: str, cause: object) -> None:
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_INTERVAL_S
            _log.warning(message, cause)
