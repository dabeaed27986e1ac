"""The cardinality governor: under which labels a call is counted, so that series stay in budget.

Two budgets. A label has so many distinct values; any other is counted as `__other__`. All metrics
together have so many series; as that room fills, what is new is counted under fewer of its labels:
first without its tags, then without task and models, at last without its feature. So every count
is somewhere, and where it was counted once it stays.

Nothing of this is saved: which values have a place, and which breakdowns exist, is read off the
series themselves, so a restart or a rollback decides as before. It knows the label names and
nothing of the cells.
"""

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.bounded import Bounded
from spanmeter_gateway.telemetry.breakdown import Breakdown
from spanmeter_gateway.telemetry.budgets import Budgets
from spanmeter_gateway.telemetry.label_values import LabelValues

Labels = tuple[str, ...]

_MINUTE_NS = 60 * 1_000_000_000
_REMEMBERED = 16_384
_LABELS = (names.FEATURE, names.TASK, names.REQUEST_MODEL, names.RESPONSE_MODEL)
"""In the order of `Breakdown`; the tags follow."""
_FEATURE_ONLY, _NOTHING = 2, 3
_KEPT = (None, len(_LABELS), 1, 0)
"""How many of the labels each tier keeps: all (the whole breakdown); no tags; the feature; none."""
# Up to which share of all series, in percent, a new breakdown is taken at each tier. When tags have
# filled the first half, 200 features of 80 to 100 series still find room. The last tenth is for
# errors, and for what is folded altogether, which outcomes and error types still divide.
NEW_BREAKDOWN_PERCENT = (50, 60, 90)
_PERCENT_OF_KNOWN = 70
"""Up to which a breakdown that exists may meet something new: an outcome, a token class."""
_PERCENT_OF_COUNTERS = 95
"""Up to which a feature gets counters, its errors under one type: its error rate goes last."""


class _Shape(NamedTuple):
    """Where a metric has what is governed, in the order of a breakdown; `None` where it has not."""

    places: tuple[int | None, ...]
    error_place: int | None

    def breakdown(self, labels: Labels) -> Breakdown:
        """Read a breakdown off a series' labels, `""` for what its metric does not have."""
        return _breakdown(["" if place is None else labels[place] for place in self.places])

    def written(self, breakdown: Breakdown, labels: Labels) -> Labels:
        """Put a breakdown where these labels have another."""
        texts = list(labels)
        for place, text in zip(self.places, _texts(breakdown), strict=True):
            if place is not None:
                texts[place] = text
        return tuple(texts)

    def without_error_type(self, labels: Labels) -> Labels:
        """Put the fallback in the place of an error type."""
        place = self.error_place
        if place is None or not labels[place]:
            return labels
        return (*labels[:place], names.OTHER_ERROR, *labels[place + 1 :])


class Governor:
    """Decide, and account for what there is. Whoever makes a series calls `place`, then `note`."""

    def __init__(
        self, budgets: Budgets, tag_keys: Sequence[str], clock_ns: Callable[[], int]
    ) -> None:
        self._clock_ns = clock_ns
        self._budget = budgets.series
        self._limits = [budgets.series * percent // 100 for percent in NEW_BREAKDOWN_PERCENT]
        self._limit_of_known = budgets.series * _PERCENT_OF_KNOWN // 100
        self._limit_of_counters = budgets.series * _PERCENT_OF_COUNTERS // 100
        pinned = budgets.pinned

        def values(budget: int, pinned: Iterable[str]) -> LabelValues:
            return LabelValues(budget, pinned, at_sight_percent=budgets.at_sight_percent)

        models = values(budgets.models, pinned.models)
        self._values = (
            values(budgets.features, pinned.features),
            values(budgets.tasks, pinned.tasks),
            models,
            models,
            *(values(budgets.tag_values, pinned.tags.get(key, ())) for key in tag_keys),
        )
        tags = tuple(names.TAG_PREFIX + key for key in tag_keys)
        governed = (*_LABELS, *tags)
        self.labels = tuple(map(names.label, governed))
        """Prometheus names of what is governed, in the order of a breakdown."""
        self._shapes = {
            metric.prometheus_name: _shape(governed, metric.attributes + tags * metric.tagged)
            for metric in names.METRICS
            if names.FEATURE in metric.attributes
        }
        self._restart_counts()

    def restart(self) -> None:
        """Forget every series: they are about to be noted again."""
        for values in self._values:
            values.restart()
        self._restart_counts()

    def _restart_counts(self) -> None:
        self._series = 0
        self._known: set[Breakdown] = set()
        self._settled: Bounded[Breakdown, tuple[Breakdown, int]] = Bounded(_REMEMBERED)
        self._folded = 0

    def settle(self, breakdown: Breakdown) -> Breakdown:
        """Say under which labels a breakdown is counted."""
        found = self._settled.get(breakdown)
        if found is None:
            found = self._decide(breakdown)
        settled, folded = found
        if folded:
            self._folded |= folded
        return settled

    def take_folded(self) -> list[str]:
        """Name what was folded since the last call: labels, and `series` for want of room."""
        folded, self._folded = self._folded, 0
        if not folded:
            return []
        reasons = (*self.labels, names.ALL_SERIES)
        return [reason for place, reason in enumerate(reasons) if folded >> place & 1]

    def place(self, metric: names.Metric, labels: Labels, present: Container[Labels]) -> Labels:
        """Say where a series that does not exist is counted: coarser where the room is used up.

        `present` holds the label values of the metric's series. What is folded altogether, and what
        has no breakdown, always has room: the configuration bounds it.
        """
        shape = self._shapes.get(metric.prometheus_name)
        series = self._series + _size(metric)
        if shape is None or series <= self._limit_of_known:
            return labels
        fine = shape.breakdown(labels)
        alone = _coarse(fine, _FEATURE_ONLY)
        has_room = series <= self._limits[_FEATURE_ONLY]
        placed = by_feature = shape.written(alone, labels)
        if not (has_room or placed in present):
            placed = shape.without_error_type(by_feature)
            is_late = metric.buckets or series > self._limit_of_counters
            if is_late and placed not in present:
                placed = shape.written(_coarse(fine, _NOTHING), labels)
        if placed != labels:
            self._folded |= self._bits(shape.breakdown(placed), for_room=True)
        if by_feature != labels and (has_room or self._is_known(alone)):
            # From the next call on all of it is counted there: without its errors it would lie.
            # After a restart that is so again from its next such error on.
            self._known.discard(fine)
            self._settled.clear()
        return placed

    def note(self, metric: names.Metric, labels: Labels) -> None:
        """Account for a series that was made or restored: its values have their place."""
        self._series += _size(metric)
        shape = self._shapes.get(metric.prometheus_name)
        if shape is None:
            return
        fine = shape.breakdown(labels)
        for values, value in zip(self._values, _texts(fine), strict=True):
            values.known.add(value)
        if names.TASK in metric.attributes or fine.response_model:
            self._known.add(fine)

    def gauges(self) -> Iterator[tuple[names.Metric, Labels, int]]:
        """Say how much of each budget is used."""
        for label, values in zip(self.labels, self._values, strict=True):
            yield names.LABEL_VALUES, (label,), len(values)
            yield names.LABEL_BUDGET, (label,), values.budget
        yield names.SERIES, (), self._series
        yield names.SERIES_BUDGET, (), self._budget

    def _decide(self, breakdown: Breakdown) -> tuple[Breakdown, int]:
        tier = bisect_right(self._limits, self._series)
        admitted, for_room = self._admitted(breakdown, tier)
        settled = self._within_total(admitted, tier)
        found = settled, self._bits(settled, for_room=for_room or settled != admitted)
        # A value that traffic may still promote is asked about each time.
        return self._settled.keep(breakdown, found) if admitted == breakdown else found

    def _admitted(self, breakdown: Breakdown, tier: int) -> tuple[Breakdown, bool]:
        """Fold the values that get no place; say too whether one lacked only room in total.

        A value gets no place that its breakdown, if it is new, would not be counted under.
        """
        texts = list(_texts(breakdown))
        kept = _KEPT[tier]
        lacks_room = False
        for place, text in enumerate(texts):
            values = self._values[place]
            if text in values.known:
                continue
            if kept is not None and place >= kept:
                lacks_room = True
            elif values.admit(text, self._clock_ns() // _MINUTE_NS):
                continue
            texts[place] = names.FOLDED
        return _breakdown(texts), lacks_room

    def _within_total(self, fine: Breakdown, tier: int) -> Breakdown:
        """Find the finest form of a breakdown that exists, or may be made at this tier."""
        for finer in range(tier):
            coarse = _coarse(fine, finer)
            if self._is_known(coarse):
                return coarse
        return _coarse(fine, tier)

    def _is_known(self, breakdown: Breakdown) -> bool:
        """Say whether the series of calls, and of a response model, exist."""
        return breakdown._replace(response_model="") in self._known and (
            not breakdown.response_model or breakdown._replace(task="") in self._known
        )

    def _bits(self, breakdown: Breakdown, *, for_room: bool) -> int:
        bits = for_room << len(self.labels)
        for place, text in enumerate(_texts(breakdown)):
            if text == names.FOLDED:
                bits |= 1 << place
        return bits


def _size(metric: names.Metric) -> int:
    # Of a histogram the bucket +Inf, the sum and the count are series too.
    return len(metric.buckets) + 3 if metric.buckets else 1


def _shape(governed: Labels, attributes: Labels) -> _Shape:
    return _Shape(
        tuple(attributes.index(name) if name in attributes else None for name in governed),
        attributes.index(names.ERROR_TYPE) if names.ERROR_TYPE in attributes else None,
    )


def _texts(breakdown: Breakdown) -> Labels:
    feature, task, request_model, response_model, tags = breakdown
    return feature, task, request_model, response_model, *tags


def _breakdown(texts: Sequence[str]) -> Breakdown:
    feature, task, request_model, response_model, *tags = texts
    return Breakdown(feature, task, request_model, response_model, tuple(tags))


def _coarse(breakdown: Breakdown, tier: int) -> Breakdown:
    """Fold what a tier does not keep; what is absent too, or it would split what is coarse."""
    kept = _KEPT[tier]
    if kept is None:
        return breakdown
    texts = _texts(breakdown)
    return _breakdown(texts[:kept] + (names.FOLDED,) * (len(texts) - kept))
