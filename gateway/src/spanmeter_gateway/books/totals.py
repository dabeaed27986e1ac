"""Totals that others keep, in the registry: the relays' on the board, and the span export's."""

from collections.abc import Mapping

from spanmeter_gateway.board import DROPPED_FIELDS, Board, Field
from spanmeter_gateway.books.counters import MarkKey
from spanmeter_gateway.books.ports import Registry, SpanExport
from spanmeter_gateway.telemetry import names


class BoardTotals:
    """Enter what was added to the board since the last commit; a new board starts from 0."""

    def __init__(self, board: Board, marks: Mapping[MarkKey, int]) -> None:
        self._board = board
        self._marks = dict(marks)

    def enter(self, registry: Registry) -> dict[MarkKey, int]:
        """Count the growth of each total, and return the marks to commit with it."""
        grown: dict[MarkKey, int] = {}
        for worker in range(self._board.workers):
            for reason, field in DROPPED_FIELDS.items():
                key = MarkKey(self._board.identity, worker, reason)
                total = self._board.column(worker).get(field)
                growth = total - self._marks.get(key, 0)
                if growth > 0:
                    registry.add(names.RECEIPTS_DROPPED.prometheus_name, (reason,), growth)
                    grown[key] = total
        return grown

    def apply(self, marks: Mapping[MarkKey, int]) -> None:
        """Take over what was committed."""
        self._marks.update(marks)

    def show(self, registry: Registry) -> None:
        """Set the gauges."""
        in_flight = self._board.total(Field.CALLS_IN_FLIGHT)
        registry.set_gauge(names.CALLS_IN_FLIGHT.prometheus_name, (), in_flight)


class SpanTotals:
    """Enter what the span export counted since the last commit; it starts from 0 with us."""

    def __init__(self, span_export: SpanExport) -> None:
        self._span_export = span_export
        self._committed: Mapping[str, int] = {}
        self._entered: Mapping[str, int] = {}

    def enter(self, registry: Registry) -> None:
        """Count the growth of each total."""
        self._entered = self._span_export.counts()
        for result, total in self._entered.items():
            growth = total - self._committed.get(result, 0)
            if growth:
                registry.add(names.SPANS.prometheus_name, (result,), growth)

    def apply(self) -> None:
        """Take over what was committed."""
        self._committed = self._entered
