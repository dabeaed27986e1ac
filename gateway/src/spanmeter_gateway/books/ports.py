"""What the books ask of their neighbours: a registry of series, and an export of spans."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry.registry import SeriesRow

BillReceipt = Callable[[Receipt], Bill]
"""Price one receipt; never raises on a receipt that could be decoded."""

Entry = tuple[Receipt, Bill]


class Registry(Protocol):
    """The series of every metric; used under the books' lock only. Nothing here raises."""

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        """Count one receipt in every metric that it concerns."""

    def add(self, name: str, labels: Sequence[str], amount: int) -> None:
        """Count in one of the books' own counters, by its Prometheus name and label values."""

    def total(self, name: str) -> int:
        """Add up all series of a counter, by its Prometheus name."""

    def set_gauge(self, name: str, labels: Sequence[str], value: float) -> None:
        """Set a gauge, by its Prometheus name; gauges are not saved."""

    def changed(self) -> list[SeriesRow]:
        """List the series that differ from what was saved last."""

    def mark_saved(self) -> None:
        """Take note that everything `changed` gave is saved."""

    def restore(self, rows: Iterable[SeriesRow]) -> None:
        """Replace every series by what was saved.

        Called at the start, and again when a commit failed: then everything that was entered since
        the last `mark_saved` is gone, series that are not among `rows` included.
        """


class SpanExport(Protocol):
    """Where spans go. At least once: what was not settled before a crash is offered again."""

    def offer(self, segment: str, entries: Sequence[Entry]) -> None:
        """Take the receipts of a segment; never waits, drops and counts what is too much."""

    def settled(self) -> list[str]:
        """Name the offered segments that are finished since the last call: sent, or given up."""

    def counts(self) -> Mapping[str, int]:
        """Count the spans since the start by result: `sent`, `dropped`, `failed`."""

    def held(self) -> int | None:
        """Count the spans since the start that are sent or wait for it; `None`: none are wanted."""

    def queue(self) -> tuple[int, int] | None:
        """Return how many bytes wait and how many may; `None` where nothing waits."""

    def close(self, timeout_s: float) -> None:
        """Send what is left within the time; the rest stays unsettled, for the next start."""


class MetricExport(Protocol):
    """Where all metrics go now and then, besides `/metrics`."""

    def start(self) -> None:
        """Begin; the registry is restored."""

    def counts(self) -> Mapping[str, int]:
        """Count the exports since the start by result: `sent`, `failed`."""

    def close(self, timeout_s: float) -> None:
        """Export a last time, within the time."""
