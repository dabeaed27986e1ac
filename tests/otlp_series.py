"""Metrics as series, whichever way they came: OTLP requests and a page of `/metrics`, comparable.

A series is a name in Prometheus and labels without empty values; buckets add up, as `le` says.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2
from prometheus_client.parser import text_string_to_metric_families

from spanmeter_gateway.telemetry import names

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
METRIC_BY_OTLP_NAME = {metric.name: metric for metric in names.METRICS}


def series_of_requests(requests: Iterable[ExportMetricsServiceRequest]) -> Series:
    """Translate OTLP by the table of names; of several points of a series, the last counts."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for metric in metrics_of(requests):
        name = METRIC_BY_OTLP_NAME[metric.name].prometheus_name
        for point in points_of(metric):
            for suffix, le, value in _samples(point):
                found[name + suffix, frozenset((labels_of(point) | le).items())] = value
    return found


def series_of_page(text: str) -> Series:
    """Read a page of `/metrics`."""
    return {
        (sample.name, frozenset(_labels(sample.labels).items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics_of(requests: Iterable[ExportMetricsServiceRequest]) -> list[metrics_pb2.Metric]:
    """List every metric of every request, in order."""
    return [
        metric
        for request in requests
        for of_resource in request.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    ]


def points_of(metric: metrics_pb2.Metric) -> Any:
    """Return the data points of any kind of metric."""
    return getattr(metric, metric.WhichOneof("data") or "").data_points


def labels_of(point: Any) -> dict[str, str]:
    """Return a point's attributes as labels."""
    return {names.label(pair.key): _text(pair.value) for pair in point.attributes}


def _text(value: Any) -> str:
    return str(getattr(value, value.WhichOneof("value")))


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        name: str(float(value)) if name == "le" else value
        for name, value in labels.items()
        if value
    }


def _samples(point: Any) -> Iterable[tuple[str, dict[str, str], float]]:
    if not isinstance(point, metrics_pb2.HistogramDataPoint):
        yield "", {}, float(getattr(point, point.WhichOneof("value")))  # as Prometheus keeps it
        return
    bounds = [*point.explicit_bounds, float("inf")]
    for bound, count in zip(bounds, accumulate(point.bucket_counts), strict=True):
        yield "_bucket", {"le": str(bound)}, count
    yield "_count", {}, point.count
    yield "_sum", {}, point.sum
