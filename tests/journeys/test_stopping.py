"""A stop that loses nothing: calls end, receipts are kept, and nobody is left hanging."""

import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

STREAMED = b'{"model":"gpt-4o-mini","messages":[],"stream":true}'


@pytest.fixture
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here}, settings={"drain_s": 1}, environ=sink.environ
    ) as running:
        yield running


@pytest.fixture
def feature() -> str:
    return f"f-{uuid.uuid4().hex[:12]}"


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def start(gateway: GatewayProcess, feature: str, script: str) -> socket.socket:
    """Start a stream and wait for its first bytes."""
    connected = connect(gateway)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\nx-feature: {feature}\r\n"
    head += f"x-script: {script}\r\ncontent-length: {len(STREAMED)}\r\n\r\n"
    connected.sendall(head.encode() + STREAMED)
    assert connected.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    return connected


def read_all(connected: socket.socket) -> bytes:
    return b"".join(iter(lambda: connected.recv(65536), b""))


def ends(sink: OtlpSink, feature: str) -> list[tuple[object, object]]:
    """Wait for the attempts of a feature: a stopped gateway has said everything."""
    spans = sink.wait(lambda spans: any(map(is_attempt_of(feature), spans)))
    return [
        (span.attributes["spanmeter.outcome"], span.attributes.get("error.type"))
        for span in filter(is_attempt_of(feature), spans)
    ]


def is_attempt_of(feature: str) -> Callable[[SinkSpan], bool]:
    return lambda span: span.kind == "CLIENT" and span.attributes["spanmeter.feature"] == feature


def is_refused(gateway: GatewayProcess) -> bool:
    try:
        connect(gateway).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_stream_under_way_ends_properly_and_new_callers_are_refused(
    gateway: GatewayProcess, sink: OtlpSink, feature: str
) -> None:
    with start(gateway, feature, "drip 0.1") as stream, connect(gateway) as idle:
        os.kill(gateway.pid, signal.SIGTERM)
        processes.wait_until(lambda: is_refused(gateway))
        assert read_all(idle) == b""
        rest = read_all(stream)

    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    gateway.stop()
    assert ends(sink, feature) == [("ok", None)]


def test_a_stream_and_a_request_without_end_are_cut_when_the_patience_ends(
    gateway: GatewayProcess, sink: OtlpSink, feature: str
) -> None:
    with start(gateway, feature, "endless-stream") as stream, connect(gateway) as half_sent:
        half_sent.sendall(b"POST /v1/chat")
        os.kill(gateway.pid, signal.SIGTERM)
        rest = read_all(stream) + read_all(half_sent)

    assert not rest.endswith(b"0\r\n\r\n")
    gateway.stop()
    assert ends(sink, feature) == [("gateway_error", "shutdown")]


def test_a_second_signal_ends_it_at_once_and_still_counts(
    provider: ReplayProvider, sink: OtlpSink, feature: str
) -> None:
    here = {"provider": "openai", "base_url": provider.base_url}
    # It would wait ten minutes.
    with GatewayProcess(upstreams={"openai": here}, environ=sink.environ) as gateway:
        with start(gateway, feature, "endless-stream") as stream:
            os.kill(gateway.pid, signal.SIGTERM)
            processes.wait_until(lambda: is_refused(gateway))
            os.kill(gateway.pid, signal.SIGTERM)
            read_all(stream)
        gateway.stop()
        assert ends(sink, feature) == [("gateway_error", "shutdown")]


def test_children_end_soon_after_their_supervisor_was_killed(
    gateway: GatewayProcess, sink: OtlpSink, feature: str
) -> None:
    children = gateway.child_pids
    with start(gateway, feature, "endless-stream") as stream:
        processes.kill(gateway.pid)
        read_all(stream)
        processes.wait_until(lambda: not any(map(processes.is_running, children)))

    gateway.kill()
    gateway.start()
    assert ends(sink, feature) == [("gateway_error", "shutdown")]


def test_the_signal_to_stop_interrupts_no_thread_of_the_books(gateway: GatewayProcess) -> None:
    gateway.wait_metrics(lambda seen: seen.total("spanmeter_build_info") == 1)

    blocked = processes.blocked_signals(processes.books(gateway))

    # A handler would run in the midst of a wait, and then wait for ever for that wait's own lock.
    assert signal.SIGTERM in blocked
