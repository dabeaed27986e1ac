"""Every series that this gateway exposes: own aggregation in plain integers, saved and restored.

Sums are nanoseconds, tokens and nano-dollars, so no float accumulates and totals equal the
ledger's. It knows no database and no text format: books save its rows, `exposition` prints it. It
is not thread-safe: whoever holds it holds a lock around each call.

A new label set is exposed at 0 the first time it is collected, and at its value from then on, or
from when it is 60 s old: Prometheus' `increase()` cannot see a series that begins above 0. A series
that was restored has been seen before and is never new.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.telemetry.call_metrics import CallMetrics
from spanmeter_gateway.telemetry.cells import (
    Cell,
    Counter,
    Exemplar,
    Histogram,
    Reader,
    SilentCounter,
    SilentHistogram,
)
from spanmeter_gateway.telemetry.governor import Governor
from spanmeter_gateway.telemetry.metric import DEFAULT_SETTINGS, MetricSettings

NEW_FOR_NS = 60 * 1_000_000_000
GONE = "[]"
"""The values of a saved row that is to be deleted: its series has been folded into another."""
_GAUGES = {"gauge", "updowncounter"}
DEFAULT_BUDGETS = Budgets()
_NUMBERS = msgspec.json.Decoder(list[int])
_TEXTS = msgspec.json.Decoder(list[str])


class SeriesRow(NamedTuple):
    """One series as it is kept between runs; `metric` and `labels` together identify it."""

    metric: str
    """The metric's name in Prometheus."""
    labels: str
    """A JSON array: attribute, value, attribute, value; by attribute, without empty values."""
    values: str
    """A JSON array of integers: the total, or the sum and the count of each bucket."""
    created_at_ns: int


class Point(NamedTuple):
    """One series as it is exposed: label values in the family's order, and `Cell.numbers`."""

    labels: tuple[str, ...]
    numbers: list[int]
    created_at_ns: int
    exemplars: tuple[Exemplar | None, ...] = ()
    """Of a histogram one for each bucket, of a counter one; empty where there is none."""


class Family(NamedTuple):
    """One counter or histogram with all its series."""

    metric: names.Metric
    attributes: tuple[str, ...]
    points: list[Point]


class Gauge(NamedTuple):
    """One gauge with its last value for each label set."""

    metric: names.Metric
    values: dict[tuple[str, ...], float]


class Registry:
    """The series of all metrics; `tag_keys` are the tags that become labels, in this order."""

    def __init__(
        self,
        tag_keys: Sequence[str] = names.DEFAULT_TAG_KEYS,
        clock_ns: Callable[[], int] = time.time_ns,
        settings: MetricSettings = DEFAULT_SETTINGS,
        *,
        budgets: Budgets = DEFAULT_BUDGETS,
    ) -> None:
        """Raise `ValueError` when two tag keys would be the same Prometheus label."""
        tags = tuple(names.TAG_PREFIX + key for key in tag_keys)
        if len({names.label(tag) for tag in tags}) != len(tags):
            raise ValueError("two allow-listed tag keys are the same Prometheus label")
        self._clock_ns = clock_ns
        self._attributes = {
            metric.prometheus_name: metric.attributes + (tags if metric.tagged else ())
            for metric in names.METRICS
        }
        self._tag_keys = tuple(tag_keys)
        self._settings = settings
        self._governor = Governor(budgets, tag_keys, clock_ns)
        self._printed = [
            metric for metric in settings.printed(names.METRICS) if metric.kind not in _GAUGES
        ]
        self._gauges: dict[str, dict[tuple[str, ...], float]] = {
            metric.prometheus_name: {} for metric in names.METRICS if metric.kind in _GAUGES
        }
        self._begin()

    def _begin(self) -> None:
        self._governor.restart()
        self._cells: dict[str, dict[tuple[str, ...], Cell]] = {
            metric.prometheus_name: {} for metric in self._printed
        }
        self._silent: dict[str, Cell] = {}
        self._changes: list[Cell] = []
        self._being_saved: dict[int, Cell] = {}
        self._gone: list[SeriesRow] = []
        for metric in self._printed:
            if metric.kind == "counter" and not metric.attributes:
                self.counter(metric, ())
        for label in (*self._governor.labels, names.ALL_SERIES):
            self.counter(names.LABEL_OVERFLOW, (label,))
        self._calls = CallMetrics(self, self._tag_keys, self._settings)

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        """Count one receipt in every metric that it belongs to; not in the books' own health."""
        self._calls.enter(receipt, bill)
        for label in self._governor.take_folded():
            self.counter(names.LABEL_OVERFLOW, (label,)).add(1)

    def add(self, name: str, labels: Sequence[str], amount: int) -> None:
        """Add to a counter by its Prometheus name; values in the order of its attributes.

        Adding 0 makes the series, where there is none, and changes nothing.
        """
        counter = self.counter(names.METRIC_BY_NAME[name], tuple(labels))
        if amount:
            counter.add(amount)

    def total(self, name: str) -> int:
        """Add up all series of a counter by its Prometheus name."""
        return sum([cell.numbers()[0] for cell in self._cells[name].values()])

    def set_gauge(self, name: str, labels: Sequence[str], value: float) -> None:
        """Set a gauge by its Prometheus name; gauges are not saved."""
        self._gauges[name][tuple(labels)] = value

    def changed(self) -> list[SeriesRow]:
        """Return the series that changed since the last `mark_saved`, as they stand now.

        And those that are `GONE`: the same transaction has to delete them.
        """
        for cell in self._changes:
            cell.is_changed = False
            self._being_saved[id(cell)] = cell
        self._changes.clear()
        return [*self._gone, *(self._row(cell) for cell in self._being_saved.values())]

    def mark_saved(self) -> None:
        """Forget what `changed` returned last: it is safe. Later changes are kept."""
        self._being_saved.clear()
        self._gone.clear()

    def restore(self, rows: Iterable[SeriesRow]) -> None:
        """Replace all series by saved ones: at the start, and to undo what was never saved.

        A label that its metric no longer has is folded away, so that no sum shrinks. What is not
        printed under these settings is left out and stays saved: it goes on from there when it is
        printed again. A series that nobody has collected yet stays new.
        """
        # Told by its start too: a series that a new process has just made is not the saved one.
        still_new = {
            (name, cell.labels, cell.created_at_ns): cell.new_to
            for name, cells in self._cells.items()
            for cell in cells.values()
        }
        self._begin()
        restored: set[Cell] = set()
        for row in rows:
            cell = self._saved_cell(row)
            if cell is None or not cell.absorb(_NUMBERS.decode(row.values)):
                continue
            key = (row.metric, cell.labels, row.created_at_ns)
            cell.new_to = still_new.get(key, Reader.NONE)
            if cell not in restored:
                restored.add(cell)
                cell.created_at_ns = row.created_at_ns
                cell.is_changed = False
            cell.created_at_ns = min(cell.created_at_ns, row.created_at_ns)
            if self._saved_labels(cell) != row.labels:
                self._gone.append(row._replace(values=GONE))
                cell.is_changed = True
        self._changes[:] = [cell for cell in self._changes if cell.is_changed]

    def collect(self, reader: Reader = Reader.SCRAPE) -> list[Family]:
        """Return every counter and histogram; one that is new to the reader shows 0 this once.

        `Reader.NONE` sees everything as it is, and it stays new. To `Reader.OTLP` a series is new
        for as long as it takes: who sends knows what was accepted, and else calls `show_again`.
        """
        old_before_ns = self._clock_ns() - NEW_FOR_NS
        families = []
        for name, cells in self._cells.items():
            points = [_read(cell, reader, old_before_ns) for cell in cells.values()]
            families.append(Family(names.METRIC_BY_NAME[name], self._attributes[name], points))
        return families

    def show_again(self, reader: Reader, families: Iterable[Family]) -> None:
        """Let what a reader was shown as 0 be new to it again: it got lost on its way."""
        for family in families:
            cells = self._cells[family.metric.prometheus_name]
            for point in family.points:
                if not any(point.numbers) and (cell := cells.get(point.labels)) is not None:
                    cell.new_to |= reader

    def gauges(self) -> list[Gauge]:
        """Return every gauge."""
        for metric, labels, value in self._governor.gauges():
            self._gauges[metric.prometheus_name][labels] = value
        return [
            Gauge(names.METRIC_BY_NAME[name], values.copy())
            for name, values in self._gauges.items()
        ]

    def counter(self, metric: names.Metric, labels: tuple[str, ...]) -> Counter:
        """Return a counter's series, made on first use; values in the metric's own order."""
        cell = self._cell(metric, labels)
        assert isinstance(cell, Counter)
        return cell

    def histogram(self, metric: names.Metric, labels: tuple[str, ...]) -> Histogram:
        """Return a histogram's series, made on first use; values in the metric's own order."""
        cell = self._cell(metric, labels)
        assert isinstance(cell, Histogram)
        return cell

    def settle(self, breakdown: Breakdown) -> Breakdown:
        """Say under which labels a breakdown is counted."""
        return self._governor.settle(breakdown)

    def _cell(self, metric: names.Metric, labels: tuple[str, ...]) -> Cell:
        cells = self._cells.get(metric.prometheus_name)
        if cells is None:
            return self._silent_cell(metric)
        cell = cells.get(labels)
        if cell is None:
            if len(labels) != len(self._attributes[metric.prometheus_name]):
                raise ValueError(f"{metric.prometheus_name} has other labels")
            labels = tuple(value[: names.MAX_LABEL_CHARS] for value in labels)
            cell = cells.get(labels)
        if cell is None:
            labels = self._governor.place(metric, labels, cells)
            cell = cells.get(labels)
        return self._make(metric, labels) if cell is None else cell

    def _make(self, metric: names.Metric, labels: tuple[str, ...]) -> Cell:
        kind = Counter if metric.kind == "counter" else Histogram
        cell = kind(metric, labels, self._changes, created_at_ns=self._clock_ns())
        self._cells[metric.prometheus_name][labels] = cell
        self._governor.note(metric, labels)
        return cell

    def _silent_cell(self, metric: names.Metric) -> Cell:
        cell = self._silent.get(metric.prometheus_name)
        if cell is None:
            kind = SilentCounter if metric.kind == "counter" else SilentHistogram
            cell = self._silent[metric.prometheus_name] = kind(metric, (), [], created_at_ns=0)
        return cell

    def _saved_cell(self, row: SeriesRow) -> Cell | None:
        if row.metric not in self._cells:
            return None
        metric = names.METRIC_BY_NAME[row.metric]
        texts = _TEXTS.decode(row.labels)
        value_by_attribute = dict(zip(texts[::2], texts[1::2], strict=True))
        labels = tuple(
            value_by_attribute.get(attribute, "") for attribute in self._attributes[row.metric]
        )
        # As it was: the room of today is asked for what is new only.
        cell = self._cells[row.metric].get(labels)
        return self._make(metric, labels) if cell is None else cell

    def _row(self, cell: Cell) -> SeriesRow:
        values = msgspec.json.encode(cell.numbers()).decode()
        name = cell.metric.prometheus_name
        return SeriesRow(name, self._saved_labels(cell), values, cell.created_at_ns)

    def _saved_labels(self, cell: Cell) -> str:
        pairs = sorted(zip(self._attributes[cell.metric.prometheus_name], cell.labels, strict=True))
        texts = [text for pair in pairs if pair[1] for text in pair]
        return msgspec.json.encode(texts).decode()


def _read(cell: Cell, reader: Reader, old_before_ns: int) -> Point:
    numbers = cell.numbers()
    is_new = cell.new_to & reader
    cell.new_to &= ~reader
    if is_new and (cell.created_at_ns > old_before_ns or reader is Reader.OTLP):
        return Point(cell.labels, [0] * len(numbers), cell.created_at_ns)
    return Point(cell.labels, numbers, cell.created_at_ns, cell.exemplars())
