from collections.abc import Mapping

from tests.gateway.books.doubles import PlainRegistry, PlainSpans

from spanmeter_gateway.books.totals import ResultTotals, SpanTotals
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import Registry

EXPORTS = names.METRIC_EXPORTS.prometheus_name


class Counted:
    """Counts as an export would."""

    def __init__(self) -> None:
        self.counts: Mapping[str, int] = {"sent": 0, "failed": 0}

    def __call__(self) -> Mapping[str, int]:
        return self.counts


def test_a_result_stands_at_0_before_it_first_happens():
    registry = PlainRegistry()

    ResultTotals(names.METRIC_EXPORTS, Counted()).enter(registry)

    assert registry.totals == {(EXPORTS, ("sent",)): 0, (EXPORTS, ("failed",)): 0}


def test_what_was_committed_is_counted_once():
    registry, counted = PlainRegistry(), Counted()
    totals = ResultTotals(names.METRIC_EXPORTS, counted)

    for counts in ({"sent": 2, "failed": 0}, {"sent": 3, "failed": 1}):
        counted.counts = counts
        totals.enter(registry)
        totals.apply()
    totals.enter(registry)

    assert registry.read() == {f"{EXPORTS} sent": 3, f"{EXPORTS} failed": 1}


def test_what_a_failed_commit_took_back_is_counted_again():
    counted = Counted()
    totals = ResultTotals(names.METRIC_EXPORTS, counted)
    counted.counts = {"sent": 2, "failed": 0}
    totals.enter(PlainRegistry())
    registry = PlainRegistry()

    totals.enter(registry)

    assert registry.read() == {f"{EXPORTS} sent": 2}


class QueueOfSpans(PlainSpans):
    """An export whose queue is half full."""

    def queue(self) -> tuple[int, int]:
        return 16, 32


def test_the_queue_of_spans_is_shown():
    registry = Registry()

    SpanTotals(QueueOfSpans()).show(registry)

    shown = {gauge.metric.name: gauge.values for gauge in registry.gauges()}
    assert (shown[names.SPAN_QUEUE_SIZE.name], shown[names.SPAN_QUEUE_CAPACITY.name]) == (
        {(): 16}, {(): 32},
    )  # fmt: skip


def test_where_no_spans_are_exported_no_queue_is_shown():
    registry = Registry()

    SpanTotals(PlainSpans()).show(registry)

    shown = {gauge.metric.name: gauge.values for gauge in registry.gauges()}
    assert (shown[names.SPAN_QUEUE_SIZE.name], shown[names.SPAN_QUEUE_CAPACITY.name]) == ({}, {})
