"""The registry as Prometheus text: the classic format or OpenMetrics, as the reader asks for.

Exactness: a printed value is the integer total over its unit, rounded once to the nearest double,
which is what Prometheus stores anyway. Its shortest text is the exact decimal up to 15 digits: a
cost is exact to the nano-dollar below 1,000,000 USD a series, counts below 2^53.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Printed
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import Family, Gauge, Registry


def render(registry: Registry, accept: str | None) -> tuple[bytes, str]:
    """Collect and print all metrics; return the body and its content type.

    `accept` is the request's header. Whoever must not hold the registry's lock while text is made
    calls `Registry.collect` and `Registry.gauges` under it, and then `print_text`.
    """
    return print_text(registry.collect(), registry.gauges(), accept)


def print_text(
    families: Sequence[Family], gauges: Sequence[Gauge], accept: str | None
) -> tuple[bytes, str]:
    """Print metrics that were collected before; return the body and its content type."""
    encode, content_type = choose_encoder(accept or "")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(families, gauges))
    return encode(registry), content_type


class _Collected(Collector):
    """Hand collected metrics to prometheus_client, without `_created` series."""

    def __init__(self, families: Sequence[Family], gauges: Sequence[Gauge]) -> None:
        self._families = families
        self._gauges = gauges

    def collect(self) -> Iterable[Printed]:
        """Yield the metrics that have series."""
        for family in self._families:
            if family.points:
                yield _histogram(family) if family.metric.buckets else _counter(family)
        yield from _gauge_families(self._gauges)


def _gauge_families(gauges: Sequence[Gauge]) -> Iterator[Printed]:
    for gauge in gauges:
        if gauge.values:
            labels = [names.label(attribute) for attribute in gauge.metric.attributes]
            printed = GaugeMetricFamily(
                gauge.metric.prometheus_name, gauge.metric.description, labels=labels
            )
            for values, number in gauge.values.items():
                printed.add_metric(values, number)
            yield printed
    build = names.BUILD_INFO
    info = GaugeMetricFamily(
        build.prometheus_name, build.description, labels=[names.label(names.VERSION)]
    )
    info.add_metric([version(names.SERVICE)], 1)
    yield info


def _counter(family: Family) -> Printed:
    metric = family.metric
    labels = [names.label(attribute) for attribute in family.attributes]
    printed = CounterMetricFamily(metric.prometheus_name, metric.description, labels=labels)
    for point in family.points:
        printed.add_metric(point.labels, _amount(point.numbers[0], metric.per_unit))
    return printed


def _histogram(family: Family) -> Printed:
    metric = family.metric
    labels = [names.label(attribute) for attribute in family.attributes]
    bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
    printed = HistogramMetricFamily(metric.prometheus_name, metric.description, labels=labels)
    for point in family.points:
        total, *counts = point.numbers
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        printed.add_metric(point.labels, buckets, _amount(total, metric.per_unit))
    return printed


def _amount(total: int, per_unit: int) -> float:
    # Division of two integers is rounded once and correctly; multiplying by 1e-9 would not be.
    return total / per_unit
