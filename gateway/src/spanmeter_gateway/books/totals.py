"""Totals that others keep, in the registry: the relays' on the board, and the span export's."""

from collections.abc import Callable, Mapping, Sequence

from spanmeter_gateway.board import (
    DROPPED_FIELDS,
    REFUSED_FIELDS,
    RELOAD_NOTICES,
    Board,
    Field,
    Notice,
)
from spanmeter_gateway.books.counters import MarkKey
from spanmeter_gateway.books.guard import Guard
from spanmeter_gateway.books.ports import Entry, Registry, SpanExport
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names

_SUPERVISOR = -1
"""In the place of a worker: what the board's header counts."""
_COUNTED_BY_RELAYS = (
    *((names.RECEIPTS_DROPPED, reason, field) for reason, field in DROPPED_FIELDS.items()),
    *((names.CONNECTIONS_REFUSED, reason, field) for reason, field in REFUSED_FIELDS.items()),
)


class BoardTotals:
    """Enter what was added to the board since the last commit; a new board starts from 0."""

    def __init__(self, board: Board, marks: Mapping[MarkKey, int]) -> None:
        self._board = board
        self._marks = dict(marks)

    def enter(self, registry: Registry) -> dict[MarkKey, int]:
        """Count the growth of each total, and return the marks to commit with it."""
        grown: dict[MarkKey, int] = {}
        for worker in range(self._board.workers):
            for metric, reason, field in _COUNTED_BY_RELAYS:
                key = MarkKey(self._board.identity, worker, reason)
                total = self._board.column(worker).get(field)
                growth = total - self._marks.get(key, 0)
                if growth > 0:
                    registry.add(metric.prometheus_name, (reason,), growth)
                    grown[key] = total
        for result, notice in RELOAD_NOTICES.items():
            key = MarkKey(self._board.identity, _SUPERVISOR, result)
            total = self._board.notice(notice)
            growth = total - self._marks.get(key, 0)
            if growth > 0:
                registry.add(names.CONFIG_RELOADS.prometheus_name, (result,), growth)
                grown[key] = total
        return grown

    def apply(self, marks: Mapping[MarkKey, int]) -> None:
        """Take over what was committed."""
        self._marks.update(marks)

    def show(self, registry: Registry) -> None:
        """Set the gauges."""
        in_flight = self._board.total(Field.CALLS_IN_FLIGHT)
        registry.set_gauge(names.REQUESTS_ACTIVE.prometheus_name, (), in_flight)
        generation = self._board.notice(Notice.GENERATION)
        registry.set_gauge(names.CONFIG_GENERATION.prometheus_name, (), generation)
        last = self._board.notice(Notice.LAST_RELOAD_OK)
        registry.set_gauge(names.LAST_RELOAD_OK.prometheus_name, (), last)


class ResultTotals:
    """Enter what an export counted by result since the last commit; it starts from 0 with us."""

    def __init__(self, metric: names.Metric, counts: Callable[[], Mapping[str, int]]) -> None:
        self._metric = metric
        self._counts = counts
        self._committed: Mapping[str, int] = {}
        self._entered: Mapping[str, int] = {}

    def enter(self, registry: Registry) -> None:
        """Count the growth of each total; a result is there with 0 before it first happens."""
        self._entered = dict(self._counts())
        for result, total in self._entered.items():
            growth = total - self._committed.get(result, 0)
            if growth or result not in self._committed:
                registry.add(self._metric.prometheus_name, (result,), growth)

    def apply(self) -> None:
        """Take over what was committed."""
        self._committed = self._entered


class SpanTotals:
    """Enter what the span export counted, and show how full its queue is."""

    def __init__(self, span_export: SpanExport) -> None:
        self._span_export = span_export
        self._expected = 0
        self._unprintable = 0
        self._results = ResultTotals(names.SPANS, self._counts)

    def offer(self, segment: str, entries: Sequence[Entry]) -> bool:
        """Hand receipts to the export; false when their spans cannot be printed."""
        spans = sum(_spans_of(receipt) for receipt, _ in entries)
        self._expected += spans
        with Guard("printed as spans"):
            self._span_export.offer(segment, entries)
            return True
        self._unprintable += spans
        return False

    def settled(self) -> list[str]:
        """Name the segments whose spans are sent or given up since the last call."""
        return self._span_export.settled()

    def difference(self) -> int:
        """Count the spans that the receipts must have and that are neither sent nor waiting."""
        held = self._span_export.held()
        return 0 if held is None else self._expected - held

    def enter(self, registry: Registry) -> None:
        """Count the growth of each total."""
        self._results.enter(registry)

    def apply(self) -> None:
        """Take over what was committed."""
        self._results.apply()

    def show(self, registry: Registry) -> None:
        """Set the gauges; an export without a queue has none."""
        queue = self._span_export.queue()
        if queue is not None:
            size_bytes, capacity_bytes = queue
            registry.set_gauge(names.SPAN_QUEUE_SIZE.prometheus_name, (), size_bytes)
            registry.set_gauge(names.SPAN_QUEUE_CAPACITY.prometheus_name, (), capacity_bytes)

    def _counts(self) -> Mapping[str, int]:
        counts = dict(self._span_export.counts())
        if self._unprintable:
            counts["failed"] = counts.get("failed", 0) + self._unprintable
        return counts


def _spans_of(receipt: Receipt) -> int:
    return 1 + len(receipt.attempts) if receipt.trace.sampled else 0
