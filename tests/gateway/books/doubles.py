"""A registry and a span export that keep the protocols of books/ports.py to the letter."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.books.ports import Entry
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry.registry import SeriesRow

NANOS_A_CALL = 7


def flat_bill(_receipt: Receipt) -> Bill:
    """Charge the same for every call."""
    return Bill(cost_nanos=(ClassAmount("total", NANOS_A_CALL),), source="local")


class PlainRegistry:
    """Counts calls by outcome, costs, and whatever is added."""

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.gauges: dict[str, float] = {}
        self.receipts: list[Receipt] = []
        self._changed: set[tuple[str, tuple[str, ...]]] = set()

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        self.add("calls", (receipt.outcome, receipt.error_type or ""), 1)
        self.add("cost", (receipt.feature,), bill.total_nanos)
        self.receipts.append(receipt)

    def add(self, name: str, labels: Sequence[str], amount: int) -> None:
        series = (name, tuple(labels))
        self.totals[series] += amount
        self._changed.add(series)

    def total(self, name: str) -> int:
        name = {"spanmeter_calls_total": "calls"}.get(name, name)
        return sum(total for (metric, _), total in self.totals.items() if metric == name)

    def set_gauge(self, name: str, labels: Sequence[str], value: float) -> None:
        self.gauges[" ".join((name, *labels))] = value

    def differences(self) -> dict[str, float]:
        """Give what the reconciliation shows, by pair."""
        name = "spanmeter_reconciliation_difference "
        return {
            series.removeprefix(name): value
            for series, value in self.gauges.items()
            if series.startswith(name)
        }

    def changed(self) -> list[SeriesRow]:
        return [
            SeriesRow(name, json.dumps(labels), json.dumps(self.totals[name, labels]), 1)
            for name, labels in sorted(self._changed)
        ]

    def mark_saved(self) -> None:
        self._changed.clear()

    def restore(self, rows: Iterable[SeriesRow]) -> None:
        self._changed.clear()
        self.totals.clear()
        for row in rows:
            self.totals[row.metric, tuple(json.loads(row.labels))] = json.loads(row.values)

    def read(self) -> dict[str, int]:
        """Give every total that is not 0 as `name label label`."""
        return {
            " ".join((name, *labels)): total
            for (name, labels), total in self.totals.items()
            if total
        }


class PlainSpans:
    """Remembers what was offered; settles it at once, or when told to."""

    def __init__(self, *, settles: bool = True) -> None:
        self.offered: list[tuple[str, list[str]]] = []
        self.settles = settles
        self.sent: Mapping[str, int] = {}
        self.closed = threading.Event()
        self._unsettled: list[str] = []

    def offer(self, segment: str, entries: Sequence[Entry]) -> None:
        self.offered.append((segment, [receipt.call_id for receipt, _ in entries]))
        self._unsettled.append(segment)

    def settled(self) -> list[str]:
        if not self.settles:
            return []
        settled, self._unsettled = self._unsettled, []
        return settled

    def counts(self) -> Mapping[str, int]:
        return self.sent

    def held(self) -> int:
        return len(self.call_ids())

    def queue(self) -> tuple[int, int] | None:
        return None

    def close(self, timeout_s: float) -> None:
        self.settles = True
        self.closed.set()

    def call_ids(self) -> list[str]:
        """Give every call whose spans were offered, as often as they were."""
        return [call_id for _, call_ids in self.offered for call_id in call_ids]
