"""Connections as the world treats them: left, slow, pipelined, stale, half-sent."""

import http.client
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
STREAMED = b'{"model":"gpt-4o-mini","messages":[],"stream":true}'


@contextmanager
def raw(gateway: GatewayProcess) -> Iterator[socket.socket]:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connected:
        yield connected


def request(body: bytes, *lines: str, target: str = CHAT) -> bytes:
    head = [f"POST {target} HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def outcomes(metrics: Metrics, feature: str) -> dict[tuple[str, str], float]:
    return {
        (labels["spanmeter_outcome"], labels["error_type"]): value
        for labels, value in metrics.select("spanmeter_calls_total", spanmeter_feature=feature)
        if value
    }


def wait_outcomes(gateway: GatewayProcess, feature: str) -> dict[tuple[str, str], float]:
    return outcomes(gateway.wait_metrics(lambda now: bool(outcomes(now, feature))), feature)


@pytest.fixture
def feature() -> str:
    return f"f-{uuid.uuid4().hex[:12]}"


def read_until(connected: socket.socket, wanted: bytes, *, times: int = 1) -> bytes:
    got = b""
    while got.count(wanted) < times:
        piece = connected.recv(65536)
        assert piece, f"the connection ended after {got!r}"
        got += piece
    return got


@pytest.mark.parametrize("script", ["never", "endless-stream", "stall"])
def test_a_caller_who_leaves_cancels_the_provider_at_once(
    gateway: GatewayProcess, provider: ReplayProvider, feature: str, script: str
) -> None:
    lines = (f"x-feature: {feature}", f"x-script: {script}", f"x-replay-key: {feature}")
    with raw(gateway) as connected:
        connected.sendall(request(STREAMED, *lines))
        received = provider.take(feature)

    assert received.cut.wait(5)
    assert wait_outcomes(gateway, feature) == {("cancelled", "client_disconnected"): 1}


def test_a_caller_who_leaves_because_of_an_error_in_the_stream_has_not_cancelled(
    gateway: GatewayProcess, feature: str
) -> None:
    script = "error-then-stall rate_limit_exceeded"
    with raw(gateway) as connected:
        connected.sendall(request(STREAMED, f"x-feature: {feature}", f"x-script: {script}"))
        read_until(connected, b"rate_limit_exceeded")

    assert wait_outcomes(gateway, feature) == {("provider_error", "rate_limit_exceeded"): 1}


def test_a_caller_who_leaves_before_the_request_is_whole_is_counted(
    gateway: GatewayProcess, feature: str
) -> None:
    with raw(gateway) as connected:
        connected.sendall(request(PLAIN, f"x-feature: {feature}")[:-5])

    assert wait_outcomes(gateway, feature) == {("cancelled", "client_disconnected"): 1}


def test_pipelined_calls_are_answered_in_order(gateway: GatewayProcess, feature: str) -> None:
    first = request(PLAIN, f"x-feature: {feature}", "x-script: after 0.3")
    second = request(STREAMED, f"x-feature: {feature}", "x-script: chat")
    health = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

    with raw(gateway) as connected:
        connected.sendall(first + second + health)
        got = read_until(connected, b'{"status":"ok"}')

    kinds = [got.index(b'"chat.completion"'), got.index(b"data: [DONE]"), got.index(b"status")]
    assert kinds == sorted(kinds)
    metrics = gateway.wait_metrics(lambda now: sum(outcomes(now, feature).values()) == 2)
    assert outcomes(metrics, feature) == {("ok", ""): 2}


def test_a_request_may_arrive_byte_by_byte(gateway: GatewayProcess, feature: str) -> None:
    with raw(gateway) as connected:
        for byte in request(PLAIN, f"x-feature: {feature}", "x-script: chat"):
            connected.sendall(bytes((byte,)))
        got = read_until(connected, b"pong")

    assert got.startswith(b"HTTP/1.1 200 ")


def test_a_chunked_request_goes_on_whole(
    gateway: GatewayProcess, provider: ReplayProvider, feature: str
) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        f"x-script: chat\r\nx-replay-key: {feature}\r\n\r\n"
    ).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PLAIN[:7], PLAIN[7:]))

    with raw(gateway) as connected:
        connected.sendall(head + chunks + b"0\r\n\r\n")
        read_until(connected, b"pong")

    assert provider.take(feature).body == PLAIN


def test_a_caller_who_expects_a_continue_gets_it(gateway: GatewayProcess) -> None:
    whole = request(PLAIN, "expect: 100-continue", "x-script: chat")
    head, body = whole[: -len(PLAIN)], whole[-len(PLAIN) :]

    with raw(gateway) as connected:
        connected.sendall(head)
        assert read_until(connected, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connected.sendall(body)
        assert read_until(connected, b"pong").startswith(b"HTTP/1.1 200 ")


def test_a_caller_of_http_1_0_gets_a_stream_that_ends_with_the_connection(
    gateway: GatewayProcess,
) -> None:
    old = request(STREAMED, "x-script: chat").replace(b"HTTP/1.1", b"HTTP/1.0")

    with raw(gateway) as connected:
        connected.sendall(old)
        got = b"".join(iter(lambda: connected.recv(65536), b""))

    assert b"transfer-encoding" not in got.lower()
    assert got.endswith(b"data: [DONE]\n\n")


def test_a_connection_that_the_provider_closed_while_idle_is_not_the_callers_trouble(
    gateway: GatewayProcess, feature: str
) -> None:
    lines = [("x-feature", feature), ("x-script", "last-on-connection")]
    with RawClient(gateway.url) as client:
        statuses = {client.call(CHAT, PLAIN, headers=lines).status for _ in range(30)}

    assert statuses == {200}


def test_bytes_that_nobody_asked_for_never_reach_the_next_call(
    gateway: GatewayProcess, feature: str
) -> None:
    lines = [("x-feature", feature), ("x-script", "early-answer")]
    with RawClient(gateway.url) as client:
        answers = {client.call(CHAT, PLAIN, headers=lines).body for _ in range(30)}

    assert len(answers) == 1


def test_a_slow_reader_slows_the_provider_and_not_the_gateways_memory(
    gateway: GatewayProcess, provider: ReplayProvider, feature: str
) -> None:
    size = 200_000_000
    (relay,) = processes.relays(gateway)
    before = sum(processes.memory_bytes(pid) for pid in gateway.child_pids)

    with raw(gateway) as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        lines = (f"x-script: large {size}", f"x-replay-key: {feature}")
        connected.sendall(request(b"", *lines, target="/openai/v1/files"))
        provider.take(feature)
        read_until(connected, b"\r\n\r\n")
        processes.wait_still(relay)
        grown = sum(processes.memory_bytes(pid) for pid in gateway.child_pids) - before

    assert grown < 40_000_000


def test_an_upload_passes_through_in_parts(
    gateway: GatewayProcess, provider: ReplayProvider, feature: str
) -> None:
    body = b"0123456789" * 3_000_000
    lines = [("x-script", "status 200"), ("x-replay-key", feature)]

    with RawClient(gateway.url) as client:
        answer = client.call("/v1/files", body, headers=lines)

    assert answer.status == 200
    assert provider.take(feature).body == body
    gateway.wait_metrics(lambda now: now.total("spanmeter_passthrough_total") > 0)


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_other_methods_pass_through(
    gateway: GatewayProcess, provider: ReplayProvider, method: str, feature: str
) -> None:
    address = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    connection.request(method, "/v1/models/x?y=1", headers={"x-replay-key": feature})
    answer = connection.getresponse()
    answer.read()
    connection.close()

    received = provider.take(feature)
    assert answer.status == 404  # the pretend provider's own
    assert (received.method, received.target) == (method, "/v1/models/x?y=1")


def test_what_is_not_http_is_refused_and_harms_nobody(gateway: GatewayProcess) -> None:
    with raw(gateway) as connected:
        connected.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        got = b"".join(iter(lambda: connected.recv(65536), b""))

    assert got.startswith(b"HTTP/1.1 400 ")
    with RawClient(gateway.url) as client:
        assert client.call("/healthz", method="GET").status == 200


def test_a_head_without_end_is_refused(gateway: GatewayProcess) -> None:
    with raw(gateway) as connected:
        connected.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 70_000)
        got = connected.recv(65536)

    assert got.startswith(b"HTTP/1.1 431 ")


def test_a_body_over_the_limit_is_refused_although_the_caller_goes_on_sending(
    gateway: GatewayProcess,
) -> None:
    with raw(gateway) as connected:
        connected.sendall(
            request(b"", "x: y").replace(b"content-length: 0", b"content-length: 5000000")
        )
        for _ in range(50):
            connected.sendall(b"x" * 100_000)
        got = read_until(connected, b"request_too_large")

    assert got.startswith(b"HTTP/1.1 413 ")


def test_an_upgrade_is_declined_and_the_call_goes_on(gateway: GatewayProcess) -> None:
    lines = ("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    with raw(gateway) as connected:
        connected.sendall(request(PLAIN, *lines, "x-script: chat"))
        assert read_until(connected, b"pong").startswith(b"HTTP/1.1 200 ")
        connected.sendall(request(PLAIN, "x-script: chat"))
        assert read_until(connected, b"pong").startswith(b"HTTP/1.1 200 ")
