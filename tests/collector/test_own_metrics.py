"""What rules read of the Collector itself is on its own page, by the names that they have."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, NoReturn

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from tests.collector_process import CollectorProcess
from tests.gateway_process import Metrics
from tests.processes import wait_until

from spanmeter_gateway.alerting import pipeline

QUEUE = {"otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"}
EXPORTER_LOST = {"otelcol_exporter_enqueue_failed_spans", "otelcol_exporter_send_failed_spans"}
RECEIVER_REFUSED = {"otelcol_receiver_refused_spans", "otelcol_receiver_refused_metric_points"}
QUEUE_OF_ONE = {
    "exporters": {
        "otlp_grpc/traces": {
            "sending_queue": {"queue_size": 1, "batch": {"min_size": 1, "max_size": 1}}
        }
    }
}
NO_MEMORY = {
    "processors": {
        "memory_limiter": {
            "check_interval": "100ms", "limit_percentage": 0, "spike_limit_percentage": 0,
            "limit_mib": 2, "spike_limit_mib": 1,
        }
    }
}  # fmt: skip


@contextmanager
def refusing_backend(release: Event) -> Iterator[str]:
    """Keep spans waiting until released, then refuse them for good; its endpoint."""

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, _request: Any, context: Any) -> NoReturn:  # noqa: N802 - generated name
            release.wait(30)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")

    server = grpc.server(ThreadPoolExecutor(16))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        release.set()
        server.stop(None).wait()


def test_the_queue_and_what_is_lost_behind_it_are_on_the_page() -> None:
    release = Event()
    with (
        refusing_backend(release) as backend,
        CollectorProcess(traces_to=backend, settings=QUEUE_OF_ONE) as collector,
    ):
        at_first = _names(collector)
        wait_until(lambda: _has_sent(collector, "otelcol_exporter_enqueue_failed_spans"))
        release.set()
        wait_until(lambda: _names(collector) >= EXPORTER_LOST)

    assert at_first >= QUEUE
    # They appear with the first loss: `increase` alone would not see it.
    assert not EXPORTER_LOST & at_first


def test_what_is_refused_for_want_of_memory_is_on_the_page() -> None:
    with CollectorProcess(settings=NO_MEMORY) as collector:
        wait_until(lambda: _refuses(collector, "traces", _spans(1)))
        wait_until(lambda: _refuses(collector, "metrics", _metrics()))
        refused = {name: _total(collector, name) > 0 for name in RECEIVER_REFUSED}

    assert refused == dict.fromkeys(RECEIVER_REFUSED, True)


def test_no_name_is_read_that_nothing_here_shows() -> None:
    assert {*QUEUE, *EXPORTER_LOST, *RECEIVER_REFUSED} == set(pipeline.COLLECTOR)


def _names(collector: CollectorProcess) -> set[str]:
    lines = collector.own_metrics().splitlines()
    return {line.partition("{")[0].partition(" ")[0] for line in lines if line[:1] != "#"}


def _total(collector: CollectorProcess, name: str) -> float:
    return Metrics(collector.own_metrics()).total(name)


def _has_sent(collector: CollectorProcess, until: str) -> bool:
    _post(collector, "traces", _spans(5))
    return _total(collector, until) > 0


def _refuses(collector: CollectorProcess, signal: str, body: bytes) -> bool:
    try:
        _post(collector, signal, body)
    except urllib.error.HTTPError as error:
        return error.code == 503
    return False


def _post(collector: CollectorProcess, signal: str, body: bytes) -> None:
    headers = {"content-type": "application/x-protobuf"}
    request = urllib.request.Request(f"{collector.http_endpoint}/v1/{signal}", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def _spans(count: int) -> bytes:
    # Each of a trace of its own: a span that joins one puts off the decision on it.
    spans = [
        Span(trace_id=os.urandom(16), span_id=os.urandom(8), name="chat") for _ in range(count)
    ]
    scope = ScopeSpans(spans=spans)
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[scope])]
    ).SerializeToString()


def _metrics() -> bytes:
    metric = Metric(name="any", gauge=Gauge(data_points=[NumberDataPoint(as_int=1)]))
    scope = ScopeMetrics(metrics=[metric])
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(scope_metrics=[scope])]
    ).SerializeToString()
