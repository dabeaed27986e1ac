"""A collector that keeps what it is sent: OTLP over HTTP as protobuf, spans and metrics.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True, slots=True)
class SinkSpan:
    """One span as it came; `kind` is `SERVER` or `CLIENT`, `status` `UNSET`, `OK` or `ERROR`."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    status: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    start_ns: int
    end_ns: int
    scope: str
    trace_state: str
    flags: int


class OtlpSink:
    """The server in a thread of its own. `status` can be set to refuse what comes."""

    def __init__(self) -> None:
        self.spans: list[SinkSpan] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.bodies: list[bytes] = []
        """Every body received, decompressed: what a test for leaked content searches."""
        self.status = 200
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._request_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="otlp-sink")

    @property
    def endpoint(self) -> str:
        """The value for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """The standard variables that make an exporter send here."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def wait(
        self, is_enough: Callable[[list[SinkSpan]], bool], *, timeout_s: float = 20
    ) -> list[SinkSpan]:
        """Wait until the spans satisfy a predicate, and return all; raises `TimeoutError`."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: is_enough(self.spans), timeout_s):
                raise TimeoutError(f"{len(self.spans)} spans came, and they are not enough")
            return list(self.spans)

    def client_spans(self) -> dict[str, SinkSpan]:
        """Return the CLIENT spans by feature; of several with one feature, the last."""
        return {
            str(span.attributes.get("spanmeter.feature")): span
            for span in list(self.spans)
            if span.kind == "CLIENT"
        }

    def take(self, path: str, body: bytes) -> bytes:
        """Keep a decompressed body, and return the answer to it."""
        with self._arrived:
            self.bodies.append(body)
            if path == "/v1/traces":
                self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
                answer: bytes = ExportTraceServiceResponse().SerializeToString()
            else:
                self.metrics.append(ExportMetricsServiceRequest.FromString(body))
                answer = ExportMetricsServiceResponse().SerializeToString()
            self._arrived.notify_all()
        return answer

    def _request_class(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = sink.take(self.path, body) if sink.status == 200 else b""
                self.send_response(sink.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing: a test's output is for the test."""

        return Request


def _spans(request: ExportTraceServiceRequest) -> list[SinkSpan]:
    return [
        _span(span, resource=_attributes(group.resource.attributes), scope=scope.scope.name)
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: trace_pb2.Span, *, resource: Mapping[str, Any], scope: str) -> SinkSpan:
    return SinkSpan(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        attributes=_attributes(span.attributes),
        resource=resource,
        events=tuple((event.name, _attributes(event.attributes)) for event in span.events),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        scope=scope,
        trace_state=span.trace_state,
        flags=span.flags,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return None if kind is None else getattr(value, kind)
