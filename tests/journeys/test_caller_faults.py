"""Callers who leave, stall, drip or pipeline: one receipt for each call that began, else none."""

import socket
import struct
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.processes import wait_until

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
STREAMED = b'{"model":"gpt-4o-mini","messages":[],"stream":true}'
CALLS = "spanmeter_calls_total"
REFUSED = "spanmeter_connections_refused_total"
MEGABYTE = 1_000_000
LEAVE = {"fin": None, "rst": struct.pack("ii", 1, 0)}
"""How a connection ends: orderly, or by a reset (socket(7), SO_LINGER with no time)."""


def start(provider: ReplayProvider, limits: Mapping[str, Any]) -> GatewayProcess:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {"openai": here, "impatient": here | {"timeouts": {"idle_s": 0.5}}}
    settings = {"limits": dict(limits), "spool": {"flush_interval_s": 0.05}}
    return GatewayProcess(upstreams=upstreams, settings=settings)


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    with start(provider, {}) as running:
        yield running


@pytest.fixture(scope="module")
def strict(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    limits = {"head_s": 1, "body_s": 1, "connections_per_address": 60}
    with start(provider, limits) as running:
        yield running


@pytest.fixture
def feature() -> str:
    return f"f-{uuid.uuid4().hex[:12]}"


def connect(gateway: GatewayProcess, leave: str = "fin") -> socket.socket:
    address = urlsplit(gateway.url)
    connected = socket.create_connection((address.hostname, address.port), timeout=20)
    if LEAVE[leave] is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE[leave])
    return connected


def request(body: bytes, feature: str, script: str, *, target: str = CHAT) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "host: x", f"x-feature: {feature}", f"x-script: {script}"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def read_all(connected: socket.socket) -> bytes:
    with suppress(ConnectionError):
        return b"".join(iter(lambda: connected.recv(65536), b""))
    return b""


def assert_unharmed(gateway: GatewayProcess) -> None:
    """Make two calls over one connection; they are counted after everything before them."""
    after = f"after-{uuid.uuid4().hex[:12]}"
    with RawClient(gateway.url) as client:
        for _ in range(2):
            lines = [("x-feature", after), ("x-script", "chat")]
            answer = client.call(CHAT, PLAIN, headers=lines)
            assert (answer.status, b"pong" in answer.body) == (200, True)
    gateway.wait_metrics(lambda now: now.total(CALLS, spanmeter_feature=after) == 2)


def ends(gateway: GatewayProcess, feature: str, *, calls: int) -> Counter[str]:
    """Wait until all calls of a feature are counted and one more moment, and count their ends."""
    gateway.wait_metrics(lambda now: now.total(CALLS, spanmeter_feature=feature) >= calls)
    assert_unharmed(gateway)
    found: Counter[str] = Counter()
    for labels, count in gateway.metrics().select(CALLS, spanmeter_feature=feature):
        found[f"{labels['spanmeter_outcome']} {labels['error_type']}"] += int(count)
    return +found


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["whole", "stream"])
@pytest.mark.parametrize("leave", LEAVE)
def test_who_leaves_at_any_byte_of_the_request_is_counted_once_a_call_began(
    gateway: GatewayProcess, feature: str, leave: str, body: bytes
) -> None:
    wire = request(body, feature, "never")
    for length in range(1, len(wire) + 1):
        with connect(gateway, leave) as connected:
            connected.sendall(wire[:length])

    calls = len(body) + 1  # from the head's last byte on
    surely = calls if leave == "fin" else 1  # a reset throws away what the gateway has not read
    found = ends(gateway, feature, calls=surely)

    assert found.keys() == {"cancelled client_disconnected"}
    assert surely <= found.total() <= calls


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["whole", "stream"])
@pytest.mark.parametrize("leave", LEAVE)
def test_who_leaves_at_any_byte_of_the_answer_is_counted_once(
    gateway: GatewayProcess, feature: str, leave: str, body: bytes
) -> None:
    wire = request(body, feature, "chat")
    with connect(gateway) as connected:
        connected.sendall(
            request(body, "whole", "chat").replace(b"host", b"connection: close\r\nhost")
        )
        answer = read_all(connected)
    lengths = range(1, len(answer), 3)
    for length in lengths:
        with connect(gateway, leave) as connected:
            connected.sendall(wire)
            assert connected.recv(length, socket.MSG_WAITALL)

    found = ends(gateway, feature, calls=len(lengths))

    assert found.total() == len(lengths)
    assert found.keys() <= {"ok ", "cancelled client_disconnected"}


@pytest.mark.parametrize("body", [PLAIN, STREAMED], ids=["whole", "stream"])
def test_who_never_reads_is_given_up_and_costs_no_memory(
    gateway: GatewayProcess, feature: str, body: bytes
) -> None:
    relay = processes.relays(gateway)[0]
    before = processes.memory_bytes(relay)
    with ExitStack() as opened:
        for _ in range(10):
            connected = opened.enter_context(connect(gateway))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            target = f"/impatient{CHAT}"
            connected.sendall(request(body, feature, "large 50000000", target=target))
        found = ends(gateway, feature, calls=10)
        grown = processes.memory_bytes(relay) - before

    assert found == {"cancelled client_stalled": 10}
    assert grown < 30 * MEGABYTE


@pytest.mark.parametrize("count", [2, 10, 50])
def test_pipelined_requests_of_mixed_kinds_are_answered_in_order(
    gateway: GatewayProcess, feature: str, count: int
) -> None:
    kinds = [
        (request(PLAIN, feature, "chat"), b'"chat.completion"'),
        (request(STREAMED, feature, "chat"), b"data: [DONE]"),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b'{"status":"ok"}'),
        (request(b"{", feature, "chat"), b'"invalid_request"'),
        (request(PLAIN, feature, "status 429 x"), b'"scripted_error"'),
    ]
    asked = [kinds[number % len(kinds)] for number in range(count)]
    last = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    calls = sum(mark != b'{"status":"ok"}' for _, mark in asked)

    with connect(gateway) as connected:
        connected.sendall(b"".join(wire for wire, _ in asked) + last)
        answers = read_all(connected).split(b"HTTP/1.1 ")[1:]

    assert [mark in answer for (_, mark), answer in zip(asked, answers, strict=False)] == [
        True
    ] * count
    assert len(answers) == count + 1
    assert ends(gateway, feature, calls=calls).total() == calls


def test_who_drips_a_head_or_says_nothing_is_cut_off_and_counted(strict: GatewayProcess) -> None:
    with ExitStack() as opened:
        silent = [opened.enter_context(connect(strict)) for _ in range(20)]
        dripping = [opened.enter_context(connect(strict)) for _ in range(20)]
        for connected in dripping:
            connected.sendall(b"GET /v1/models HTTP/1.1\r\nx-a: ")
        assert_unharmed(strict)

        assert {read_all(connected) for connected in silent} == {b""}
        assert {read_all(connected)[:12] for connected in dripping} == {b"HTTP/1.1 408"}

    found = strict.wait_metrics(lambda now: now.total(REFUSED, reason="slow") >= 20)
    assert found.total(REFUSED, reason="slow") == 20
    assert "connections refused: slow" in strict.errors


@pytest.mark.parametrize("target", [CHAT, "/openai/v1/files"])
def test_who_drips_a_body_is_told_so_and_counted(
    strict: GatewayProcess, feature: str, target: str
) -> None:
    wire = request(b" " * 1000, feature, "chat", target=target)
    with connect(strict) as connected:
        connected.sendall(wire[:-900])
        got = read_all(connected)

    assert got.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"request_timeout"' in got
    name = CALLS if target == CHAT else "spanmeter_passthrough_total"
    strict.wait_metrics(lambda now: now.total(name, error_type="request_timeout") == 1)


def test_a_flood_from_one_address_leaves_room_for_nobody_of_it_but_ends(
    strict: GatewayProcess,
) -> None:
    with ExitStack() as opened:
        flood = [opened.enter_context(connect(strict)) for _ in range(90)]
        wait_until(lambda: strict.metrics().total(REFUSED, reason="per_address") >= 30)
        for connected in flood:
            with suppress(ConnectionError):
                connected.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answered = sum(read_all(connected).startswith(b"HTTP/1.1 200") for connected in flood)

    assert 0 < answered <= 60
    assert_unharmed(strict)
