"""What OTLP with delta temporality sends: the growth since what was accepted last.

The totals that were accepted are kept in a file, so that neither an export that fails nor a restart
loses anything; what was accepted just before a crash, or was and the answer got lost, is sent once
more. Without the file deltas start from the totals as they stand: what was there before deltas were
asked for is not sent as one great step.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from spanmeter_gateway.telemetry.otlp_metrics import Labels, SeriesKey
from spanmeter_gateway.telemetry.registry import Family, Point

_log = logging.getLogger(__name__)


class Accepted(NamedTuple):
    """One series as a backend has it."""

    created_at_ns: int
    until_ns: int
    """The end of the last interval that was accepted."""
    numbers: list[int]


class _Metric(msgspec.Struct, array_like=True):
    """The series of one metric in the file; labels in the order of `attributes`."""

    name: str
    attributes: tuple[str, ...]
    series: list[tuple[Labels, Accepted]]


_Accepted = dict[SeriesKey, Accepted]


class Deltas:
    """Take deltas from collected totals; used by one thread."""

    def __init__(self, path: Path, families: Sequence[Family], *, now_ns: int) -> None:
        """Read the file, or begin with these totals where there is none; raises `OSError`."""
        self._path = path
        self._families: Sequence[Family] = families
        self._others: list[_Metric] = []
        self._pending: _Accepted = {}
        try:
            metrics = msgspec.json.decode(path.read_bytes(), type=list[_Metric])
            now = {family.metric.prometheus_name for family in families}
            self._others = [metric for metric in metrics if metric.name not in now]
            self._accepted = _known(metrics, families)
        except (FileNotFoundError, msgspec.DecodeError) as error:
            if isinstance(error, msgspec.DecodeError):
                _log.warning("%s cannot be read: deltas begin with the totals of now", path)
            self._accepted = _totals(families, now_ns)
            self._write()

    def take(self, families: Sequence[Family], *, now_ns: int) -> list[Family]:
        """Return the growth since it was accepted; what did not grow is left out.

        A series that was never accepted is there with 0 too, so that a receiver that adds deltas
        up sees its first event as a step.
        """
        self._families = families
        self._pending = {}
        return [family._replace(points=list(self._growths(family, now_ns))) for family in families]

    def accept(self, series: Iterable[SeriesKey]) -> None:
        """Take note that the growth of these was accepted."""
        for key in series:
            self._accepted[key] = self._pending[key]

    def save(self) -> None:
        """Write the file; where that fails, a restart sends again what was accepted since."""
        try:
            self._write()
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)

    def _write(self) -> None:
        """Write the file, all or nothing. Series that are gone are forgotten.

        Metrics that are not printed by these settings are kept: their totals are, too.
        """
        kept: _Accepted = {}
        metrics = self._others.copy()
        for family in self._families:
            name = family.metric.prometheus_name
            saved = []
            for point in family.points:
                if (accepted := self._accepted.get((name, point.labels))) is not None:
                    kept[name, point.labels] = accepted
                    saved.append((point.labels, accepted))
            metrics.append(_Metric(name, family.attributes, saved))
        self._accepted = kept
        unnamed = self._path.with_suffix(".new")
        unnamed.write_bytes(msgspec.json.encode(metrics))
        unnamed.replace(self._path)

    def _growths(self, family: Family, now_ns: int) -> Iterable[Point]:
        for point in family.points:
            key = _key(family, point)
            last = self._accepted.get(key)
            if last is None or not _continues(point, last):
                last = Accepted(point.created_at_ns, point.created_at_ns, [0] * len(point.numbers))
            elif last.numbers == point.numbers:
                continue
            growth = [now - then for now, then in zip(point.numbers, last.numbers, strict=True)]
            # Totals that went back (a commit that failed) come again: it waits for them.
            if min(growth) >= 0:
                self._pending[key] = Accepted(point.created_at_ns, now_ns, point.numbers)
                yield _since(point, last.until_ns, growth)


def _since(point: Point, until_ns: int, growth: list[int]) -> Point:
    recent = tuple(
        one if one is not None and one.at_ns > until_ns else None for one in point.exemplars
    )
    return Point(point.labels, growth, until_ns, recent)


def _continues(point: Point, last: Accepted) -> bool:
    # Another start is another series, whatever its labels: the counters began again.
    same_shape = len(point.numbers) == len(last.numbers)
    return same_shape and point.created_at_ns == last.created_at_ns


def _key(family: Family, point: Point) -> SeriesKey:
    return family.metric.prometheus_name, point.labels


def _totals(families: Iterable[Family], now_ns: int) -> _Accepted:
    return {
        _key(family, point): Accepted(point.created_at_ns, now_ns, point.numbers)
        for family in families
        for point in family.points
    }


def _known(metrics: Iterable[_Metric], families: Iterable[Family]) -> _Accepted:
    """Find saved series again, as `Registry.restore` does: labels that are gone are folded away."""
    attributes_by_name = {family.metric.prometheus_name: family.attributes for family in families}
    found: _Accepted = {}
    for metric in metrics:
        attributes = attributes_by_name.get(metric.name, ())
        for labels, accepted in metric.series:
            value_by_attribute = dict(zip(metric.attributes, labels, strict=True))
            key = metric.name, tuple(value_by_attribute.get(name, "") for name in attributes)
            found[key] = _together(found[key], accepted) if key in found else accepted
    return found


def _together(one: Accepted, other: Accepted) -> Accepted:
    numbers = [ours + theirs for ours, theirs in zip(one.numbers, other.numbers, strict=True)]
    return Accepted(
        min(one.created_at_ns, other.created_at_ns), min(one.until_ns, other.until_ns), numbers
    )
