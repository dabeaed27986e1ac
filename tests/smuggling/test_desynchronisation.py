"""Real parsers before and behind the gateway: nobody sees a request that nobody sent."""

import re
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from tests.fakes.raw_client import RawClient
from tests.gateway_process import GatewayProcess, Metrics
from tests.processes import wait_until
from tests.smuggling import servers
from tests.smuggling.corpus import Ambiguous, corpus
from tests.smuggling.servers import Nginx, Seen, Server

PATIENCE_S = 20
FINAL = re.compile(rb"HTTP/1.1 [2-5]")
MARKER = b'{"whole":"and alone"}'
FAMILIES = ("strict", "python", "h11", "node", "go", "nginx")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as running:
        yield {
            "strict": running.enter_context(servers.strict()),
            "python": running.enter_context(servers.python()),
            "h11": running.enter_context(servers.h11()),
            "node": running.enter_context(servers.node(folder)),
            "go": running.enter_context(servers.go(folder)),
            "nginx": running.enter_context(servers.nginx()),
        }


@pytest.fixture(scope="module")
def gateway(behind: Mapping[str, Server]) -> Iterator[GatewayProcess]:
    upstreams = {
        name: {"provider": "openai", "base_url": server.url} for name, server in behind.items()
    }
    settings = {"default_upstream": "strict", "spool": {"flush_interval_s": 0.05}}
    with GatewayProcess(upstreams=upstreams, settings=settings) as running:
        yield running


def say(url: str, wire: bytes) -> None:
    """Send the bytes, wait until an answer begins or the connection ends, and leave."""
    address = urlsplit(url)
    got, piece = b"", b" "
    with (
        suppress(ConnectionError),
        socket.create_connection((address.hostname, address.port), PATIENCE_S) as connected,
    ):
        connected.sendall(wire)
        while piece and FINAL.search(got) is None:
            piece = connected.recv(65536)
            got += piece


def mark(url: str, target: str) -> int:
    with RawClient(url, timeout_s=PATIENCE_S) as client:
        return client.call(target, MARKER).status


def aimed(one: Ambiguous, upstream: str) -> bytes:
    """Let the request name its upstream, as the first segment of its path."""
    return one.wire.replace(b"/v1/", b"/%b/v1/" % upstream.encode(), 1)


def passed(metrics: Metrics) -> float:
    return metrics.total("spanmeter_passthrough_total", spanmeter_outcome="ok")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_upstream_sees_the_requests_that_we_meant_and_no_other(
    gateway: GatewayProcess, behind: Mapping[str, Server], family: str
) -> None:
    before, tried = passed(gateway.metrics()), corpus()
    expected = []
    refused = 0
    for number, one in enumerate(tried):
        say(gateway.url, aimed(one, family))
        assert mark(gateway.url, f"/{family}/v1/marker/{number}") == 200
        if one.body is not None:
            expected.append(Seen(one.head.split()[0].decode(), "/v1/files", one.body))
        else:
            refused += 1
        expected.append(Seen("POST", f"/v1/marker/{number}", MARKER))

    assert len(tried) >= 150 < refused
    assert behind[family].seen() == expected
    counted = gateway.wait_metrics(lambda now: passed(now) - before >= len(expected))
    assert passed(counted) - before == len(expected)


def test_what_nginx_sends_on_is_what_the_upstream_behind_us_sees(
    gateway: GatewayProcess, behind: Mapping[str, Server]
) -> None:
    before = len(behind["strict"].seen())
    with Nginx(gateway.url) as front:
        for number, one in enumerate(corpus()):
            say(front.url, one.wire)
            assert mark(front.url, f"/v1/marker/{number}") == 200
        seen = behind["strict"].seen()[before:]
        found = Counter((one.method, one.target) for one in seen)
        wait_until(lambda: found <= Counter(front.sent()))
        answered = Counter(front.sent("200"))

    assert answered <= found
    markers = [one.body for one in seen if one.target.startswith("/v1/marker/")]
    assert markers == [MARKER] * len(corpus())
