"""The board's totals in the registry: what relays dropped, and what they have in hand."""

from collections.abc import Mapping

from spanmeter_gateway.board import DROPPED_FIELDS, Board, Field
from spanmeter_gateway.books.counters import MarkKey
from spanmeter_gateway.books.ports import Registry
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
                    labels = {names.REASON: reason}
                    registry.add(names.RECEIPTS_DROPPED.prometheus_name, labels, growth)
                    grown[key] = total
        return grown

    def apply(self, marks: Mapping[MarkKey, int]) -> None:
        """Take over what was committed."""
        self._marks.update(marks)

    def show(self, registry: Registry) -> None:
        """Set the gauges."""
        in_flight = self._board.total(Field.CALLS_IN_FLIGHT)
        registry.set_gauge(names.CALLS_IN_FLIGHT.prometheus_name, {}, in_flight)
