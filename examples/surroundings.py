"""What an example stands in: gateway, pretend provider, collector and web server, on loopback."""

import os
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import printed
import uvicorn
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import spanmeter
from spanmeter_gateway.demo import run

App = Callable[..., Awaitable[None]]
Note = Callable[[Any], Awaitable[None]]
"""Told of each request that the application sends to a model."""
WAIT_S = 60.0


def show(make_app: Callable[[str, Note], App], visits: Sequence[str]) -> None:
    """Visit an application's pages, and print what its calls were for and what arrived of them."""
    calls: list[spanmeter.Attribution] = []

    async def note(request: Any) -> None:
        calls.append(spanmeter.current())
        printed.call(request.url.path, calls[-1])

    with (
        tempfile.TemporaryDirectory() as folder,
        collector() as spans,
        run.gateway(Path(folder)) as config,
    ):
        with tracing(), served(make_app(config.url, note)) as url:
            for path in visits:
                printed.visit(path)
                read(f"{url}{path}")
        deadline = time.monotonic() + WAIT_S
        while sum(span.is_call for span in spans) < len(calls) and time.monotonic() < deadline:
            time.sleep(0.05)
        printed.traces(spans)
        printed.metrics(read(f"{config.books_url}/metrics?peek=true"))


def read(url: str) -> str:
    """Read a page to its end."""
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        text: str = answer.read().decode()
    return text


@contextmanager
def collector() -> Iterator[list[printed.Arrived]]:
    """Take spans as an OpenTelemetry Collector would, from shop and gateway; yields them."""
    spans: list[printed.Arrived] = []

    class Export(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                spans.extend(printed.arrived(ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Export) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        # The standard variables: the gateway that is started with them sends its spans here, too.
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = "none"
        try:
            yield spans
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tracing() -> Iterator[None]:
    """Let spans be made: FastAPI makes one of each request where there is a provider of them."""
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextmanager
def served(app: App) -> Iterator[str]:
    """Serve an application with uvicorn; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
