from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from tests.gateway.telemetry.drawn_receipts import BILLS, RECEIPTS
from tests.gateway.telemetry.samples import ATTEMPT_SPAN, BILL, START_NS, TRACE, a_receipt
from tests.otlp_series import (
    labels_of,
    metrics_of,
    points_of,
    series_of_page,
    series_of_requests,
)

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import print_text
from spanmeter_gateway.telemetry.otlp_metrics import REQUEST_BYTES, MetricEncoder, Piece
from spanmeter_gateway.telemetry.otlp_settings import Temporality
from spanmeter_gateway.telemetry.registry import Family, Gauge, Point, Registry

CREATED_NS = START_NS
STARTED_NS = START_NS + 1
NOW_NS = START_NS + 60_000_000_000
RESOURCE = {"service.name": "edge", "service.instance.id": "books-1"}


def encoded(
    families: Sequence[Family],
    gauges: Sequence[Gauge] = (),
    temporality: Temporality = "cumulative",
) -> list[Piece]:
    encoder = MetricEncoder(RESOURCE, temporality=temporality, started_at_ns=STARTED_NS)
    return list(encoder.encode(families, gauges, now_ns=NOW_NS))


def read(pieces: Sequence[Piece]) -> list[ExportMetricsServiceRequest]:
    return [ExportMetricsServiceRequest.FromString(piece.request.body) for piece in pieces]


def metric_of(family: Family | Gauge, **options: Any) -> pb.Metric:
    """Encode one family or gauge; the message of its metric."""
    families, gauges = ([family], []) if isinstance(family, Family) else ([], [family])
    return metrics_of(read(encoded(families, gauges, **options)))[0]


def family_of(metric: names.Metric, *points: Point) -> Family:
    return Family(metric, metric.attributes, list(points))


@settings(max_examples=40)
@given(st.lists(st.tuples(RECEIPTS, BILLS), max_size=5))
def test_every_series_of_the_page_is_sent_with_the_same_labels_and_value(
    entries: list[tuple[Receipt, Bill]],
):
    registry = Registry()
    for receipt, bill in entries:
        registry.enter(receipt, bill)
    registry.set_gauge(names.BOOKS_LAG.prometheus_name, (), 0.25)
    registry.set_gauge(names.REQUESTS_ACTIVE.prometheus_name, (), 3)
    families, gauges = registry.collect(Reader.NONE), registry.gauges()
    body, _ = print_text(families, gauges, None)

    sent = series_of_requests(read(encoded(families, gauges)))

    # OTLP has whole numbers; Prometheus rounds those over 2^53 to the nearest double.
    as_scraped = {series: float(value) for series, value in sent.items()}
    assert as_scraped == series_of_page(body.decode())


def test_a_counter_of_whole_units_is_a_monotonic_sum_of_integers():
    family = family_of(names.SPANS, Point(("sent",), [7], CREATED_NS))

    metric = metric_of(family)

    assert (metric.name, metric.unit, metric.description) == (
        "spanmeter.spans", "{span}", names.SPANS.description,
    )  # fmt: skip
    assert metric.sum == pb.Sum(
        aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
        is_monotonic=True,
        data_points=[
            pb.NumberDataPoint(
                attributes=metric.sum.data_points[0].attributes,
                start_time_unix_nano=CREATED_NS,
                time_unix_nano=NOW_NS,
                as_int=7,
            )
        ],
    )
    assert labels_of(metric.sum.data_points[0]) == {"result": "sent"}


def test_a_cost_is_the_double_next_to_the_exact_sum():
    labels = ("", "", "", "", "", "input", "local")

    metric = metric_of(family_of(names.COST, Point(labels, [123_456_789_012_345_679], CREATED_NS)))

    assert [point.as_double for point in metric.sum.data_points] == [123_456_789.012_345_679]


def test_a_count_beyond_an_integer_is_a_double():
    metric = metric_of(family_of(names.RELAY_LOST, Point((), [1 << 63], CREATED_NS)))

    assert [point.as_double for point in metric.sum.data_points] == [2.0**63]


def test_a_histogram_has_bounds_counts_and_sum_and_no_more():
    bounds = names.CALL_DURATION.buckets
    counts = [2, 0, 1, *[0] * (len(bounds) - 2)]
    labels = ("checkout", "openai", "gpt", "chat", "ok")

    metric = metric_of(
        family_of(names.CALL_DURATION, Point(labels, [1_500_000_000, *counts], CREATED_NS))
    )

    assert metric.unit == "s"
    assert metric.histogram == pb.Histogram(
        aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
        data_points=[
            pb.HistogramDataPoint(
                attributes=metric.histogram.data_points[0].attributes,
                start_time_unix_nano=CREATED_NS,
                time_unix_nano=NOW_NS,
                count=3,
                sum=1.5,
                bucket_counts=counts,
                explicit_bounds=bounds,
            )
        ],
    )


def test_an_up_down_counter_is_a_sum_that_may_fall_since_the_start():
    metric = metric_of(Gauge(names.REQUESTS_ACTIVE, {(): 4}), temporality="delta")

    assert metric.sum == pb.Sum(
        aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
        data_points=[
            pb.NumberDataPoint(start_time_unix_nano=STARTED_NS, time_unix_nano=NOW_NS, as_int=4)
        ],
    )


def test_a_gauge_has_its_last_value():
    metric = metric_of(Gauge(names.BOOKS_LAG, {(): 0.5}))

    assert (metric.name, metric.unit) == ("spanmeter.books.lag", "s")
    assert metric.gauge == pb.Gauge(
        data_points=[pb.NumberDataPoint(time_unix_nano=NOW_NS, as_double=0.5)]
    )


def test_the_version_that_runs_is_told():
    (metric,) = metrics_of(read(encoded([])))

    assert metric.name == "spanmeter.build_info"
    assert [labels_of(point) for point in metric.gauge.data_points] == [
        {"version": version("spanmeter-gateway")}
    ]


def test_counters_and_histograms_say_that_they_are_deltas():
    counter = metric_of(family_of(names.RELAY_LOST, Point((), [1], 1)), temporality="delta")
    labels = ("",) * len(names.CALL_DURATION.attributes)
    numbers = [0] * (len(names.CALL_DURATION.buckets) + 2)
    histogram = metric_of(
        family_of(names.CALL_DURATION, Point(labels, numbers, 1)), temporality="delta"
    )

    delta = pb.AGGREGATION_TEMPORALITY_DELTA
    assert counter.sum.aggregation_temporality == delta
    assert histogram.histogram.aggregation_temporality == delta


def test_a_port_and_a_status_are_integers_and_an_empty_label_is_no_attribute():
    labels = ("POST", "http", "", "200", "/v1/x", "1.1")
    numbers = [0] * (len(names.HTTP_SERVER_DURATION.buckets) + 2)

    metric = metric_of(family_of(names.HTTP_SERVER_DURATION, Point(labels, numbers, 1)))

    (point,) = metric.histogram.data_points
    status = {pair.key: pair.value for pair in point.attributes}[names.HTTP_STATUS]
    assert status.int_value == 200
    assert [pair.key for pair in point.attributes] == [
        names.HTTP_METHOD, names.URL_SCHEME, names.HTTP_STATUS, names.HTTP_ROUTE,
        names.PROTOCOL_VERSION,
    ]  # fmt: skip


def test_an_exemplar_names_the_span_that_was_counted():
    registry = Registry()
    registry.enter(a_receipt(), BILL)

    metrics = metrics_of(read(encoded(registry.collect(Reader.NONE))))

    by_name = {metric.name: metric for metric in metrics}
    found = {
        name: [
            (one.trace_id.hex(), one.span_id.hex(), one.as_int, one.as_double)
            for point in points_of(by_name[name])
            for one in point.exemplars
        ]
        for name in (names.CALLS.name, names.INFERENCE_DURATION.name)
    }
    assert found == {
        names.CALLS.name: [(TRACE.trace_id, TRACE.span_id, 1, 0.0)],
        names.INFERENCE_DURATION.name: [(TRACE.trace_id, ATTEMPT_SPAN, 0, 1.4)],
    }


def test_resource_scope_and_schema_are_those_of_the_spans():
    (request,) = read(encoded([]))

    (of_resource,) = request.resource_metrics
    (of_scope,) = of_resource.scope_metrics
    assert {pair.key: pair.value.string_value for pair in of_resource.resource.attributes} == (
        RESOURCE
    )
    assert (of_scope.scope.name, of_scope.scope.version, of_scope.schema_url) == (
        "spanmeter", version("spanmeter-gateway"), names.SCHEMA_URL,
    )  # fmt: skip


def test_many_series_are_cut_into_requests_of_a_megabyte_without_loss():
    labels = [(f"feature-{number}" * 8, "", "", "", "") for number in range(4000)]
    numbers = [0, 1, *[0] * len(names.CALL_DURATION.buckets)]
    family = family_of(
        names.CALL_DURATION, *(Point(label, numbers, CREATED_NS) for label in labels)
    )

    pieces = encoded([family])

    sizes = [len(piece.request.body) for piece in pieces]
    assert len(pieces) > 1
    assert min(sizes[:-1]) > 0.9 * REQUEST_BYTES
    assert max(sizes) < 1.01 * REQUEST_BYTES
    assert [series for piece in pieces for series in piece.series] == [
        (names.CALL_DURATION.prometheus_name, label) for label in labels
    ]
    assert sum(piece.request.amount for piece in pieces) == len(labels) + 1
    assert len(series_of_requests(read(pieces))) == len(labels) * (len(numbers) + 1) + 1
