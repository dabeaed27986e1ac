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
from spanmeter_gateway.telemetry.call_metrics import CallMetrics
from spanmeter_gateway.telemetry.cells import Cell, Counter, Histogram

NEW_FOR_NS = 60 * 1_000_000_000
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
        self._gauges: dict[str, dict[tuple[str, ...], float]] = {
            metric.prometheus_name: {} for metric in names.METRICS if metric.kind == "gauge"
        }
        self._begin()

    def _begin(self) -> None:
        self._cells: dict[str, dict[tuple[str, ...], Cell]] = {
            metric.prometheus_name: {} for metric in names.METRICS if metric.kind != "gauge"
        }
        self._changes: list[Cell] = []
        self._being_saved: dict[int, Cell] = {}
        for metric in names.METRICS:
            if metric.kind == "counter" and not metric.attributes:
                self.counter(metric, ())
        self._calls = CallMetrics(self, self._tag_keys)

    def enter(self, receipt: Receipt, bill: Bill) -> None:
        """Count one receipt in every metric that it belongs to; not in the books' own health."""
        self._calls.enter(receipt, bill)

    def add(self, name: str, labels: Sequence[str], amount: int) -> None:
        """Add to a counter by its Prometheus name; values in the order of its attributes.

        Adding 0 makes the series, where there is none, and changes nothing.
        """
        counter = self.counter(names.METRIC_BY_NAME[name], tuple(labels))
        if amount:
            counter.add(amount)

    def set_gauge(self, name: str, labels: Sequence[str], value: float) -> None:
        """Set a gauge by its Prometheus name; gauges are not saved."""
        self._gauges[name][tuple(labels)] = value

    def changed(self) -> list[SeriesRow]:
        """Return the series that changed since the last `mark_saved`, as they stand now."""
        for cell in self._changes:
            cell.is_changed = False
            self._being_saved[id(cell)] = cell
        self._changes.clear()
        return [self._row(cell) for cell in self._being_saved.values()]

    def mark_saved(self) -> None:
        """Forget what `changed` returned last: it is safe. Later changes are kept."""
        self._being_saved.clear()

    def restore(self, rows: Iterable[SeriesRow]) -> None:
        """Replace all series by saved ones: at the start, and to undo what was never saved.

        What no metric of this configuration has is left out. A series that nobody has collected
        yet stays new.
        """
        # Told by its start too: a series that a new process has just made is not the saved one.
        still_new = {
            (name, cell.labels, cell.created_at_ns)
            for name, cells in self._cells.items()
            for cell in cells.values()
            if cell.is_new
        }
        self._begin()
        for row in rows:
            cell = self._saved_cell(row)
            if cell is not None and cell.absorb(_NUMBERS.decode(row.values)):
                cell.created_at_ns = row.created_at_ns
                cell.is_new = (row.metric, cell.labels, row.created_at_ns) in still_new
                cell.is_changed = False
        self._changes[:] = [cell for cell in self._changes if cell.is_changed]

    def collect(self, *, is_scrape: bool = True) -> list[Family]:
        """Return every counter and histogram; a new series shows 0 this once.

        Only to a scrape: somebody who just looks sees it as it is, and it stays new.
        """
        old_before_ns = self._clock_ns() - NEW_FOR_NS
        families = []
        for name, cells in self._cells.items():
            points = [
                _scraped(cell, old_before_ns) if is_scrape else _point(cell)
                for cell in cells.values()
            ]
            families.append(Family(names.METRIC_BY_NAME[name], self._attributes[name], points))
        return families

    def gauges(self) -> list[Gauge]:
        """Return every gauge."""
        return [
            Gauge(names.METRIC_BY_NAME[name], values.copy())
            for name, values in self._gauges.items()
        ]

    def counter(self, metric: names.Metric, labels: tuple[str, ...]) -> Counter:
        """Return a counter's series, made on first use; values in the metric's own order."""
        cell = self._cell(metric, labels, Counter)
        assert isinstance(cell, Counter)
        return cell

    def histogram(self, metric: names.Metric, labels: tuple[str, ...]) -> Histogram:
        """Return a histogram's series, made on first use; values in the metric's own order."""
        cell = self._cell(metric, labels, Histogram)
        assert isinstance(cell, Histogram)
        return cell

    def _cell(
        self, metric: names.Metric, labels: tuple[str, ...], kind: type[Counter | Histogram]
    ) -> Cell:
        cells = self._cells[metric.prometheus_name]
        cell = cells.get(labels)
        if cell is None:
            if len(labels) != len(self._attributes[metric.prometheus_name]):
                raise ValueError(f"{metric.prometheus_name} has other labels")
            labels = tuple(value[: names.MAX_LABEL_CHARS] for value in labels)
            cell = cells.get(labels)
        if cell is None:
            cell = kind(metric, labels, self._changes, created_at_ns=self._clock_ns())
            cells[labels] = cell
        return cell

    def _saved_cell(self, row: SeriesRow) -> Cell | None:
        metric = names.METRIC_BY_NAME.get(row.metric)
        if metric is None:
            return None
        texts = _TEXTS.decode(row.labels)
        value_by_attribute = dict(zip(texts[::2], texts[1::2], strict=True))
        attributes = self._attributes[row.metric]
        if not value_by_attribute.keys() <= set(attributes):
            return None
        labels = tuple(value_by_attribute.get(attribute, "") for attribute in attributes)
        if metric.kind == "counter":
            return self.counter(metric, labels)
        return self.histogram(metric, labels)

    def _row(self, cell: Cell) -> SeriesRow:
        name = cell.metric.prometheus_name
        pairs = sorted(zip(self._attributes[name], cell.labels, strict=True))
        texts = [text for pair in pairs if pair[1] for text in pair]
        values = msgspec.json.encode(cell.numbers()).decode()
        return SeriesRow(name, msgspec.json.encode(texts).decode(), values, cell.created_at_ns)


def _point(cell: Cell) -> Point:
    return Point(cell.labels, cell.numbers(), cell.created_at_ns)


def _scraped(cell: Cell, old_before_ns: int) -> Point:
    point = _point(cell)
    if cell.is_new:
        cell.is_new = False
        if cell.created_at_ns > old_before_ns:
            point = point._replace(numbers=[0] * len(point.numbers))
    return point
