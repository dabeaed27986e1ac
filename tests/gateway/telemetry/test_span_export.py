import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from tests.gateway.telemetry.otlp_receivers import (
    OpenReceiver,
    Receiver,
    grpc_receiver,
    http_receiver,
)
from tests.gateway.telemetry.samples import ATTEMPT_SPAN, BILL, TRACE, a_receipt

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt, Trace
from spanmeter_gateway.telemetry.otlp import Envelope
from spanmeter_gateway.telemetry.otlp_settings import OtlpSettings
from spanmeter_gateway.telemetry.otlp_transport import Answer, Request, open_transport
from spanmeter_gateway.telemetry.span_export import Patience, SpanExport, span_export_from_env
from spanmeter_gateway.telemetry.spans import SpanEncoder

ENTRY = (a_receipt(), BILL)
IDS = [TRACE.span_id, ATTEMPT_SPAN]
ENVELOPE = Envelope({}, "spanmeter", version="1", schema_url="")
WAYS = [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]
BUSY = {"http/protobuf": (503, {"retry-after": "0"}), "grpc": grpc.StatusCode.UNAVAILABLE}
BAD = {"http/protobuf": (400, {}), "grpc": grpc.StatusCode.INVALID_ARGUMENT}


@pytest.fixture(autouse=True)
def _no_otel_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    # The exporters give up a try at once, so that ours are the retries under test.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "700")


class Recorded:
    """A transport that answers as it is told, and waits at a gate when there is one."""

    def __init__(self, *answers: Answer, gate: threading.Event | None = None) -> None:
        self.sent: list[Request] = []
        self._answers = list(answers)
        self._gate = gate
        self.rejected = 0
        self.is_shut_down = False

    def send(self, request: Request, within_s: float | None = None) -> Answer:
        if self._gate is not None:
            self._gate.wait(20)
        self.sent.append(request)
        return self._answers.pop(0) if self._answers else Answer.ACCEPTED

    def shutdown(self) -> None:
        self.is_shut_down = True


@contextmanager
def _exporting(monkeypatch: pytest.MonkeyPatch, protocol: str, endpoint: str) -> Iterator[Any]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    export = span_export_from_env(os.environ, {}, patience=Patience(first_backoff_s=0.05))
    assert export is not None
    try:
        yield export
    finally:
        export.close(5)


def _export(transport: Recorded, **options: Any) -> SpanExport:
    patience = options.pop("patience", Patience(first_backoff_s=0.01))
    return SpanExport(transport, SpanEncoder(), ENVELOPE, patience=patience, **options)


def _many(amount: int) -> list[tuple[Receipt, Bill]]:
    return [ENTRY] * amount


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_spans_arrive_and_their_segment_is_settled(
    monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver
):
    with serve(Receiver()) as receiver, _exporting(monkeypatch, protocol, receiver.endpoint) as it:
        it.offer("segment-1", [ENTRY])
        it.close(10)

        assert receiver.span_ids() == IDS
        assert it.settled() == ["segment-1"]
        assert it.settled() == []
        assert it.counts() == {"sent": 2, "rejected": 0, "dropped": 0, "failed": 0}


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_a_busy_backend_is_tried_again_until_it_takes_the_spans(
    monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.refusals = [BUSY[protocol]] * 3
    with serve(receiver), _exporting(monkeypatch, protocol, receiver.endpoint) as export:
        export.offer("segment-1", [ENTRY])
        receiver.wait(lambda: bool(receiver.requests))
        export.close(10)

        assert (receiver.span_ids(), export.settled()) == (IDS, ["segment-1"])


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_an_outage_keeps_the_segment_until_the_backend_is_back(
    monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver
):
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
        with _exporting(monkeypatch, protocol, f"http://127.0.0.1:{port}") as export:
            export.offer("segment-1", [ENTRY])
            dead.accept()[0].close()
            before = export.settled()
            dead.close()

            with serve(Receiver(), port) as receiver:
                receiver.wait(lambda: bool(receiver.requests))
                export.close(10)

            assert (before, export.settled()) == ([], ["segment-1"])
            assert receiver.span_ids() == IDS


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_what_a_backend_refuses_for_good_is_counted_and_does_not_hold_up_the_rest(
    monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.refusals = [BAD[protocol]]
    with serve(receiver), _exporting(monkeypatch, protocol, receiver.endpoint) as export:
        export.offer("bad", [ENTRY])
        export.offer("good", [ENTRY])
        export.close(10)

        assert export.settled() == ["bad", "good"]
        assert export.counts() == {"sent": 2, "rejected": 0, "dropped": 0, "failed": 2}
        assert receiver.span_ids() == IDS


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_headers_are_sent(monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=acme")
    with serve(Receiver()) as receiver, _exporting(monkeypatch, protocol, receiver.endpoint) as it:
        it.offer("segment-1", [ENTRY])
        it.close(10)

        assert receiver.headers[0]["x-tenant"] == "acme"


def test_http_bodies_are_compressed_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with http_receiver(Receiver()) as receiver:
        with _exporting(monkeypatch, "http/protobuf", receiver.endpoint) as export:
            export.offer("segment-1", [ENTRY])
            export.close(10)

        assert receiver.headers[0]["content-encoding"] == "gzip"
        assert receiver.headers[0]["path"] == "/v1/traces"
        assert receiver.span_ids() == IDS


def test_grpc_messages_are_compressed_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with grpc_receiver(Receiver()) as receiver:
        with _exporting(monkeypatch, "grpc", receiver.endpoint) as export:
            export.offer("segment-1", _many(100))
            export.close(10)

        assert len(receiver.span_ids()) == 200


def test_retry_after_is_honoured():
    receiver = Receiver()
    receiver.refusals = [(503, {"retry-after": "0"})] * 3
    with http_receiver(receiver):
        transport = open_transport(
            OtlpSettings("traces", f"{receiver.endpoint}/v1/traces", timeout_s=0.7)
        )
        body = ENVELOPE.seal([SpanEncoder().encode(*ENTRY).encoded])

        answer = transport.send(Request(body, 2))

        # The exporter's own first backoff is longer than the whole time-out of the try.
        assert (answer, receiver.arrivals) == (Answer.ACCEPTED, 4)
        transport.shutdown()


@pytest.mark.parametrize(("protocol", "serve"), WAYS)
def test_closing_gives_up_a_request_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, protocol: str, serve: OpenReceiver
):
    receiver = Receiver()
    receiver.gate = threading.Event()
    with serve(receiver), _exporting(monkeypatch, protocol, receiver.endpoint) as export:
        export.offer("segment-1", [ENTRY])
        receiver.wait(lambda: receiver.arrivals == 1)

        export.close(0.01)

        assert (export.settled(), receiver.requests) == ([], [])
        export.close(10)
        receiver.gate.set()
        assert _sending_threads() == []


def test_a_channel_that_was_closed_meanwhile_is_no_accident():
    transport = open_transport(OtlpSettings("traces", "http://127.0.0.1:1", "grpc"))
    transport._exporter._channel.close()  # type: ignore[attr-defined]  # as a shutdown meanwhile

    assert transport.send(Request(b"", 0)) is Answer.BUSY


def _sending_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "span-export"]


def test_a_dead_backend_costs_bounded_memory_and_never_blocks():
    gate = threading.Event()
    transport = Recorded(gate=gate)
    size = len(ENVELOPE.seal([SpanEncoder().encode(*ENTRY).encoded]))
    export = _export(transport, queue_bytes=2 * size)

    for number in range(5):
        export.offer(f"segment-{number}", [ENTRY])

    assert export.settled() == ["segment-2", "segment-3", "segment-4"]
    assert export.counts() == {"sent": 0, "rejected": 0, "dropped": 6, "failed": 0}
    gate.set()
    export.close(10)
    assert export.settled() == ["segment-0", "segment-1"]


def test_room_is_made_by_what_is_sent():
    transport = Recorded()
    size = len(ENVELOPE.seal([SpanEncoder().encode(*ENTRY).encoded]))
    export = _export(transport, queue_bytes=size)
    export.offer("segment-1", [ENTRY])
    _wait_for_settled(export)

    export.offer("segment-2", [ENTRY])
    export.close(10)

    assert export.counts() == {"sent": 4, "rejected": 0, "dropped": 0, "failed": 0}


def _wait_for_settled(export: SpanExport) -> None:
    waiting = threading.Event()
    while not export.settled():
        waiting.wait(0.005)


def test_a_segment_is_given_up_when_patience_ends():
    export = _export(
        Recorded(*[Answer.BUSY] * 1000), patience=Patience(give_up_s=0.05, first_backoff_s=0.01)
    )

    export.offer("segment-1", [ENTRY])
    _wait_for_settled(export)
    export.close(10)

    assert export.counts() == {"sent": 0, "rejected": 0, "dropped": 0, "failed": 2}


def test_spans_that_a_backend_did_not_take_are_rejected_and_not_sent_again():
    transport = Recorded()
    transport.rejected = 1
    export = _export(transport)

    export.offer("a", _many(2))
    export.close(20)

    assert export.counts() == {"sent": 3, "rejected": 1, "dropped": 0, "failed": 0}
    assert (len(transport.sent), export.settled(), export.held()) == (1, ["a"], 3)


def test_closing_does_not_wait_for_a_busy_backend_and_leaves_the_segment_unsettled():
    transport = Recorded(*[Answer.BUSY] * 1000)
    export = _export(transport, patience=Patience(first_backoff_s=60))
    export.offer("segment-1", [ENTRY])

    export.close(30)

    assert (_sending_threads(), transport.is_shut_down) == ([], True)
    assert (export.settled(), export.counts()["failed"]) == ([], 0)


def test_a_segment_without_spans_is_settled_at_once():
    trace = Trace(trace_id=TRACE.trace_id, span_id=TRACE.span_id, sampled=False)
    export = _export(Recorded())

    export.offer("empty", [])
    export.offer("unsampled", [(a_receipt(trace=trace), BILL)])

    assert export.settled() == ["empty", "unsampled"]
    export.close(10)


def test_a_large_segment_is_sent_in_requests_that_a_grpc_server_takes():
    transport = Recorded()
    export = _export(transport)

    export.offer("large", _many(3000))
    export.close(20)

    assert len(transport.sent) > 3
    assert max(len(request.body) for request in transport.sent) < 2 * 1024 * 1024
    assert export.counts()["sent"] == 6000
    assert export.settled() == ["large"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_exported_unless_an_endpoint_is_named(environ: dict[str, str]):
    assert span_export_from_env(environ, {}) is None
