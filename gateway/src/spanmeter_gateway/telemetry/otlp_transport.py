"""Encoded spans over OTLP, by the OpenTelemetry SDK's own exporters: HTTP/protobuf or gRPC.

The exporters keep what they are good at: retries within one try's time-out, `Retry-After`, TLS,
headers, compression and the standard `OTEL_EXPORTER_OTLP_*` variables, which they read from the
process's environment. Only their encoding is skipped. That leans on two of their internals (the
HTTP exporter's `_client`, the gRPC exporter's `_export` and `_translate_data`), so a newer release
is taken after the tests here pass.
"""

from enum import Enum
from typing import Any, NamedTuple, Protocol

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExportResult

# OTLP specification, "Failures": what a client may send again. Everything else would fail again.
_RETRYABLE_STATUSES = frozenset({None, 429, 502, 503, 504})
_RETRYABLE_CODES = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Answer(Enum):
    """How the other side took a request."""

    ACCEPTED = "accepted"
    BUSY = "busy"
    """Not now, or not reachable: the same request may be sent again."""
    REFUSED = "refused"
    """It would be refused again."""


class Request(NamedTuple):
    """One encoded ExportTraceServiceRequest, and how many spans it holds."""

    body: bytes
    spans: int


class Transport(Protocol):
    """A way to send encoded requests."""

    def send(self, request: Request) -> Answer:
        """Send one request; takes as long as the exporter's time-out, retries included."""
        ...

    def shutdown(self) -> None:
        """Give up what is being sent, soon."""
        ...


class HttpTransport(HttpSpanExporter):
    """OTLP over HTTP, encoded by us."""

    def send(self, request: Request) -> Answer:
        """Send one request, with the exporter's retries."""
        result = self._client.export(request.body)
        if result.success:
            return Answer.ACCEPTED
        return Answer.BUSY if result.status_code in _RETRYABLE_STATUSES else Answer.REFUSED


class _RawStub:
    """The trace service's stub for requests that are bytes already; remembers the last failure."""

    def __init__(self, channel: Any) -> None:
        self._export = channel.unary_unary(
            _METHOD, response_deserializer=ExportTraceServiceResponse.FromString
        )
        self.failure: grpc.StatusCode | None = None

    def Export(  # noqa: N802 - the generated stub's name
        self, request: bytes, metadata: Any = None, timeout: float | None = None
    ) -> Any:
        """Send one request; raise `grpc.RpcError` when it fails."""
        try:
            return self._export(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            self.failure = error.code()
            raise


class GrpcTransport(GrpcSpanExporter):
    """OTLP over gRPC, encoded by us."""

    def send(self, request: Request) -> Answer:
        """Send one request, with the exporter's retries."""
        try:
            result = self._export(request)  # type: ignore[arg-type]  # see _translate_data
        except ValueError:
            # grpc raises it on a channel that `shutdown` has closed meanwhile.
            return Answer.BUSY
        if result is SpanExportResult.SUCCESS:
            return Answer.ACCEPTED
        failure = self._stub_of_bytes.failure
        return Answer.BUSY if failure is None or failure in _RETRYABLE_CODES else Answer.REFUSED

    def _initialize_channel_and_stub(self) -> None:
        # The exporter calls this at first and to connect again; its own stub takes messages only.
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # theirs has no types
        self._stub_of_bytes = _RawStub(self._channel)
        self._client = self._stub_of_bytes  # type: ignore[assignment]  # a stub of bytes

    def _translate_data(self, data: Request) -> bytes:  # type: ignore[override]  # bytes, not spans
        # The exporter's hook from its caller's spans to what its stub sends: ours are encoded.
        return data.body

    def _count_data(self, data: Request) -> int:  # type: ignore[override]  # bytes, not spans
        return data.spans
