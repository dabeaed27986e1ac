"""The switching guide: each example runs with the real SDK, and is recorded as the page says."""

import itertools
import re

import httpx2
import pytest
import yaml
from anthropic import Anthropic
from openai import OpenAI
from tests.docs_examples.conftest import KEYS, Calls, recorded
from tests.docs_examples.snippets import DOCS, GATEWAY, Snippet, snippets
from tests.fakes.exchange import Received
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

PAGE = (DOCS / "switching.md").read_text()
HELD, *SNIPPETS = snippets("switching.md")
AFTER = [snippet for snippet in SNIPPETS if snippet.label == "After"]
PAIRS = [
    (before, after)
    for before, after in itertools.pairwise(SNIPPETS)
    if (before.label, after.label) == ("Before", "After")
]
CHANGED_MORE = {"LiteLLM"}
"""Whose example needs more than another base URL for its attribution to be recorded."""
DOCUMENTED_PATHS = ("/v1/chat/completions", "/v1/messages")


def rows(heading: str) -> list[list[str]]:
    lines = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[2:]]


ADDRESSES = rows("Addresses")
THEIRS = ("LITELLM", "HELICONE", "PORTKEY", "CF", "LECTR", "CASTAI")


def foreign(requests: list[Received]) -> list[str]:
    """List what reached the provider and is another gateway's, or a secret of one."""
    secrets = {value for name, value in KEYS.items() if name.split("_")[0] in THEIRS}
    return [
        name
        for request in requests
        for name, value in request.headers
        if any(word in name.lower() for word in ("portkey", "helicone", "cf-aig", "lectr", "x-bf-"))
        or any(secret in value for secret in secrets)
    ]


def run(code: str, snippet: Snippet) -> None:
    """Run an example as it stands, and close the client that it leaves open."""
    namespace: dict[str, object] = {}
    try:
        exec(compile(code, snippet.file, "exec"), namespace)
    finally:
        client = namespace.get("client")
        if isinstance(client, OpenAI | Anthropic):
            client.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def test_every_example_is_a_pair_and_every_after_says_what_is_recorded() -> None:
    assert {snippet.label for snippet in SNIPPETS} == {"Before", "After"}
    assert len(PAIRS) * 2 == len(SNIPPETS)
    assert [after.id for after in AFTER if len(after.recorded) != 1] == []


@pytest.mark.parametrize("snippet", AFTER, ids=lambda snippet: snippet.id)
def test_what_is_written_after_is_recorded_as_the_page_says(
    snippet: Snippet, gateway: GatewayProcess, provider: ReplayProvider, calls: Calls
) -> None:
    provider.received.clear()

    run(snippet.code_at(gateway.url), snippet)

    assert calls.recorded() == list(snippet.recorded)
    assert foreign(provider.received) == []


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda snippet: snippet.id)
def test_what_is_written_before_is_recorded_alike_with_nothing_but_another_base_url(
    before: Snippet, after: Snippet, gateway: GatewayProcess, calls: Calls
) -> None:
    theirs = re.findall(r'base_url="([^"]+)"', before.code)
    ours = {address[1]: address[2] for address in ADDRESSES}
    assert len(theirs) == 1
    url = ours[theirs[0]].replace(GATEWAY, gateway.url)

    run(before.code_at(gateway.url).replace(theirs[0], url), before)

    is_alike = calls.recorded() == list(after.recorded)
    assert is_alike == (before.heading not in CHANGED_MORE)


def test_a_key_that_the_gateway_holds_replaces_the_application_s(
    provider: ReplayProvider, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    here = {"base_url": provider.base_url, "headers": {"x-script": "fitting"}}
    upstreams = {name: stated | here for name, stated in settings.pop("upstreams").items()}
    environ = {**sink.environ, "OPENAI_API_KEY": "held-key", "SHOP_GATEWAY_KEY": "shop-key"}
    monkeypatch.setenv("SHOP_GATEWAY_KEY", "shop-key")
    provider.received.clear()
    calls = Calls(sink)

    with GatewayProcess(upstreams=upstreams, settings=settings, environ=environ) as gateway:
        run(HELD.code_at(gateway.url), HELD)
        (span,) = calls.spans(1)

    assert recorded(span) == HELD.recorded[0]
    assert span.attributes["spanmeter.key.id"] == "shop"
    (received,) = provider.received
    assert received.header("authorization") == "Bearer held-key"
    assert received.header("x-gateway-key") == ""


@pytest.mark.parametrize(
    ("heading", "header"),
    [
        ("Helicone", "Helicone-Auth"),
        ("Portkey", "x-portkey-api-key"),
        ("Cloudflare AI Gateway", "cf-aig-authorization"),
    ],
)
def test_the_other_gateways_key_reaches_no_provider(
    heading: str, header: str, gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    before = next(snippet for snippet in SNIPPETS if snippet.heading == heading)
    provider.received.clear()

    run(re.sub(r'base_url="[^"]+"', f'base_url="{gateway.url}/v1"', before.code), before)

    assert header.lower() in before.code.lower()
    assert provider.received[0].header(header) == ""


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address[1])
def test_every_address_leads_where_the_page_says(
    address: list[str], gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    _, theirs, ours, host_alone = address
    alone = gateway.url + re.sub(r"^https?://[^/]+", "", theirs)

    def asked(url: str) -> str:
        provider.received.clear()
        path = "/v1/messages" if "anthropic" in theirs else "/chat/completions"
        model = "claude-sonnet-5" if "anthropic" in theirs else "gpt-4o-mini"
        httpx2.post(url + path, json={"model": model, "messages": []})
        return provider.received[0].target

    assert asked(ours.replace(GATEWAY, gateway.url)) in DOCUMENTED_PATHS
    assert (asked(alone) in DOCUMENTED_PATHS) == (host_alone == "works")
