"""Traces and metrics over gRPC into an `OtlpSink`: another door of the same collector.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.fakes.otlp_sink import OtlpSink


@contextmanager
def grpc_door(sink: OtlpSink, port: int = 0) -> Iterator[str]:
    """Open it on a port, or on a free one; its endpoint."""

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(  # noqa: N802 - the generated class's name
            self, request: ExportTraceServiceRequest, _context: Any
        ) -> ExportTraceServiceResponse:
            answer = sink.take("/v1/traces", request.SerializeToString())
            return ExportTraceServiceResponse.FromString(answer)

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(  # noqa: N802 - the generated class's name
            self, request: ExportMetricsServiceRequest, _context: Any
        ) -> ExportMetricsServiceResponse:
            answer = sink.take("/v1/metrics", request.SerializeToString())
            return ExportMetricsServiceResponse.FromString(answer)

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"http://127.0.0.1:{bound}"
    finally:
        server.stop(None).wait()
