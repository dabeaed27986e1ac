"""A secret goes where it is meant to go and nowhere else: not upstream, not sideways, not back."""

import json
import uuid
from collections.abc import Iterator

import pytest
from tests.fakes.exchange import Answer, Exchange
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.fakes.scripts import JSON
from tests.gateway_process import GatewayProcess

CHAT = "/v1/chat/completions"
BODY = b'{"model":"gpt-4o-mini","messages":[]}'
GATEWAY_KEY = "gateway-key-1"
HELD = {"first": "held-by-first", "second": "held-by-second", "claude": "held-by-claude"}
OWN = {
    "authorization": "Bearer own-bearer",
    "x-api-key": "own-x-api-key",
    "api-key": "own-api-key",
    "x-goog-api-key": "own-goog",
}
ROUTING_OF_OTHERS = {
    # What other gateways let a caller choose the provider's address by.
    "helicone-target-url": "http://127.0.0.1:9/helicone",
    "helicone-openai-api-base": "http://127.0.0.1:9/base",
    "x-portkey-custom-host": "http://127.0.0.1:9/portkey",
    "x-portkey-config": '{"custom_host":"http://127.0.0.1:9"}',
    "x-portkey-provider": "anthropic",
    "x-upstream": "second",
    "x-target-url": "http://127.0.0.1:9/target",
    "x-forwarded-host": "127.0.0.1:9",
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-proto": "https",
    "forwarded": "host=127.0.0.1:9;for=192.0.2.7",
    "x-real-ip": "192.0.2.7",
    "x-original-url": "http://127.0.0.1:9/original",
    "x-rewrite-url": "/second/v1/models",
    "x-http-method-override": "DELETE",
    "x-base-url": "http://127.0.0.1:9/base",
    "api-base": "http://127.0.0.1:9/litellm",
}


async def redirect(exchange: Exchange, argument: str) -> bool:
    """Send the caller elsewhere."""
    status, _, location = argument.partition(" ")
    return await exchange.send(Answer(int(status), [("location", location)], [b"moved"]))


async def blame(exchange: Exchange, _: str) -> bool:
    """Refuse as OpenAI does: with the key that was shown."""
    shown = next(value for name, value in exchange.received.headers if name == "authorization")
    text = f"Incorrect API key provided: {shown}. You can find your API key at https://x."
    error = {"error": {"message": text, "code": "invalid_api_key", "param": shown, "type": shown}}
    return await exchange.send(Answer(401, JSON, [json.dumps(error).encode()]))


@pytest.fixture(scope="module")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts={"redirect": redirect, "blame": blame}) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ReplayProvider]:
    """Return a host that nobody configured."""
    with ReplayProvider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    upstreams = {
        "openai": here,
        "first": here | {"provider": "openai", "credential": "env:FIRST"},
        "second": here | {"provider": "openai", "credential": "env:SECOND"},
        "claude": here | {"provider": "anthropic", "credential": "env:CLAUDE"},
        "gemini": here | {"provider": "gemini"},
    }
    with GatewayProcess(
        upstreams=upstreams,
        settings={"gateway_keys": {"team": "env:TEAM"}, "well_known_upstreams": False},
        environ={
            "FIRST": HELD["first"],
            "SECOND": HELD["second"],
            "CLAUDE": HELD["claude"],
            "TEAM": GATEWAY_KEY,
        },
    ) as running:
        yield running


def call(
    gateway: GatewayProcess,
    target: str,
    headers: dict[str, str],
    *,
    body: bytes = BODY,
    script: str = "chat",
) -> tuple[RawAnswer, str]:
    """Make a call, and name it for the provider."""
    name = uuid.uuid4().hex
    ours = {"x-gateway-key": GATEWAY_KEY, "x-script": script, "x-replay-key": name}
    with RawClient(gateway.url) as client:
        answer = client.call(target, body, headers=list((ours | headers).items()))
    return answer, name


@pytest.mark.parametrize(
    ("target", "header", "secret"),
    [
        (f"/first{CHAT}", "authorization", f"Bearer {HELD['first']}"),
        (f"/second{CHAT}", "authorization", f"Bearer {HELD['second']}"),
        ("/first/v1/files", "authorization", f"Bearer {HELD['first']}"),
        ("/claude/v1/messages", "x-api-key", HELD["claude"]),
        (f"/first{CHAT}?key=own-key-parameter&a=1", "authorization", f"Bearer {HELD['first']}"),
        (f"/first{CHAT}?a=1&key=own-key-parameter", "authorization", f"Bearer {HELD['first']}"),
    ],
)
def test_an_upstream_gets_its_held_credential_and_no_other_secret(
    gateway: GatewayProcess, provider: ReplayProvider, *, target: str, header: str, secret: str
) -> None:
    answer, name = call(gateway, target, OWN | {"x-lectr-key": GATEWAY_KEY})

    received = provider.take(name)
    credentials = {key: value for key, value in received.headers if key in OWN}
    everything = f"{received.target} {received.headers}"
    assert answer.status == 200
    assert credentials == {header: secret}
    assert GATEWAY_KEY not in everything
    assert "own-" not in everything
    assert [held for held in HELD.values() if held in everything] == [secret.split()[-1]]


def test_without_a_held_credential_the_callers_own_goes_and_no_held_one(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    _, name = call(gateway, f"{CHAT}?key=own-key", OWN)

    received = provider.take(name)
    assert {key: value for key, value in received.headers if key in OWN} == OWN
    assert received.target == f"{CHAT}?key=own-key"
    assert [held for held in HELD.values() if held in str(received.headers)] == []


def test_one_connection_carries_each_callers_own_credential(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    shown = [f"Bearer own-{number}" for number in range(10)]

    names = [call(gateway, CHAT, {"authorization": each})[1] for each in shown]

    taken = [dict(provider.take(name).headers)["authorization"] for name in names]
    assert taken == shown


def test_what_is_between_the_caller_and_us_is_not_told_the_provider(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    _, name = call(gateway, CHAT, {"proxy-authorization": "Basic own", "proxy-connection": "x"})

    received = {key for key, _ in provider.take(name).headers}
    assert received & {"proxy-authorization", "proxy-connection", "x-gateway-key"} == set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_passed_on_and_never_followed(
    gateway: GatewayProcess, elsewhere: ReplayProvider, status: int
) -> None:
    location = f"{elsewhere.base_url}/stolen"

    answer, _ = call(gateway, f"/first{CHAT}", {}, script=f"redirect {status} {location}")

    assert (answer.status, answer.header("location")) == (status, location)
    assert HELD["first"] not in str(answer)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(("name", "value"), ROUTING_OF_OTHERS.items())
def test_a_header_of_other_gateways_chooses_no_host(
    gateway: GatewayProcess, provider: ReplayProvider, *, name: str, value: str
) -> None:
    answer, key = call(gateway, CHAT, {name: value})

    received = provider.take(key)
    assert (answer.status, received.method, received.target) == (200, "POST", CHAT)
    assert f"http://{dict(received.headers)['host']}" == provider.base_url
    assert [held for held in HELD.values() if held in str(received.headers)] == []


@pytest.mark.parametrize(
    "wanted",
    [
        *("http://127.0.0.1:9", "127.0.0.1:9", "//127.0.0.1:9/", "file:///etc/passwd"),
        *("openai@127.0.0.1:9", "openai#@127.0.0.1", "../second", "second/../first", "FIRST "),
    ],
)
def test_a_provider_or_model_name_chooses_no_host(
    gateway: GatewayProcess, elsewhere: ReplayProvider, provider: ReplayProvider, wanted: str
) -> None:
    by_header, _ = call(gateway, CHAT, {"x-provider": wanted})
    _, key = call(gateway, CHAT, {}, body=json.dumps({"model": wanted}).encode())

    received = provider.take(key)
    assert by_header.status in {200, 400}
    assert f"http://{dict(received.headers)['host']}" == provider.base_url
    assert elsewhere.connections == 0


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/v1/chat/completions", CHAT])
def test_the_host_that_a_caller_names_is_not_where_the_call_goes(
    gateway: GatewayProcess, provider: ReplayProvider, target: str
) -> None:
    answer, key = call(gateway, target, {})

    assert answer.status == 200
    assert f"http://{dict(provider.take(key).headers)['host']}" == provider.base_url


def test_an_error_that_repeats_the_key_reaches_its_caller_and_nobody_else(
    gateway: GatewayProcess,
) -> None:
    name = f"f-{uuid.uuid4().hex[:8]}"
    shown = {"authorization": "Bearer own-blamed-key", "x-feature": name}

    answer, _ = call(gateway, CHAT, shown, script="blame")

    calls = "spanmeter_calls_total"
    metrics = gateway.wait_metrics(lambda now: now.total(calls, spanmeter_feature=name) > 0)
    files = [each.read_bytes() for each in gateway.data_dir.rglob("*") if each.is_file()]
    assert b"own-blamed-key" in answer.body
    assert "own-blamed-key" not in metrics.text + gateway.errors
    assert [each for each in files if b"own-blamed-key" in each] == []
