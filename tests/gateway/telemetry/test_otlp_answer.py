"""What a backend answers to what it takes: partly, in rubbish, without end, or half."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.gateway.telemetry.otlp_receivers import (
    OpenReceiver,
    Receiver,
    grpc_receiver,
    http_receiver,
)

from spanmeter_gateway.telemetry.otlp_answer import LARGEST_BYTES, rejected
from spanmeter_gateway.telemetry.otlp_settings import Signal, read_settings
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request, Transport, open_transport

PROSE = "attribute prompt=my secret is too long"
REQUEST = Request(b"", 5)
WAYS = [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]


def partly(signal: Signal, count: int) -> bytes:
    """Give the answer of a backend that did not take so many spans or points."""
    if signal == "traces":
        answer: Any = ExportTraceServiceResponse(
            partial_success={"rejected_spans": count, "error_message": PROSE}
        )
    else:
        answer = ExportMetricsServiceResponse(
            partial_success={"rejected_data_points": count, "error_message": PROSE}
        )
    encoded: bytes = answer.SerializeToString()
    return encoded


def open_to(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, signal: Signal, protocol: str
) -> Transport:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    asked = {"ENDPOINT": endpoint, "PROTOCOL": protocol, "TIMEOUT": "2000"}
    for name, value in asked.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    settings = read_settings(os.environ, signal)
    assert settings is not None
    return open_transport(settings)


@pytest.mark.parametrize("signal", ["traces", "metrics"])
@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_what_a_backend_did_not_take_of_a_request_is_told_and_its_words_are_not_logged(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    signal: Signal,
    protocol: str,
    serve: OpenReceiver,
) -> None:
    receiver = Receiver()
    with serve(receiver), caplog.at_level(logging.WARNING):
        transport = open_to(monkeypatch, receiver.endpoint, signal, protocol)
        seen = []
        for count in (2, 0):
            receiver.answer = partly(signal, count)
            seen.append((transport.send(REQUEST), transport.rejected))
        transport.shutdown()

    address = receiver.endpoint.removeprefix("http://")
    assert seen == [(Answer.ACCEPTED, 2), (Answer.ACCEPTED, 0)]
    assert [record.getMessage() for record in caplog.records] == [
        f"OTLP {signal}: {address} took a request but for 2 of 5"
    ]


@pytest.mark.parametrize("signal", ["traces", "metrics"])
@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"", 0),
        (b"\xff\xff\xff", 0),
        (b"<html>It works!</html>", 0),
        (b'{"partialSuccess":{"rejectedSpans":"3"}}', 0),
    ],
)
def test_an_answer_that_cannot_be_read_says_nothing(
    signal: Signal, answer: bytes, count: int
) -> None:
    assert rejected(signal, answer, most=5) == count


@pytest.mark.parametrize("signal", ["traces", "metrics"])
@pytest.mark.parametrize(("said", "meant"), [(3, 3), (5, 5), (2**62, 5), (-1, 0)])
def test_more_than_was_sent_cannot_be_rejected_nor_less_than_nothing(
    signal: Signal, said: int, meant: int
) -> None:
    assert rejected(signal, partly(signal, said), most=5) == meant


OK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n"


class Endless:
    """Bytes that never end; how many were taken is counted."""

    def __init__(self) -> None:
        self.sent = 0


@contextmanager
def raw_backend(*pieces: bytes, endless: Endless | None = None) -> Iterator[str]:
    """Answer each request with these bytes, then close; or go on for ever."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, suppress(OSError):
                    peer.recv(65536)
                    for piece in pieces:
                        peer.sendall(piece)
                    while endless is not None:
                        endless.sent += peer.send(b"x" * 65536)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()
    with raw_backend(OK_HEAD + b"connection: close\r\n\r\n", endless=endless) as endpoint:
        transport = open_to(monkeypatch, endpoint, "traces", "http/protobuf")
        answer = transport.send(REQUEST)
        transport.shutdown()

    assert (answer, transport.rejected) == (Answer.ACCEPTED, 0)
    assert endless.sent < 100 * LARGEST_BYTES  # and what the sockets of both sides hold


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (OK_HEAD + b"content-length: 100\r\n\r\nhalf", Answer.ACCEPTED),
        (OK_HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnone", Answer.ACCEPTED),
        (OK_HEAD + b"transfer-encoding: chunked\r\n\r\nnot a size\r\n", Answer.ACCEPTED),
        (b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n", Answer.REFUSED),
        (b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
         Answer.REFUSED),
        (b"HTTP/1.1 429 Slow\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n", Answer.BUSY),
        (b"HTTP/1.1 503 Busy\r\nretry-after: never\r\ncontent-length: 0\r\n\r\n", Answer.BUSY),
        (b"HTTP/1.", Answer.BUSY),
        (b"", Answer.BUSY),
        (b"\x16\x03\x01\x02\x00", Answer.BUSY),
    ],
    ids=[
        "half a body", "no gzip", "no chunks", "too large", "redirected", "asked to wait long",
        "asked to wait for what", "half a head", "nothing", "no HTTP",
    ],
)  # fmt: skip
def test_odd_answers_are_taken_for_what_their_status_says(
    monkeypatch: pytest.MonkeyPatch, content: bytes, expected: Answer
) -> None:
    with raw_backend(content) as endpoint:
        transport = open_to(monkeypatch, endpoint, "traces", "http/protobuf")
        answers = [transport.send(REQUEST, 1.0) for _ in range(2)]
        transport.shutdown()

    assert answers == [expected, expected]
