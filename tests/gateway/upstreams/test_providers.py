import pytest

from spanmeter_gateway.upstreams import providers
from spanmeter_gateway.upstreams.upstream import Upstream


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        *((name, "openai") for name in ("gpt-4o", "chatgpt-4o-latest", "o1", "o3-mini", "o4-mini")),
        *((name, "openai") for name in ("text-embedding-3-small", "davinci-002", "babbage-002")),
        *((name, "openai") for name in ("dall-e-3", "whisper-1", "tts-1", "codex-mini-latest")),
        *((name, "openai") for name in ("omni-moderation-latest", "ft:gpt-4o-mini:acme::1")),
        ("claude-sonnet-5", "anthropic"),
        *(
            (name, "groq")
            for name in ("llama-3.1-8b-instant", "mixtral-8x7b-32768", "gemma2-9b-it")
        ),
        ("gemini-2.5-flash", "gcp.gemini"),
        ("mistral-large-latest", "mistral_ai"),
        ("deepseek-chat", "deepseek"),
        ("grok-4", "x_ai"),
        ("sonar", "perplexity"),
        ("command-a-03-2025", "cohere"),
        ("kimi-k2-0905-preview", "moonshot_ai"),
        ("jamba-large", "ai21"),
        ("GLM-4.5", "zai"),
        ("openrouter/auto", "openrouter"),
        ("text-embedding-004", "gcp.gemini"),
        ("deepseek-r1-distill-llama-70b", "groq"),
    ],
)
def test_a_model_is_known_by_its_whole_name_and_then_by_its_prefix(
    model: str, provider: str
) -> None:
    found = providers.provider_of_model(model)

    assert found is not None
    assert found.name == provider


@pytest.mark.parametrize("model", ["", "house-1", "openai/gpt-4.1-mini", "qwen/qwen3-32b"])
def test_a_model_that_nobody_is_known_for_has_no_provider(model: str) -> None:
    assert providers.provider_of_model(model) is None


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("azure", "azure.ai.openai"),
        ("Gemini", "gcp.gemini"),
        ("x_ai", "x_ai"),
        ("xai", "x_ai"),
        ("vertex", "gcp.vertex_ai"),
        ("mistral", "mistral_ai"),
    ],
)
def test_a_provider_answers_to_its_aliases_in_any_case(asked: str, name: str) -> None:
    found = providers.find(asked)

    assert found is not None
    assert found.name == name


def test_an_unknown_provider_is_not_found() -> None:
    assert providers.find("nobody") is None


@pytest.mark.parametrize(
    ("provider", "header_of_openai", "header_of_own"),
    [
        ("openai", "authorization", "authorization"),
        ("anthropic", "x-api-key", "x-api-key"),
        ("gcp.gemini", "authorization", "x-goog-api-key"),
        ("azure.ai.openai", "api-key", "api-key"),
        ("house", "authorization", "authorization"),
    ],
)
def test_a_credential_goes_in_the_providers_own_header(
    provider: str, header_of_openai: str, header_of_own: str
) -> None:
    headers = [providers.credential_header(provider, family) for family in ("openai", "gemini")]

    assert headers == [header_of_openai, header_of_own]


def test_every_provider_with_an_address_is_an_upstream_without_configuration() -> None:
    upstreams = {upstream.name: upstream for upstream in providers.well_known_upstreams()}

    assert " ".join(upstreams) == (
        "openai anthropic gemini groq mistral deepseek xai perplexity openrouter cerebras together "
        "fireworks cohere moonshot ai21 zai ollama"
    )
    assert upstreams["groq"] == Upstream(
        name="groq",
        provider="groq",
        base_url="https://api.groq.com",
        openai_root="/openai/v1",
        stream_usage=True,
        is_built_in=True,
    )


def test_usage_is_never_asked_of_a_provider_that_would_refuse_or_sends_it_anyway() -> None:
    never_asked = {row.name for row in providers.PROVIDERS if not row.stream_usage}

    assert never_asked >= {"mistral_ai", "perplexity", "openrouter", "ai21", "fireworks"}


def test_no_name_and_no_model_belongs_to_two_providers() -> None:
    names = [name for row in providers.PROVIDERS for name in {row.name, *row.aliases}]
    models = [name for row in providers.PROVIDERS for name in (*row.models, *row.prefixes)]

    assert (len(names), len(models)) == (len(set(names)), len(set(models)))
