"""Calls through an egress proxy: tunnelled, kept alive, and its faults told from the provider's."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
import trustme
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

LOGIN = "robot:s3cret-word"
CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
PLAYED = "openai-chat/basic"


def call(gateway: GatewayProcess, prefix: str) -> RawAnswer:
    played = recording(PLAYED)
    with RawClient(gateway.url) as client:
        headers = [("x-replay", PLAYED), ("x-feature", prefix)]
        return client.call(f"/{prefix}{CHAT}", played.request_body, headers=headers)


@pytest.fixture(scope="module")
def plain() -> Iterator[ReplayProvider]:
    with ReplayProvider() as running:
        yield running


@pytest.fixture(scope="module")
def secure() -> Iterator[ReplayProvider]:
    with ReplayProvider(tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def proxies(secure: ReplayProvider) -> Iterator[dict[str, ConnectProxy]]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with secure.ca_file.open("ab") as bundle:
        bundle.write(authority.cert_pem.bytes())
    made = {
        "open": ConnectProxy(),
        "guarded": ConnectProxy(login=LOGIN),
        "encrypted": ConnectProxy(login=LOGIN, tls=context),
        "demanding": ConnectProxy(login="another:one"),
        "forbidding": ConnectProxy(answer=b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
        "helpless": ConnectProxy(answer=b"HTTP/1.1 502 Bad Gateway\r\n\r\n", hangs_up=True),
        "silent": ConnectProxy(answer=b""),
        "resetting": ConnectProxy(answer=b"", hangs_up=True),
        "talking": ConnectProxy(answer=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        "garbled": ConnectProxy(answer=b"SSH-2.0-OpenSSH_9\r\n\r\n"),
        "endless": ConnectProxy(answer=b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000),
        "interim": ConnectProxy(answer=b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 407 No\r\n\r\n"),
    }
    with ExitStack() as opened:
        for each in made.values():
            opened.enter_context(each)
        yield made


@pytest.fixture(scope="module")
def gateway(
    plain: ReplayProvider, secure: ReplayProvider, proxies: Mapping[str, ConnectProxy]
) -> Iterator[GatewayProcess]:
    https: dict[str, Any] = {
        "provider": "openai", "base_url": secure.base_url, "ca_file": str(secure.ca_file),
    }  # fmt: skip
    upstreams = {name: https | {"proxy": proxy.url} for name, proxy in proxies.items()}
    for name in ("guarded", "encrypted", "demanding"):
        upstreams[name]["proxy_login"] = "env:PROXY_LOGIN"
    upstreams["silent"]["timeouts"] = {"connect_s": 0.5}
    upstreams |= {
        "plain": {"provider": "openai", "base_url": plain.base_url, "proxy": proxies["open"].url},
        "nowhere": https | {"proxy": "http://127.0.0.1:1"},
        "local": https,
        "named": https | {"base_url": "https://llm.example"},
        "exempt": {"provider": "openai", "base_url": "http://127.0.0.1.invalid"},
        "direct": {"provider": "openai", "base_url": plain.base_url, "proxy": "none"},
    }
    environ = {
        "PROXY_LOGIN": LOGIN,
        "HTTPS_PROXY": proxies["forbidding"].url.replace("://", f"://{LOGIN}@"),
        "http_proxy": proxies["forbidding"].url,
        "NO_PROXY": ".invalid",
    }
    with GatewayProcess(upstreams=upstreams, environ=environ) as running:
        yield running


@pytest.mark.parametrize("name", ["open", "guarded", "encrypted", "plain"])
def test_bytes_pass_a_tunnel_unchanged_and_the_connection_is_kept(
    gateway: GatewayProcess, proxies: Mapping[str, ConnectProxy], name: str
) -> None:
    proxy = proxies["open" if name == "plain" else name]
    before = len(proxy.asked)

    answers = [call(gateway, name) for _ in range(5)]

    assert {(each.status, each.body) for each in answers} == {
        (200, recording(PLAYED).response_body)
    }
    assert len(proxy.asked) - before == 1


def test_a_proxy_learns_the_address_and_its_login_and_no_more(
    gateway: GatewayProcess, secure: ReplayProvider, proxies: Mapping[str, ConnectProxy]
) -> None:
    call(gateway, "guarded")

    address = f"127.0.0.1:{secure.port}"
    assert set(proxies["guarded"].headers) == {
        f"CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n"
        "proxy-authorization: Basic cm9ib3Q6czNjcmV0LXdvcmQ=\r\n\r\n"
    }


@pytest.mark.parametrize(
    ("name", "code", "slug"),
    [
        ("demanding", "proxy_error", "proxy_unauthorized"),
        ("forbidding", "proxy_error", "proxy_refused"),
        ("helpless", "provider_unreachable", "proxy_cannot_reach"),
        ("silent", "provider_unreachable", "connect_timeout"),
        ("resetting", "proxy_error", "proxy_error"),
        ("talking", "proxy_error", "proxy_error"),
        ("garbled", "proxy_error", "proxy_error"),
        ("endless", "proxy_error", "proxy_error"),
        ("interim", "proxy_error", "proxy_unauthorized"),
        ("nowhere", "proxy_error", "proxy_unreachable"),
        ("named", "proxy_error", "proxy_refused"),
        ("exempt", "provider_unreachable", "dns_error"),
    ],
)
def test_a_proxy_that_makes_no_tunnel_is_told_from_the_provider(
    gateway: GatewayProcess, name: str, code: str, slug: str
) -> None:
    answer = call(gateway, name)

    error = msgspec.json.decode(answer.body)["error"]
    assert (answer.status, error["code"]) == (503, code)
    assert f"({slug})" in error["message"]


def test_a_fault_of_the_proxy_is_not_the_providers(gateway: GatewayProcess) -> None:
    call(gateway, "forbidding")

    counted = gateway.wait_metrics(
        lambda now: now.total("spanmeter_calls_total", spanmeter_feature="forbidding") > 0
    )
    ends = {
        (labels["spanmeter_outcome"], labels["error_type"])
        for labels, value in counted.select("spanmeter_calls_total", spanmeter_feature="forbidding")
        if value
    }
    assert ends == {("gateway_error", "proxy_error")}


@pytest.mark.parametrize("name", ["local", "direct"])
def test_the_variables_never_send_this_machines_own_upstreams_through_a_proxy(
    gateway: GatewayProcess, name: str
) -> None:
    assert call(gateway, name).status == 200


def test_the_login_stands_nowhere(gateway: GatewayProcess) -> None:
    call(gateway, "demanding")

    written = [each.read_bytes() for each in gateway.folder.rglob("*") if each.is_file()]
    assert not [each for each in written if b"s3cret-word" in each or b"czNjcmV0" in each]
