"""Time that a provider may take, step by step, and callers who leave at each of them."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from tests.gateway_process import GatewayProcess

PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # a full backlog: the kernel answers no further caller
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        upstreams = {
            name: {
                "provider": "openai",
                "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}",
                "timeouts": {"connect_s": connect_s},
            }
            for name, connect_s in (("openai", 0.3), ("patient", 60))
        }
        with GatewayProcess(upstreams=upstreams) as running:
            yield running


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def request(target: str, feature: str) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nhost: x\r\nx-feature: {feature}\r\nconnection: close\r\n"
    return f"{head}content-length: {len(PLAIN)}\r\n\r\n".encode() + PLAIN


def ends(gateway: GatewayProcess, feature: str) -> list[tuple[str, str]]:
    name = "spanmeter_calls_total"
    metrics = gateway.wait_metrics(lambda now: now.total(name, spanmeter_feature=feature) > 0)
    return [
        (labels["spanmeter_outcome"], labels["error_type"])
        for labels, value in metrics.select(name, spanmeter_feature=feature)
        for _ in range(int(value))
    ]


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/files"])
def test_a_provider_that_takes_no_connection_is_unreachable_in_time(
    gateway: GatewayProcess, target: str
) -> None:
    feature = f"f-{uuid.uuid4().hex[:12]}"
    with connect(gateway) as connected:
        connected.sendall(request(target, feature))
        got = b"".join(iter(lambda: connected.recv(65536), b""))

    assert got.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b'"code":"provider_unreachable"' in got


def test_a_connection_that_takes_too_long_is_counted_as_a_time_out(gateway: GatewayProcess) -> None:
    feature = f"f-{uuid.uuid4().hex[:12]}"
    with connect(gateway) as connected:
        connected.sendall(request("/v1/chat/completions", feature))
        assert connected.recv(1)

    assert ends(gateway, feature) == [("provider_error", "timeout")]


def test_a_caller_who_leaves_while_we_connect_has_cancelled(gateway: GatewayProcess) -> None:
    feature = f"f-{uuid.uuid4().hex[:12]}"
    with connect(gateway) as connected:
        connected.sendall(request("/patient/v1/chat/completions", feature))

    assert ends(gateway, feature) == [("cancelled", "client_disconnected")]
