"""The cells of the registry: one series each, in plain integers, so that nothing ever drifts."""

from abc import ABC, abstractmethod
from bisect import bisect_left
from enum import IntFlag
from typing import NamedTuple

from spanmeter_gateway.telemetry.names import Metric


class Reader(IntFlag):
    """Who collects: each is shown a new series at 0 once; somebody who only looks is no reader."""

    NONE = 0
    OTLP = 1
    SCRAPE = 2
    ALL = 0x1FF
    """OTLP, and 8 scrapers: `SCRAPE` and the bits above it, see `scrapers`."""


class Exemplar(NamedTuple):
    """One sampled observation, as an example of its series; `amount` is in the metric's parts."""

    trace_id: str
    """32 lower-case hex digits."""
    span_id: str
    amount: int
    at_ns: int


class Origin(NamedTuple):
    """The span that an observation was made in, and when; shared by all that it is made in."""

    trace_id: str
    span_id: str
    at_ns: int


# What a cell keeps: the amount and its origin. It becomes an `Exemplar` only when collected.
_Example = tuple[int, Origin]


class Cell(ABC):
    """One series: a metric, its label values and when it began.

    A cell is new to a reader until that one has collected it once, and changed until it has been
    saved; each change puts it on the registry's list once.
    """

    __slots__ = ("changes", "created_at_ns", "is_changed", "labels", "metric", "new_to")

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: "list[Cell]", *, created_at_ns: int
    ) -> None:
        self.metric = metric
        self.labels = labels
        self.changes = changes
        self.created_at_ns = created_at_ns
        self.new_to = Reader.ALL
        self.is_changed = True
        changes.append(self)

    @abstractmethod
    def numbers(self) -> list[int]:
        """Return the state as integers; all zero for a series without events."""

    @abstractmethod
    def exemplars(self) -> tuple[Exemplar | None, ...]:
        """Return the last observation with an origin (of each bucket); empty without any."""

    @abstractmethod
    def absorb(self, numbers: list[int]) -> bool:
        """Add a state that was saved; return whether it has this cell's shape."""


class Counter(Cell):
    """A sum that only grows."""

    __slots__ = ("_example", "total")

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: list[Cell], *, created_at_ns: int
    ) -> None:
        super().__init__(metric, labels, changes, created_at_ns=created_at_ns)
        self.total = 0
        self._example: _Example | None = None

    def add(self, amount: int, origin: Origin | None = None) -> None:
        """Count `amount` more."""
        self.total += amount
        if origin is not None:
            self._example = (amount, origin)
        if not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def numbers(self) -> list[int]:
        """Return `[total]`."""
        return [self.total]

    def exemplars(self) -> tuple[Exemplar | None, ...]:
        """Return one, or none."""
        return () if self._example is None else (_exemplar(self._example),)

    def absorb(self, numbers: list[int]) -> bool:
        """Add a total that was saved."""
        if len(numbers) != 1:
            return False
        self.total += numbers[0]
        return True


class Histogram(Cell):
    """Counts per bucket, and the sum; a bucket holds its upper bound, as `le` says."""

    __slots__ = ("_examples", "bounds", "counts", "sum")

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: list[Cell], *, created_at_ns: int
    ) -> None:
        super().__init__(metric, labels, changes, created_at_ns=created_at_ns)
        self.bounds = [round(bound * metric.per_unit) for bound in metric.buckets]
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0
        # Made with the first example: most series of a gateway that samples little have none.
        self._examples: list[_Example | None] | None = None

    def record(self, amount: int, origin: Origin | None = None) -> None:
        """Count one observation of `amount`."""
        bucket = bisect_left(self.bounds, amount)
        self.counts[bucket] += 1
        self.sum += amount
        if origin is not None:
            if self._examples is None:
                self._examples = [None] * len(self.counts)
            self._examples[bucket] = (amount, origin)
        if not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def merge(self, numbers: list[int]) -> None:
        """Count what was counted elsewhere, as `numbers` has it; other buckets are left out."""
        if self.absorb(numbers) and not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def numbers(self) -> list[int]:
        """Return `[sum, count per bucket ...]`, the last bucket being the one without a bound."""
        return [self.sum, *self.counts]

    def exemplars(self) -> tuple[Exemplar | None, ...]:
        """Return one for each bucket that has one, in the order of the buckets."""
        if self._examples is None:
            return ()
        return tuple(
            [None if example is None else _exemplar(example) for example in self._examples]
        )

    def absorb(self, numbers: list[int]) -> bool:
        """Add counts that were saved; more or fewer buckets than ours cannot be added."""
        if len(numbers) != len(self.counts) + 1:
            return False
        self.sum += numbers[0]
        self.counts = [ours + saved for ours, saved in zip(self.counts, numbers[1:], strict=True)]
        return True


class SilentCounter(Counter):
    """Of a metric that is not printed: counts nothing."""

    __slots__ = ()

    def add(self, amount: int, origin: Origin | None = None) -> None:
        """Do nothing."""


class SilentHistogram(Histogram):
    """Of a metric that is not printed: counts nothing."""

    __slots__ = ()

    def record(self, amount: int, origin: Origin | None = None) -> None:
        """Do nothing."""

    def merge(self, numbers: list[int]) -> None:
        """Do nothing."""


def _exemplar(example: _Example) -> Exemplar:
    amount, origin = example
    return Exemplar(origin.trace_id, origin.span_id, amount, origin.at_ns)
