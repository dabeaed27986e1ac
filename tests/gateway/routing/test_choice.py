"""Which upstream a request finds, and what path it gets there."""

import pytest

from spanmeter_gateway.errors import AzureConfigMissing, InvalidProvider, UnknownPath
from spanmeter_gateway.routing.address import read_address
from spanmeter_gateway.routing.choice import Directory, join_base, upstream_target
from spanmeter_gateway.upstreams.providers import well_known_upstreams
from spanmeter_gateway.upstreams.upstream import Upstream

AZURE = Upstream(
    name="azure",
    provider="azure.ai.openai",
    base_url="https://r.openai.azure.com",
    openai_root="/openai/v1",
    api_version="2024-10-21",
)
OWN = Upstream(name="own", provider="vllm", base_url="http://127.0.0.1:8000", models=("llama3",))
UPSTREAMS = (OWN, AZURE, *well_known_upstreams())


def directory(*upstreams: Upstream, ignore: bool = False) -> Directory:
    return Directory(upstreams or UPSTREAMS, default="openai", ignore_invalid_provider=ignore)


def find(
    target: str,
    *,
    asked: str | None = None,
    model: str | None = None,
    method: str = "POST",
    hint: str | None = None,
) -> tuple[str, str]:
    known = directory()
    upstream = known.asked_upstream(asked)
    address = read_address(
        method, target, known.provider_by_name, asked=upstream.provider if upstream else None
    )
    choice = known.choose(address, asked=upstream, model=model, hint=hint)
    return choice.upstream.name, upstream_target(address, choice.upstream, model)


@pytest.mark.parametrize(
    ("target", "model", "upstream", "path"),
    [
        ("/v1/chat/completions", "gpt-4o", "openai", "/v1/chat/completions"),
        ("/v1/chat/completions", "claude-sonnet-4-5", "anthropic", "/v1/chat/completions"),
        ("/v1/chat/completions", "mixtral-8x7b", "groq", "/openai/v1/chat/completions"),
        ("/v1/chat/completions", "gemini-2.5-pro", "gemini", "/v1beta/openai/chat/completions"),
        ("/v1/chat/completions", "sonar-pro", "perplexity", "/chat/completions"),
        ("/v1/chat/completions", "llama3:8b", "own", "/v1/chat/completions"),
        ("/v1/chat/completions", "nobody-knows-it", "openai", "/v1/chat/completions"),
        ("/chat/completions", "gpt-4o", "openai", "/v1/chat/completions"),
        ("/v1/embeddings?x=1", "text-embedding-3-small", "openai", "/v1/embeddings?x=1"),
        ("/v1/messages?beta=true", "claude-x", "anthropic", "/v1/messages?beta=true"),
        ("/v1/messages", "gpt-4o", "anthropic", "/v1/messages"),
        (
            "/v1beta/models/gemini-2.5-pro:generateContent?key=k",
            "gemini-2.5-pro",
            "gemini",
            "/v1beta/models/gemini-2.5-pro:generateContent?key=k",
        ),
    ],
)
def test_an_unprefixed_call_goes_by_its_dialect_and_model(
    target: str, model: str, upstream: str, path: str
) -> None:
    assert find(target, model=model) == (upstream, path)


@pytest.mark.parametrize(
    ("target", "upstream", "path"),
    [
        ("/groq/openai/v1/chat/completions", "groq", "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/anthropic/v1/messages", "anthropic", "/v1/messages"),
        ("/own//v1/chat/completions", "own", "//v1/chat/completions"),
        ("/azure/openai/responses", "azure", "/openai/responses?api-version=2024-10-21"),
        ("/openai", "openai", "/"),
    ],
)
def test_a_first_segment_that_names_an_upstream_selects_it_verbatim(
    target: str, upstream: str, path: str
) -> None:
    assert find(target, model="claude-x") == (upstream, path)


@pytest.mark.parametrize(
    "target",
    [
        "/openai/deployments/d/chat/completions?api-version=2024-02-01",
        "//openai/deployments/d/chat/completions?api-version=2024-02-01",
        "/openai/responses?api-version=2025-04-01-preview",
    ],
)
def test_azures_paths_are_not_swallowed_by_the_upstream_openai(target: str) -> None:
    assert find(target, model="d") == ("azure", target)


def test_a_path_asked_of_azure_stays_whole_although_its_first_segment_is_an_upstream() -> None:
    found = find("/anthropic/v1/messages", asked="azure", model="claude-x")

    assert found == ("azure", "/anthropic/v1/messages?api-version=2024-10-21")


def test_openais_path_asked_of_azure_becomes_a_deployment_path() -> None:
    found = find("/v1/chat/completions", asked="azure", model="my gpt")

    assert found == (
        "azure",
        "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
    )


def test_azure_without_a_version_says_what_to_configure() -> None:
    bare = Upstream(name="azure", provider="azure.ai.openai", base_url="https://r")
    known = directory(bare, *well_known_upstreams())
    address = read_address("POST", "/v1/chat/completions", known.provider_by_name, asked=None)

    with pytest.raises(AzureConfigMissing, match="api_version"):
        upstream_target(address, bare, "gpt")


@pytest.mark.parametrize("asked", ["groq", "GROQ", "own", "vllm", "x_ai", "xai", "gcp.gemini"])
def test_x_provider_takes_names_aliases_and_upstreams(asked: str) -> None:
    assert find("/v1/chat/completions", asked=asked, model="gpt-4o")[0] in {
        *("groq", "own", "xai", "gemini")
    }


def test_an_unknown_provider_is_refused_with_the_valid_values() -> None:
    with pytest.raises(InvalidProvider, match=r"anthropic.*groq.*openai"):
        directory().asked_upstream("opneai")


def test_an_unknown_provider_can_be_ignored_by_configuration() -> None:
    assert directory(ignore=True).asked_upstream("opneai") is None


def test_azure_without_an_endpoint_is_told_so() -> None:
    with pytest.raises(AzureConfigMissing, match="base_url"):
        directory(*well_known_upstreams()).asked_upstream("azure")


@pytest.mark.parametrize(
    "target", ["/azure/openai/deployments/d/chat/completions", "/azure/openai/v1/responses"]
)
def test_azures_prefix_without_an_endpoint_is_told_so(target: str) -> None:
    known = directory(*well_known_upstreams())
    address = read_address("POST", target, known.provider_by_name, asked=None)

    with pytest.raises(AzureConfigMissing, match="base_url"):
        known.choose(address, asked=None, model="d")


def test_azures_prefix_is_unknown_where_its_upstream_has_another_name() -> None:
    eu = Upstream(name="eu", provider="azure.ai.openai", base_url="https://r")
    known = directory(eu, *well_known_upstreams())
    address = read_address("POST", "/azure/openai/v1/responses", known.provider_by_name, asked=None)

    with pytest.raises(UnknownPath, match="/<upstream>/<path>"):
        known.choose(address, asked=None, model=None)


@pytest.mark.parametrize(
    ("hint", "upstream"),
    [(None, "openai"), ("anthropic", "anthropic"), ("gcp.gemini", "gemini")],
)
def test_a_shared_path_goes_to_whoever_issued_its_credential(
    hint: str | None, upstream: str
) -> None:
    assert find("/v1/models", method="GET", hint=hint)[0] == upstream


@pytest.mark.parametrize("target", ["/", "/favicon.ico", "/admin/v1"])
def test_a_path_of_nobody_is_unknown(target: str) -> None:
    with pytest.raises(UnknownPath, match="/<upstream>/<path>"):
        find(target, method="GET")


def test_an_operators_upstream_comes_before_the_well_known_one() -> None:
    mine = Upstream(name="mine", provider="openai", base_url="http://127.0.0.1:1")
    known = directory(*well_known_upstreams(), mine)
    address = read_address("POST", "/v1/chat/completions", known.provider_by_name, asked=None)

    assert known.choose(address, asked=None, model="gpt-4o").upstream is mine


@pytest.mark.parametrize(
    ("base", "target", "joined"),
    [
        ("", "/v1/x", "/v1/x"),
        ("/", "/v1/x", "/v1/x"),
        ("/openai/v1", "/openai/v1/x", "/openai/v1/x"),
        ("/openai/v1", "/v1/x", "/openai/v1/x"),
        ("/proxy", "/v1/x", "/proxy/v1/x"),
        ("/v1", "/v10/x", "/v1/v10/x"),
        ("/a/v1", "/v1", "/a/v1/v1"),
    ],
)
def test_what_base_url_and_path_have_in_common_stands_once(
    base: str, target: str, joined: str
) -> None:
    assert join_base(base, target) == joined


@pytest.mark.parametrize("target", ["/own/../x", "/own/v1/%2e%2E/x", "/v1/..", "/openai/.%2e"])
def test_a_path_never_climbs_out_of_its_upstream(target: str) -> None:
    with pytest.raises(UnknownPath, match=r"segment"):
        find(target, method="GET")


def test_dots_within_a_segment_are_nothing_special() -> None:
    assert find("/own/v1/files/a..b", method="GET") == ("own", "/v1/files/a..b")
