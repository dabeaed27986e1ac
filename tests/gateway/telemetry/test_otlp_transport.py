"""Both signals over both protocols, to real receivers, as the standard variables ask for."""

import logging
import os
import socket
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.fakes.counting_pipe import counting_pipe
from tests.gateway.telemetry.otlp_receivers import (
    OpenReceiver,
    Receiver,
    grpc_receiver,
    http_receiver,
)

from spanmeter_gateway.telemetry.otlp_settings import OWN, Signal, read_settings
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request, Transport, open_transport

LONG = 5000
MESSAGES: dict[Signal, Any] = {
    "traces": ExportTraceServiceRequest(
        resource_spans=[{"schema_url": "x" * LONG}]  # long enough to be worth compressing
    ),
    "metrics": ExportMetricsServiceRequest(resource_metrics=[{"schema_url": "x" * LONG}]),
}
PROTOCOLS = [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]
WAYS = [(signal, *protocol) for signal, protocol in product(MESSAGES, PROTOCOLS)]
every_way = pytest.mark.parametrize(("signal", "protocol", "serve"), WAYS)
BUSY = {"http/protobuf": (503, {"retry-after": "0"}), "grpc": grpc.StatusCode.UNAVAILABLE}
BAD = {"http/protobuf": (400, {}), "grpc": grpc.StatusCode.INVALID_ARGUMENT}
PATIENCE_S = 5.0
"""Far more than a time-out of 0.3 s, far less than the exporters' own 10 s."""


@pytest.fixture(autouse=True)
def _no_otel_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def transport_to(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, endpoint: str, **variables: str
) -> Transport:
    """Open what these variables ask for; their names without the common beginning."""
    asked = {"ENDPOINT": endpoint, "PROTOCOL": protocol, "TIMEOUT": "2000"} | variables
    for name, value in asked.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    settings = read_settings(os.environ, signal)
    assert settings is not None
    return open_transport(settings)


def request_of(signal: Signal) -> Request:
    return Request(MESSAGES[signal].SerializeToString(), 1)


def client_files(authority: trustme.CA, folder: Path) -> dict[str, str]:
    """Write what a client of this authority needs; the variables that name the files."""
    certificate = authority.issue_cert("books.internal")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(str(folder / "cert.pem"), append=True)
    names = {"CERTIFICATE": "ca.pem", "CLIENT_CERTIFICATE": "cert.pem", "CLIENT_KEY": "key.pem"}
    return {variable: str(folder / name) for variable, name in names.items()}


@every_way
def test_a_request_arrives_as_it_was_encoded(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, serve: OpenReceiver
):
    with serve(Receiver()) as receiver:
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint)

        answer = transport.send(request_of(signal))

        transport.shutdown()
        assert (answer, receiver.requests) == (Answer.ACCEPTED, [MESSAGES[signal]])


@every_way
def test_headers_are_those_of_the_signal(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, serve: OpenReceiver
):
    with serve(Receiver()) as receiver:
        own = OWN[signal].format("HEADERS").removeprefix("OTEL_EXPORTER_OTLP_")
        asked = {"HEADERS": "x-tenant=other", own: "x-tenant=a%20b"}
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint, **asked)

        answer = transport.send(request_of(signal))

        transport.shutdown()
        assert (answer, receiver.headers[0]["x-tenant"]) == (Answer.ACCEPTED, "a b")


@every_way
@pytest.mark.parametrize(("coding", "is_small"), [("gzip", True), ("none", False)])
def test_requests_are_compressed_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    coding: str,
    is_small: bool,  # noqa: FBT001 - a parameter of the test
    signal: Signal,
    protocol: str,
    serve: OpenReceiver,
):
    with serve(Receiver()) as receiver:
        with counting_pipe(urlsplit(receiver.endpoint).port or 0) as pipe:
            endpoint = f"http://127.0.0.1:{pipe.port}"
            transport = transport_to(monkeypatch, signal, protocol, endpoint, COMPRESSION=coding)

            answer = transport.send(request_of(signal))

            transport.shutdown()
        assert (answer, receiver.requests) == (Answer.ACCEPTED, [MESSAGES[signal]])
        assert (pipe.sent_bytes < LONG) is is_small


@every_way
def test_an_authority_and_a_client_certificate_of_ones_own_are_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    signal: Signal,
    protocol: str,
    serve: OpenReceiver,
):
    receiver = Receiver()
    receiver.authority = trustme.CA()
    files = client_files(receiver.authority, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "of-everything-else.pem"))
    with serve(receiver):
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint, **files)

        answer = transport.send(request_of(signal))

        transport.shutdown()
        assert (answer, receiver.requests) == (Answer.ACCEPTED, [MESSAGES[signal]])


@every_way
@pytest.mark.parametrize("left_out", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_stranger_is_not_talked_to(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    left_out: str,
    signal: Signal,
    protocol: str,
    serve: OpenReceiver,
):
    receiver = Receiver()
    receiver.authority = trustme.CA()
    files = client_files(receiver.authority, tmp_path)
    known = {name: path for name, path in files.items() if not name.startswith(left_out)}
    known.pop("CLIENT_KEY" if left_out == "CLIENT_CERTIFICATE" else "", None)
    with serve(receiver):
        asked = known | {"TIMEOUT": "700"}
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint, **asked)

        answer = transport.send(request_of(signal))

        transport.shutdown()
        assert (answer, receiver.requests) == (Answer.BUSY, [])


@every_way
def test_a_busy_receiver_is_asked_again_and_one_that_refuses_is_not(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.refusals = [BUSY[protocol], BAD[protocol]]
    with serve(receiver):
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint)

        answers = [transport.send(request_of(signal)) for _ in range(2)]

        transport.shutdown()
        assert (answers, receiver.arrivals) == ([Answer.REFUSED, Answer.ACCEPTED], 3)


@every_way
def test_a_receiver_that_never_answers_is_waited_for_as_long_as_was_asked(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.gate = threading.Event()
    with serve(receiver):
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint, TIMEOUT="300")
        began_s = time.monotonic()

        answer = transport.send(request_of(signal))

        waited_s = time.monotonic() - began_s
        receiver.gate.set()
        transport.shutdown()
        assert answer is Answer.BUSY
        assert 0.2 < waited_s < PATIENCE_S


@every_way
def test_one_request_may_have_less_time_than_the_others(
    monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.gate = threading.Event()
    with serve(receiver):
        transport = transport_to(monkeypatch, signal, protocol, receiver.endpoint, TIMEOUT="60000")
        began_s = time.monotonic()

        hurried = transport.send(request_of(signal), 0.3)

        waited_s = time.monotonic() - began_s
        receiver.gate.set()
        patient = transport.send(request_of(signal))
        transport.shutdown()
        assert (hurried, patient) == (Answer.BUSY, Answer.ACCEPTED)
        assert waited_s < PATIENCE_S


@every_way
def test_where_nobody_listens_the_log_says_so_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    signal: Signal,
    protocol: str,
    serve: OpenReceiver,
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    asked = {"TIMEOUT": "300", "HEADERS": "authorization=secret"}
    endpoint = f"http://me:password@127.0.0.1:{port}"
    transport = transport_to(monkeypatch, signal, protocol, endpoint, **asked)

    answers = [transport.send(request_of(signal)) for _ in range(2)]

    transport.shutdown()
    cause = {"http/protobuf": "ConnectionError", "grpc": "UNAVAILABLE"}[protocol]
    assert answers == [Answer.BUSY, Answer.BUSY]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"OTLP {signal}: 127.0.0.1:{port} does not take them ({cause})")
    ]


@pytest.mark.parametrize("signal", MESSAGES)
def test_a_redirection_is_no_acceptance(monkeypatch: pytest.MonkeyPatch, signal: Signal):
    receiver = Receiver()
    receiver.refusals = [(302, {"location": "/elsewhere"})]
    with http_receiver(receiver):
        transport = transport_to(monkeypatch, signal, "http/protobuf", receiver.endpoint)

        answer = transport.send(request_of(signal))

        transport.shutdown()
        assert (answer, receiver.arrivals) == (Answer.REFUSED, 1)
