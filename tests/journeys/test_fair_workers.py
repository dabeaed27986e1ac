"""Workers share the callers' connections evenly, whatever happens to one of them."""

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from tests import processes
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
BODY = b'{"model":"gpt-4o-mini","messages":[]}'
SCRIPT = [("x-script", "chat")]
ANSWER_END = b'"total_tokens": 15}}'
LARGEST_SHARE = 0.6
BURSTS = 4
"""A worker that the machine lets wait for over 10 ms loses its turn, by design; on a busy machine
that befalls a burst. Without turns one worker has all of every burst."""


@pytest.fixture(scope="module")
def running(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    with GatewayProcess(upstreams={"openai": {"base_url": provider.base_url}}, workers=2) as one:
        yield one


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Give what closes a test's connections, whatever comes of it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def gateway(running: GatewayProcess) -> GatewayProcess:
    """Give the gateway with two workers that accept and hold no connection."""
    wait_both(running)
    return running


def wait_both(gateway: GatewayProcess) -> None:
    """Wait until both workers say that they accept: a probe each, on a connection of its own."""
    with ExitStack() as opened:
        clients = [opened.enter_context(RawClient(gateway.url)) for _ in range(2)]
        processes.wait_until(lambda: is_spread(gateway, clients))


def is_spread(gateway: GatewayProcess, clients: Sequence[RawClient]) -> bool:
    for client in clients:
        client.__exit__()
        client.call("/healthz", method="GET")
    return sorted(held(gateway)) == [1, 1]


def held(gateway: GatewayProcess) -> list[int]:
    """Count the connections of each relay."""
    port = urlsplit(gateway.url).port
    assert port is not None
    return [processes.connections(pid, port) for pid in processes.relays(gateway)]


def burst(gateway: GatewayProcess, opened: ExitStack, count: int) -> list[socket.socket]:
    """Open connections as fast as one caller can, without using them."""
    address = urlsplit(gateway.url)
    return [
        opened.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
        for _ in range(count)
    ]


def call(connected: socket.socket) -> bytes:
    """Make one call; what came back, empty when the connection had ended."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-script: chat\r\ncontent-length: {len(BODY)}\r\n"
    try:
        connected.sendall(f"{head}\r\n".encode() + BODY)
        answer = piece = connected.recv(65536)
        while piece and not answer.endswith(ANSWER_END):
            answer += (piece := connected.recv(65536))
    except ConnectionError:
        return b""
    return answer


def answered(connections: Sequence[socket.socket]) -> int:
    return sum(call(connected).startswith(b"HTTP/1.1 200 ") for connected in connections)


@pytest.mark.parametrize("count", [10, 200])
def test_a_burst_of_connections_is_spread_evenly(gateway: GatewayProcess, count: int) -> None:
    shares = [largest_share_of_a_burst(gateway, count)]
    while shares[-1] > LARGEST_SHARE and len(shares) < BURSTS:
        wait_both(gateway)
        shares.append(largest_share_of_a_burst(gateway, count))

    assert shares[-1] <= LARGEST_SHARE, shares


def largest_share_of_a_burst(gateway: GatewayProcess, count: int) -> float:
    with ExitStack() as opened:
        connections = burst(gateway, opened, count)
        assert answered(connections) == count
        assert sum(held(gateway)) == count
        return max(held(gateway)) / count


def test_a_killed_worker_loses_only_its_own_and_its_successor_comes_first(
    gateway: GatewayProcess, opened: ExitStack
) -> None:
    victim, survivor = processes.relays(gateway)
    connections = burst(gateway, opened, 60)
    answered(connections)
    port = urlsplit(gateway.url).port
    assert port is not None
    kept = processes.connections(survivor, port)

    processes.kill(victim)

    assert answered(connections) == kept
    processes.wait_until(lambda: len(processes.relays(gateway)) == 2)
    wait_accepting(gateway, kept)
    later = burst(gateway, opened, kept // 2)
    assert answered(later) == kept // 2
    # Nobody has left, so what the survivor has above before it took from the burst; it may take
    # a few whenever the machine lets its successor wait for over 10 ms.
    assert processes.connections(survivor, port) <= kept + len(later) // 2


def wait_accepting(gateway: GatewayProcess, kept: int) -> None:
    """Wait until a connection goes to the worker that has none."""

    def goes_there() -> bool:
        with RawClient(gateway.url) as client:
            client.call("/healthz", method="GET")
            return sorted(held(gateway)) == [1, kept]

    processes.wait_until(goes_there)


def test_a_worker_that_hangs_with_fewer_connections_keeps_no_caller_waiting(
    gateway: GatewayProcess, opened: ExitStack
) -> None:
    before = burst(gateway, opened, 20)
    answered(before)
    stuck = processes.relays(gateway)[0]
    with processes.frozen(stuck):
        connections = burst(gateway, opened, 40)
        count = answered(connections)

    assert count == 40


def test_connections_wait_while_no_file_can_be_opened_and_are_then_served(
    provider: ReplayProvider,
) -> None:
    here = {"openai": {"base_url": provider.base_url}}
    with GatewayProcess(upstreams=here) as gateway, ExitStack() as opened:
        (relay,) = processes.relays(gateway)
        limits = resource.prlimit(relay, resource.RLIMIT_NOFILE)
        resource.prlimit(relay, resource.RLIMIT_NOFILE, (3, limits[1]))
        (waiting,) = burst(gateway, opened, 1)
        processes.wait_until(lambda: "cannot accept a connection" in gateway.errors)
        resource.prlimit(relay, resource.RLIMIT_NOFILE, limits)

        assert answered([waiting]) == 1


def test_callers_over_tls_are_spread_evenly_and_who_speaks_none_harms_nobody(
    provider: ReplayProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"tls": certificate(tmp_path)}
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    here = {"openai": {"base_url": provider.base_url}}
    gateway = GatewayProcess(upstreams=here, workers=2, settings=settings)
    gateway.url = gateway.url.replace("http:", "https:")
    with gateway, ExitStack() as opened:
        wait_both(gateway)
        _silent, *others = burst(gateway, opened, 5)
        for other in others:
            other.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        open_and_call(gateway, opened, 20)
        for _ in range(BURSTS):
            if max(held(gateway)) > LARGEST_SHARE * sum(held(gateway)):
                open_and_call(gateway, opened, 20)

        assert max(held(gateway)) <= LARGEST_SHARE * sum(held(gateway))
        assert "Error" not in gateway.errors


def open_and_call(gateway: GatewayProcess, opened: ExitStack, count: int) -> None:
    clients = [opened.enter_context(RawClient(gateway.url)) for _ in range(count)]
    assert {client.call(CHAT, BODY, headers=SCRIPT).status for client in clients} == {200}


def certificate(folder: Path) -> dict[str, str]:
    """Issue a certificate for this machine; the authority's own is in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}
