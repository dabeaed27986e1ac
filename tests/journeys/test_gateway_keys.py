"""Where gateway keys are configured, who shows none is refused, counted, and holds nothing up."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.processes import is_answering

CHAT = "/v1/chat/completions"
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
SECRET = "canary-of-the-search-team"
OTHER = "canary-in-a-file"


@pytest.fixture(scope="module")
def gateway(
    provider: ReplayProvider, sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    file = tmp_path_factory.mktemp("secrets") / "batch"
    file.write_text(f"{OTHER}\n")
    here = {"base_url": provider.base_url}
    keys = {"search-team": {"env": "SEARCH_KEY"}, "batch": f"file:{file}"}
    with GatewayProcess(
        upstreams={name: here for name in ("openai", "anthropic", "gemini")},
        settings={"gateway_keys": keys},
        environ={**sink.environ, "SEARCH_KEY": SECRET},
    ) as running:
        yield running


def call(
    gateway: GatewayProcess, target: str, feature: str, *, method: str = "POST", **keys: str
) -> RawAnswer:
    lines = [("x-feature", feature), ("x-tags", "env:test"), ("x-script", "chat")]
    shown = [(name.replace("_", "-"), value) for name, value in keys.items()]
    with RawClient(gateway.url) as client:
        body = PLAIN if method == "POST" else b""
        headers = [*lines, ("x-replay-key", feature), *shown]
        return client.call(target, body, headers=headers, method=method)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (CHAT, ("code", "invalid_gateway_key")),
        ("/v1/messages", ("type", "authentication_error")),
        ("/v1beta/models/gemini-x:generateContent", ("status", "UNAUTHENTICATED")),
        ("/v1/files", ("code", "invalid_gateway_key")),
    ],
)
def test_a_stranger_is_refused_in_the_shape_of_its_dialect(
    gateway: GatewayProcess, target: str, code: tuple[str, str]
) -> None:
    answer = call(gateway, target, "stranger", x_gateway_key="wrong")

    assert answer.status == 401
    assert code in json.loads(answer.body)["error"].items()


def test_the_providers_sdk_raises_what_its_users_expect(gateway: GatewayProcess) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="own", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.models.list()

    assert refused.value.code == "invalid_gateway_key"


@pytest.mark.parametrize(
    ("target", "method", "name"),
    [(CHAT, "POST", "spanmeter_calls_total"), ("/v1/models", "GET", "spanmeter_passthrough_total")],
)
def test_a_stranger_is_counted_with_its_feature_and_tags(
    gateway: GatewayProcess, *, target: str, method: str, name: str
) -> None:
    feature = f"counted-{method}"
    call(gateway, target, feature, method=method)
    seen = gateway.wait_metrics(lambda now: now.total(name, spanmeter_feature=feature) > 0)

    counted = [labels for labels, value in seen.select(name, spanmeter_feature=feature) if value]

    assert [
        (each["spanmeter_outcome"], each["error_type"], each["spanmeter_tag_env"])
        for each in counted
    ] == [("policy_denied", "invalid_gateway_key", "test")]


def test_a_stranger_is_refused_before_its_body_is_read(gateway: GatewayProcess) -> None:
    address = urlsplit(gateway.url)
    lines = "host: x\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n"
    head = f"POST {CHAT} HTTP/1.1\r\n{lines}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connected:
        connected.sendall(head.encode())
        answer = connected.recv(65536)

    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize(
    ("header", "secret", "name"),
    [
        ("x_gateway_key", SECRET, "search-team"),
        ("X_Gateway_Key", OTHER, "batch"),
        ("x_lectr_key", OTHER, "batch"),
    ],
)
def test_a_key_that_is_known_lets_the_call_in_names_it_and_stays_here(
    gateway: GatewayProcess, provider: ReplayProvider, sink: OtlpSink, *, header: str, secret: str,
    name: str,
) -> None:  # fmt: skip
    feature = f"let-in-{header}"
    answer = call(gateway, CHAT, feature, **{header: secret})
    received = provider.take(feature)
    spans = sink.wait(lambda _: feature in sink.client_spans())

    assert answer.status == 200
    assert not {"x-gateway-key", "x-lectr-key"} & {key.lower() for key, _ in received.headers}
    assert {
        span.attributes["spanmeter.key.id"]
        for span in spans
        if span.attributes["spanmeter.feature"] == feature
    } == {name}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(gateway: GatewayProcess, path: str) -> None:
    assert is_answering(f"{gateway.url}{path}")


def test_a_secret_stands_nowhere(gateway: GatewayProcess, sink: OtlpSink) -> None:
    call(gateway, CHAT, "seen", x_gateway_key=SECRET)
    call(gateway, CHAT, "unseen", x_gateway_key=f"{SECRET}-no")
    sink.wait(lambda spans: any(each.attributes["spanmeter.feature"] == "unseen" for each in spans))
    written = [each for each in Path(gateway.folder).rglob("*") if each.is_file()]
    texts = (
        [each.read_bytes() for each in written] + sink.bodies + [gateway.metrics().text.encode()]
    )

    assert len(written) > 3
    assert [text for text in texts if b"canary" in text] == []
