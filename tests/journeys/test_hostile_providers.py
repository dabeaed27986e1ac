"""Providers who break every rule: the caller gets an honest end, and the feature one count."""

import socket
import threading
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.raw_provider import RawProvider, Talk, read_head, saying
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
BAD_GATEWAY = ("provider_error", "provider_bad_response")


class Lines:
    """What the provider of this module does with the next request: a test hands it over."""

    def __init__(self) -> None:
        self.talk: Talk = saying(b"")

    def __call__(self, connection: socket.socket) -> None:
        while connection.recv(1, socket.MSG_PEEK):
            self.talk(connection)


@pytest.fixture(scope="module")
def lines() -> Lines:
    return Lines()


@pytest.fixture(scope="module")
def gateway(lines: Lines) -> Iterator[GatewayProcess]:
    with RawProvider(lines) as provider:
        here = {
            "provider": "openai",
            "base_url": provider.base_url,
            "timeouts": {"first_byte_s": 1, "idle_s": 1},
        }
        with GatewayProcess(
            upstreams={"openai": here}, settings={"drain_s": 1, "spool": {"flush_interval_s": 0.05}}
        ) as running:
            yield running


@pytest.fixture
def feature() -> str:
    return f"f-{uuid.uuid4().hex[:12]}"


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def request(feature: str, body: bytes = PLAIN, target: str = CHAT) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nhost: x\r\nx-feature: {feature}\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def answer(gateway: GatewayProcess, feature: str) -> bytes:
    with connect(gateway) as connected:
        connected.sendall(request(feature))
        return b"".join(iter(lambda: connected.recv(65536), b""))


def ends(gateway: GatewayProcess, feature: str, name: str = "calls") -> list[tuple[str, str]]:
    """Wait for the call of a feature, and list the ends that were counted for it."""
    counter = f"spanmeter_{name}_total"
    metrics = gateway.wait_metrics(lambda now: now.total(counter, spanmeter_feature=feature) > 0)
    return [
        (labels["spanmeter_outcome"], labels["error_type"])
        for labels, value in metrics.select(counter, spanmeter_feature=feature)
        for _ in range(int(value))
    ]


@pytest.mark.parametrize(
    ("said", "status", "end"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, ("ok", "")),
        (b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n{}", 200, ("ok", "")),
        (b"HTTP/1.1 999 X\r\ncontent-length: 2\r\n\r\n{}", 999, ("provider_error", "999")),
        (b"HTTP/1.1 101 Y\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", 502, BAD_GATEWAY),
        (b"HTTP/1.1 103 Hints\r\ncontent-length: 5\r\n\r\nhello", 502, BAD_GATEWAY),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}", 502, BAD_GATEWAY),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
            502,
            BAD_GATEWAY,
        ),
        (b"HTTP/1.1 200 OK\r\nx: 1\rx-in: 2\r\ncontent-length: 0\r\n\r\n", 502, BAD_GATEWAY),
        (b"HTTP/1.1 200 O\rX: 1\r\ncontent-length: 0\r\n\r\n", 502, BAD_GATEWAY),
        (b"HTTP/1.1 200 OK\r\nx: 1\r\n y\r\ncontent-length: 0\r\n\r\n", 502, BAD_GATEWAY),
        (b"\0" * 100_000, 502, BAD_GATEWAY),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 504, ("provider_error", "timeout")),
        (b"HTTP/1.1 200 OK\r\nx-slow: ", 504, ("provider_error", "timeout")),
        (b"", 504, ("provider_error", "timeout")),
    ],
)
def test_an_answer_of_any_shape_ends_the_call_once(
    gateway: GatewayProcess, lines: Lines, feature: str, *,
    said: bytes, status: int, end: tuple[str, str],
) -> None:  # fmt: skip
    lines.talk = saying(said)

    got = answer(gateway, feature)

    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert got.count(b"HTTP/1.1 ") == 1
    assert ends(gateway, feature) == [end]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;" + b"e" * 3_000_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf",
    ],
)
def test_an_answer_that_goes_wrong_later_is_cut(
    gateway: GatewayProcess, lines: Lines, feature: str, said: bytes
) -> None:
    lines.talk = saying(said)

    got = answer(gateway, feature)

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not got.endswith(b"0\r\n\r\n")
    (end,) = ends(gateway, feature)
    assert end in {("provider_error", "timeout"), ("provider_error", "stream_interrupted")}


@pytest.mark.parametrize("cuts_at", [None, 70])
def test_trailers_never_become_headers(
    gateway: GatewayProcess, lines: Lines, feature: str, cuts_at: int | None
) -> None:
    said = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        b"set-cookie: a=1\r\ncontent-length: 7\r\n\r\n"
    )
    lines.talk = saying(said.replace(b"content-length: 7\r\n", b"x-late: 1\r\n"))

    got = answer(gateway, feature)

    assert b"set-cookie" not in got
    assert got.endswith(b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


def test_an_answer_before_the_whole_request_reaches_a_caller_who_goes_on_sending(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    def refuse_early(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
        )
        while connection.recv(65536):
            pass

    lines.talk = refuse_early
    with connect(gateway) as connected:
        whole = request(feature, b"x" * 3_000_000, "/v1/files")
        for at in range(0, len(whole), 100_000):
            connected.sendall(whole[at : at + 100_000])
        got = b"".join(iter(lambda: connected.recv(65536), b""))

    assert got.startswith(b"HTTP/1.1 413 Too Large\r\n")
    gateway.wait_metrics(lambda now: now.by("spanmeter_passthrough_total", "error_type") != {})


def test_a_provider_who_hangs_up_during_the_request_is_a_bad_gateway(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.close()

    lines.talk = hang_up
    with connect(gateway) as connected:
        connected.sendall(request(feature, b"x" * 50_000, "/v1/files")[:-1])
        got = connected.recv(65536)

    assert got.startswith(b"HTTP/1.1 502 ")


def test_a_request_that_the_provider_drops_at_once_is_asked_at_most_once_more(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    asked: list[bytes] = []

    def drop(connection: socket.socket) -> None:
        asked.append(read_head(connection))
        connection.shutdown(socket.SHUT_RDWR)

    lines.talk = drop

    got = answer(gateway, feature)

    assert got.startswith(b"HTTP/1.1 502 ")
    assert len(asked) <= 2  # the first may have gone over a connection that looked stale
    assert ends(gateway, feature) == [("provider_error", "connection_error")]


def test_a_request_that_the_provider_worked_on_is_not_sent_again(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    asked: list[bytes] = []

    def work_and_drop(connection: socket.socket) -> None:
        asked.append(read_head(connection))
        threading.Event().wait(0.5)  # the model thinks
        connection.shutdown(socket.SHUT_RDWR)

    lines.talk = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    answer(gateway, f"{feature}-first")
    lines.talk = work_and_drop

    answer(gateway, feature)

    assert len(asked) == 1


def test_a_provider_who_does_not_take_the_request_costs_no_call_for_ever(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    release = threading.Event()

    def take_nothing(_: socket.socket) -> None:
        release.wait(30)

    lines.talk = take_nothing
    with connect(gateway) as connected:
        connected.settimeout(1)
        with pytest.raises(TimeoutError):
            connected.sendall(request(feature, b"x" * 60_000_000, "/v1/files"))

    try:
        gateway.wait_metrics(lambda now: now.total("spanmeter_request_active") == 0, timeout_s=3)
    finally:
        release.set()


def test_a_head_without_end_does_not_fill_the_memory(
    gateway: GatewayProcess, lines: Lines, feature: str
) -> None:
    def speak_for_ever(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(400):
            connection.sendall(b"x-more: %b\r\n" % (b"v" * 1000) * 100)

    lines.talk = speak_for_ever
    before = processes.memory_bytes(processes.relays(gateway)[0])

    got = answer(gateway, feature)

    assert got.startswith(b"HTTP/1.1 502 ")
    assert processes.memory_bytes(processes.relays(gateway)[0]) - before < 10_000_000
