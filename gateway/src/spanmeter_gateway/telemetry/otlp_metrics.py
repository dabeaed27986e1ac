"""The registry as OTLP metrics: the same points that `exposition` prints, under their OTLP names.

The official classes build them, one request at a time: 50,000 points take about a second of CPU,
most of it attributes. Data model: OpenTelemetry specification, metrics/data-model.md; a histogram
has no minimum and maximum, which the registry does not keep.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Exemplar
from spanmeter_gateway.telemetry.otlp import Value, any_value, fits
from spanmeter_gateway.telemetry.otlp_settings import Temporality
from spanmeter_gateway.telemetry.otlp_transport import Request
from spanmeter_gateway.telemetry.registry import Family, Gauge, Point

REQUEST_BYTES = 1_000_000
"""A gRPC server takes messages up to 4 MiB by default, and a backend over HTTP may take less."""
# Features, tags and models that repeat from point to point; an entry is about 300 bytes.
_REMEMBERED_ATTRIBUTES = 8192
# What the conventions make an integer (semantic-conventions, docs/general/attributes.md and
# docs/http/http-metrics.md); in Prometheus every label is text.
_INTEGERS = frozenset({names.SERVER_PORT, names.HTTP_STATUS})
_FRAME_BYTES = 4  # Of one point in its metric: a tag, and a length of up to 3 bytes.
_TEMPORALITY: Mapping[Temporality, pb.AggregationTemporality.ValueType] = {
    "cumulative": pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
    "delta": pb.AGGREGATION_TEMPORALITY_DELTA,
}
_BUILD_INFO = Gauge(names.BUILD_INFO, {(version(names.SERVICE),): 1})

Labels = tuple[str, ...]
SeriesKey = tuple[str, Labels]
"""A metric's name in Prometheus, and a series' label values."""
_DataPoint = pb.NumberDataPoint | pb.HistogramDataPoint


class Piece(NamedTuple):
    """One request, and the counters and histograms that stand in it."""

    request: Request
    series: list[SeriesKey]


class MetricEncoder:
    """Encode what was collected; `started_at_ns` is since when up-down-counters are counted."""

    def __init__(
        self, resource: Mapping[str, Value], *, temporality: Temporality, started_at_ns: int
    ) -> None:
        self._temporality = _TEMPORALITY[temporality]
        self._started_at_ns = started_at_ns
        self._empty = _envelope(resource)

    def encode(
        self, families: Iterable[Family], gauges: Iterable[Gauge], *, now_ns: int
    ) -> Iterator[Piece]:
        """Yield everything in requests of about 1 MB at most, each made when it is asked for."""
        draft = _Draft(self._empty)
        for shell, points in self._metrics(families, gauges, now_ns):
            for key, point in points:
                if draft.size > REQUEST_BYTES:
                    yield draft.piece()
                    draft = _Draft(self._empty)
                draft.add(shell, key, point)
        if draft.amount:
            yield draft.piece()

    def _metrics(
        self, families: Iterable[Family], gauges: Iterable[Gauge], now_ns: int
    ) -> Iterator[tuple[pb.Metric, Iterator[tuple[SeriesKey | None, _DataPoint]]]]:
        for family in families:
            yield self._shell(family.metric), _points(family, now_ns)
        for gauge in (*gauges, _BUILD_INFO):
            started_at_ns = self._started_at_ns if gauge.metric.kind == "updowncounter" else 0
            yield self._shell(gauge.metric), _values(gauge, now_ns, started_at_ns=started_at_ns)

    def _shell(self, metric: names.Metric) -> pb.Metric:
        """Make a metric without points."""
        shell = pb.Metric(name=metric.name, description=metric.description, unit=metric.unit)
        if metric.kind == "histogram":
            shell.histogram.aggregation_temporality = self._temporality
        elif metric.kind == "counter":
            shell.sum.aggregation_temporality = self._temporality
            shell.sum.is_monotonic = True
        elif metric.kind == "updowncounter":
            # Cumulative whatever is preferred (specification, metrics/sdk_exporters/otlp.md).
            shell.sum.aggregation_temporality = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
        else:
            shell.gauge.SetInParent()
        return shell


class _Draft:
    """A request that is being filled."""

    def __init__(self, empty: ExportMetricsServiceRequest) -> None:
        self._message = ExportMetricsServiceRequest()
        self._message.CopyFrom(empty)
        self._metrics = self._message.resource_metrics[0].scope_metrics[0].metrics
        self._shell: pb.Metric | None = None
        self._data_points: Any = None
        self._series: list[SeriesKey] = []
        self.size = empty.ByteSize()
        self.amount = 0

    def add(self, shell: pb.Metric, key: SeriesKey | None, point: _DataPoint) -> None:
        """Add a point to the metric of this shell, which follows where it is another one."""
        if shell is not self._shell:
            self._shell = shell
            metric = self._metrics.add()
            metric.CopyFrom(shell)
            self._data_points = getattr(metric, metric.WhichOneof("data") or "").data_points
            self.size += shell.ByteSize()
        self._data_points.append(point)
        self.size += point.ByteSize() + _FRAME_BYTES
        self.amount += 1
        if key is not None:
            self._series.append(key)

    def piece(self) -> Piece:
        """Encode what was added."""
        return Piece(Request(self._message.SerializeToString(), self.amount), self._series)


def _envelope(resource: Mapping[str, Value]) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    of_resource = message.resource_metrics.add()
    for key, value in resource.items():
        encoded = AnyValue.FromString(any_value(value))
        of_resource.resource.attributes.add(key=key, value=encoded)
    of_scope = of_resource.scope_metrics.add(schema_url=names.SCHEMA_URL)
    of_scope.scope.name = names.SCOPE
    of_scope.scope.version = version(names.SERVICE)
    return message


def _points(family: Family, now_ns: int) -> Iterator[tuple[SeriesKey, _DataPoint]]:
    metric = family.metric
    make = _histogram_point if metric.kind == "histogram" else _counter_point
    for point in family.points:
        attributes = _attributes(family.attributes, point.labels)
        exemplars = [_exemplar(one, metric.per_unit) for one in point.exemplars if one is not None]
        data_point = make(metric, point, attributes=attributes, exemplars=exemplars, now_ns=now_ns)
        yield (metric.prometheus_name, point.labels), data_point


def _histogram_point(
    metric: names.Metric,
    point: Point,
    *,
    attributes: list[KeyValue],
    exemplars: list[pb.Exemplar],
    now_ns: int,
) -> _DataPoint:
    total, *counts = point.numbers
    return pb.HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=point.created_at_ns,
        time_unix_nano=now_ns,
        count=sum(counts),
        sum=total / metric.per_unit,
        bucket_counts=counts,
        explicit_bounds=metric.buckets,
        exemplars=exemplars,
    )


def _counter_point(
    metric: names.Metric,
    point: Point,
    *,
    attributes: list[KeyValue],
    exemplars: list[pb.Exemplar],
    now_ns: int,
) -> _DataPoint:
    return pb.NumberDataPoint(
        attributes=attributes,
        start_time_unix_nano=point.created_at_ns,
        time_unix_nano=now_ns,
        exemplars=exemplars,
        **_number(point.numbers[0], metric.per_unit),
    )


def _values(
    gauge: Gauge, now_ns: int, *, started_at_ns: int
) -> Iterator[tuple[None, pb.NumberDataPoint]]:
    for labels, value in gauge.values.items():
        yield (
            None,
            pb.NumberDataPoint(
                attributes=_attributes(gauge.metric.attributes, labels),
                start_time_unix_nano=started_at_ns,
                time_unix_nano=now_ns,
                **(_number(value, 1) if isinstance(value, int) else {"as_double": value}),
            ),
        )


def _number(amount: int, per_unit: int) -> dict[str, Any]:
    """Choose the field of a number: whole units are integers as long as they fit."""
    if per_unit == 1 and fits(amount):
        return {"as_int": amount}
    # Division of two integers is rounded once and correctly; multiplying by 1e-9 would not be.
    return {"as_double": amount / per_unit}


def _exemplar(exemplar: Exemplar, per_unit: int) -> pb.Exemplar:
    return pb.Exemplar(
        trace_id=bytes.fromhex(exemplar.trace_id),
        span_id=bytes.fromhex(exemplar.span_id),
        time_unix_nano=exemplar.at_ns,
        **_number(exemplar.amount, per_unit),
    )


def _attributes(attributes: Sequence[str], labels: Labels) -> list[KeyValue]:
    """Encode label values; one that is empty is no attribute."""
    pairs = zip(attributes, labels, strict=True)
    return [_attribute(attribute, value) for attribute, value in pairs if value]


@lru_cache(_REMEMBERED_ATTRIBUTES)
def _attribute(attribute: str, value: str) -> KeyValue:
    if attribute in _INTEGERS and value.isdecimal():
        return KeyValue(key=attribute, value=AnyValue(int_value=int(value)))
    return KeyValue(key=attribute, value=AnyValue(string_value=value))
