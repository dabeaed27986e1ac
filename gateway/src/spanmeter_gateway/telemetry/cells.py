"""The cells of the registry: one series each, in plain integers, so that nothing ever drifts."""

from abc import ABC, abstractmethod
from bisect import bisect_left

from spanmeter_gateway.telemetry.names import Metric


class Cell(ABC):
    """One series: a metric, its label values and when it began.

    A cell is new until it has been collected once, and changed until it has been saved; each
    change puts it on the registry's list once.
    """

    __slots__ = ("changes", "created_at_ns", "is_changed", "is_new", "labels", "metric")

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: "list[Cell]", *, created_at_ns: int
    ) -> None:
        self.metric = metric
        self.labels = labels
        self.changes = changes
        self.created_at_ns = created_at_ns
        self.is_new = True
        self.is_changed = True
        changes.append(self)

    @abstractmethod
    def numbers(self) -> list[int]:
        """Return the state as integers; all zero for a series without events."""

    @abstractmethod
    def absorb(self, numbers: list[int]) -> bool:
        """Add a state that was saved; return whether it has this cell's shape."""


class Counter(Cell):
    """A sum that only grows."""

    __slots__ = ("total",)

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: list[Cell], *, created_at_ns: int
    ) -> None:
        super().__init__(metric, labels, changes, created_at_ns=created_at_ns)
        self.total = 0

    def add(self, amount: int) -> None:
        """Count `amount` more."""
        self.total += amount
        if not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def numbers(self) -> list[int]:
        """Return `[total]`."""
        return [self.total]

    def absorb(self, numbers: list[int]) -> bool:
        """Add a total that was saved."""
        if len(numbers) != 1:
            return False
        self.total += numbers[0]
        return True


class Histogram(Cell):
    """Counts per bucket, and the sum; a bucket holds its upper bound, as `le` says."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(
        self, metric: Metric, labels: tuple[str, ...], changes: list[Cell], *, created_at_ns: int
    ) -> None:
        super().__init__(metric, labels, changes, created_at_ns=created_at_ns)
        self.bounds = [round(bound * metric.per_unit) for bound in metric.buckets]
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0

    def record(self, amount: int) -> None:
        """Count one observation of `amount`."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.sum += amount
        if not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def numbers(self) -> list[int]:
        """Return `[sum, count per bucket ...]`, the last bucket being the one without a bound."""
        return [self.sum, *self.counts]

    def absorb(self, numbers: list[int]) -> bool:
        """Add counts that were saved; more or fewer buckets than ours cannot be added."""
        if len(numbers) != len(self.counts) + 1:
            return False
        self.sum += numbers[0]
        self.counts = [ours + saved for ours, saved in zip(self.counts, numbers[1:], strict=True)]
        return True
