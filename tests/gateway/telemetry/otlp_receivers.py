"""Two real OTLP receivers, over HTTP and over gRPC, with TLS or not, that can be told to refuse."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import grpc
import trustme
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

Message = ExportTraceServiceRequest | ExportMetricsServiceRequest
_MESSAGE_BY_PATH = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Receiver:
    """What arrived, and how the next requests are to be answered."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.authority: trustme.CA | None = None
        """When there is one, the receiver speaks TLS, and only with clients that it vouches for."""
        self.requests: list[Message] = []
        self.headers: list[Mapping[str, str]] = []
        self.refusals: list[Any] = []
        """Answers to give before the first acceptance, in order."""
        self.answer = b""
        """The body of an acceptance; over gRPC it must be a message."""
        self.gate: threading.Event | None = None
        """When there is one, each request waits for it."""
        self.arrivals = 0
        self._changed = threading.Condition()

    def refusal(self) -> Any:
        """Return how to refuse the next request, or `None` to accept it."""
        with self._changed:
            self.arrivals += 1
            self._changed.notify_all()
        if self.gate is not None:
            self.gate.wait(20)
        with self._changed:
            return self.refusals.pop(0) if self.refusals else None

    def take(self, request: Message, headers: Mapping[str, str]) -> None:
        """Keep a request."""
        with self._changed:
            self.requests.append(request)
            self.headers.append(headers)
            self._changed.notify_all()

    def wait(self, is_enough: Callable[[], bool]) -> None:
        """Wait until something is so; looked at with every request, accepted or not."""
        with self._changed:
            assert self._changed.wait_for(is_enough, 20)

    def span_ids(self) -> list[str]:
        """Return the ids of all spans that were accepted."""
        return [
            span.span_id.hex()
            for request in self.requests
            if isinstance(request, ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class OpenReceiver(Protocol):
    def __call__(self, receiver: Receiver, port: int = 0) -> Any: ...


@contextmanager
def http_receiver(receiver: Receiver, port: int = 0) -> Iterator[Receiver]:
    """Serve OTLP over HTTP; a refusal is (status, headers)."""

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            refusal = receiver.refusal()
            status, headers = refusal or (200, {})
            if refusal is None:
                headers_seen = {key.lower(): value for key, value in self.headers.items()}
                headers_seen["path"] = self.path
                receiver.take(_MESSAGE_BY_PATH[self.path].FromString(body), headers_seen)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            content = receiver.answer if refusal is None else b""
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Exchange)
    server.daemon_threads = True
    scheme = "http"
    if receiver.authority is not None:
        scheme = "https"
        server.socket = _context(receiver.authority).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    receiver.endpoint = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_receiver(receiver: Receiver, port: int = 0) -> Iterator[Receiver]:
    """Serve OTLP over gRPC; a refusal is a status code."""

    def answer(request: Message, context: Any) -> None:
        if (code := receiver.refusal()) is not None:
            context.abort(code, "refused")
        receiver.take(request, dict(context.invocation_metadata()))

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(  # noqa: N802 - the generated class's name
            self, request: ExportTraceServiceRequest, context: Any
        ) -> ExportTraceServiceResponse:
            answer(request, context)
            return ExportTraceServiceResponse.FromString(receiver.answer)

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(  # noqa: N802 - the generated class's name
            self, request: ExportMetricsServiceRequest, context: Any
        ) -> ExportMetricsServiceResponse:
            answer(request, context)
            return ExportMetricsServiceResponse.FromString(receiver.answer)

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    address = f"127.0.0.1:{port}"
    if receiver.authority is None:
        receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port(address)}"
    else:
        bound = server.add_secure_port(address, _credentials(receiver.authority))
        receiver.endpoint = f"https://127.0.0.1:{bound}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _credentials(authority: trustme.CA) -> Any:
    ours = authority.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in ours.cert_chain_pems)
    return grpc.ssl_server_credentials(
        [(ours.private_key_pem.bytes(), chain)],
        root_certificates=authority.cert_pem.bytes(),
        require_client_auth=True,
    )
