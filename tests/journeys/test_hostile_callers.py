"""Callers who mean harm, or are merely odd: the gateway stays up and everybody else is served."""

import gzip
import json
import resource
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here: dict[str, Any] = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {
        "openai": here,
        "anthropic": here | {"provider": "anthropic"},
    }
    with GatewayProcess(
        upstreams=upstreams,
        settings={"spool": {"flush_interval_s": 0.05}},
        environ=sink.environ,
    ) as running:
        yield running


@pytest.fixture
def feature() -> str:
    return f"f-{uuid.uuid4().hex[:12]}"


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def read_all(connected: socket.socket) -> bytes:
    return b"".join(iter(lambda: connected.recv(65536), b""))


def call(
    gateway: GatewayProcess, body: bytes, *headers: tuple[str, str], target: str = CHAT
) -> RawAnswer:
    with RawClient(gateway.url) as client:
        return client.call(target, body, headers=[*headers, ("x-replay", "openai-chat/basic")])


def ends(gateway: GatewayProcess, feature: str) -> list[tuple[str, str]]:
    """Wait for the call of a feature, and list the ends that were counted for it."""
    name = "spanmeter_calls_total"
    metrics = gateway.wait_metrics(lambda now: now.total(name, spanmeter_feature=feature) > 0)
    return [
        (labels["spanmeter_outcome"], labels["error_type"])
        for labels, value in metrics.select(name, spanmeter_feature=feature)
        for _ in range(int(value))
    ]


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-feature: a\r\n b\r\n\r\n",
        b"\0" * 1000,
    ],
)
def test_a_request_that_is_no_clear_request_is_refused(
    gateway: GatewayProcess, request_bytes: bytes
) -> None:
    with connect(gateway) as connected:
        connected.sendall(request_bytes)
        got = read_all(connected)

    assert got.split(b" ")[1] in (b"400", b"404", b"405")
    assert got.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: (
            b'{"model":"gpt-4o-mini","messages":' + b"[" * (5 * MEGABYTE) + b"]" * (5 * MEGABYTE)
        ),
        lambda: b"[" * (10 * MEGABYTE),
        lambda: b'{"a":' * (2 * MEGABYTE),
        lambda: b'"' + b"\\" * (10 * MEGABYTE),
        lambda: b"\xff" * MEGABYTE,
    ],
    ids=["nested", "opened", "objects", "escapes", "not text"],
)
def test_a_body_that_is_made_to_hurt_is_refused_once(
    gateway: GatewayProcess, feature: str, make: object
) -> None:
    body = make()  # type: ignore[operator]  # a parameter

    answer = call(gateway, body, ("x-feature", feature))

    assert answer.status == 400
    assert ends(gateway, feature) == [("caller_error", "invalid_request")]


def test_a_body_of_19_megabytes_goes_through(
    gateway: GatewayProcess, provider: ReplayProvider, feature: str
) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": "x" * 19 * MEGABYTE}).encode()

    answer = call(gateway, body, ("x-feature", feature), ("x-replay-key", feature))

    assert answer.status == 200
    assert provider.take(feature).body == body
    assert ends(gateway, feature) == [("ok", "")]


def test_a_bomb_goes_through_unread_and_the_memory_stays(
    gateway: GatewayProcess, feature: str
) -> None:
    bomb = gzip.compress(b" " * 200 * MEGABYTE)

    answer = call(gateway, bomb, ("x-feature", feature), ("content-encoding", "gzip"))

    assert answer.status == 200
    assert ends(gateway, feature) == [("ok", "")]
    assert peak_bytes(processes.relays(gateway)[0]) < 400 * MEGABYTE


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("caf\xe9 \u2603 \U0001f600", "caf\xe9 \u2603 \U0001f600"),
        ('quote " back \\ slash', 'quote " back \\ slash'),
        ("tab\tin\x85side", "tabinside"),
        ("%0d%0ax-injected: 1", "%0d%0ax-injected: 1"),
        ("{a='b'}", "{a='b'}"),
    ],
)
def test_an_odd_feature_is_kept_and_breaks_nothing(
    gateway: GatewayProcess, feature: str, sent: str, kept: str
) -> None:
    call(gateway, PLAIN, ("x-feature", f"{feature} {sent}"))

    assert ends(gateway, f"{feature} {kept}") == [("ok", "")]


@pytest.mark.parametrize(
    "tags",
    [
        [("x-tags", f"k{number}:v") for number in range(1000)],
        [("x-tags", ",".join(["a:b"] * 10_000))],
        [("x-tags", "," * 50_000)],
        [(f"helicone-property-{number}", "v") for number in range(1000)],
        [("x-portkey-metadata", "[" * 50_000)],
        [("baggage", ",".join(f"spanmeter.tag.k{number}=v" for number in range(2000)))],
    ],
    ids=["lines", "repeated", "commas", "properties", "nested", "baggage"],
)
def test_attribution_without_measure_costs_nobody_anything(
    gateway: GatewayProcess, feature: str, tags: Sequence[tuple[str, str]]
) -> None:
    answer = call(gateway, PLAIN, ("x-feature", feature), *tags)

    assert answer.status == 200
    assert ends(gateway, feature) == [("ok", "")]


@pytest.mark.parametrize("model", ["m" * MEGABYTE, "a\0b", 'a"b\n} 1', "\U0001f600", "\ud800"])
def test_an_odd_model_is_counted_and_is_a_short_label(
    gateway: GatewayProcess, feature: str, model: str
) -> None:
    answer = call(gateway, json.dumps({"model": model}).encode(), ("x-feature", feature))

    assert answer.status == 200
    assert ends(gateway, feature) == [("ok", "")]
    labels = [
        value
        for found, _ in gateway.metrics().select("spanmeter_calls_total", spanmeter_feature=feature)
        for value in found.values()
    ]
    assert max(map(len, labels)) <= 256


def test_a_thousand_idle_connections_are_in_nobodys_way(
    gateway: GatewayProcess, feature: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))

    with ExitStack() as opened:
        for _ in range(1000):
            opened.enter_context(connect(gateway)).sendall(b"GET /v1/mod")
        answer = call(gateway, PLAIN, ("x-feature", feature))

    assert answer.status == 200
    assert ends(gateway, feature) == [("ok", "")]


def test_a_caller_who_closes_its_half_has_left(gateway: GatewayProcess, feature: str) -> None:
    # As nginx (499) and Envoy see it: a caller that waits for an answer keeps its side open.
    lines = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-feature: {feature}\r\nx-script: after 5\r\n"
    with connect(gateway) as connected:
        connected.sendall(f"{lines}content-length: {len(PLAIN)}\r\n\r\n".encode() + PLAIN)
        connected.shutdown(socket.SHUT_WR)
        assert read_all(connected) == b""

    assert ends(gateway, feature) == [("cancelled", "client_disconnected")]
