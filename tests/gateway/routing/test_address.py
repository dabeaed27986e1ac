"""What a request target says by itself."""

import pytest

from spanmeter_gateway.routing.address import AZURE, Address, read_address, split_target

KNOWN = {"openai": "openai", "anthropic": "anthropic", "azure": AZURE, "v2": "vllm"}


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/v1/models", ("/v1/models", "")),
        ("/v1/models?a=1?b", ("/v1/models", "a=1?b")),
        ("/v1/models?", ("/v1/models", "")),
        ("http://gateway:8080/v1/models?a=1", ("/v1/models", "a=1")),
        ("HTTPS://u:p@gateway/v1/models", ("/v1/models", "")),
        ("http://gateway", ("/", "")),
        ("http://gateway?a=1", ("/", "a=1")),
        ("*", ("*", "")),
        ("//gateway/v1/models", ("//gateway/v1/models", "")),
        ("/http://gateway/v1", ("/http://gateway/v1", "")),
    ],
)
def test_a_target_is_split_in_any_of_its_forms(target: str, parts: tuple[str, str]) -> None:
    assert split_target(target) == parts


@pytest.mark.parametrize(
    ("method", "target", "dialect", "address"),
    [
        ("POST", "/v1/chat/completions", "openai_chat", ("/v1/chat/completions", "", None, None)),
        ("GET", "/v1/chat/completions", None, ("/v1/chat/completions", "", None, None)),
        (
            "POST",
            "/openai/v1/chat/completions?a=1",
            "openai_chat",
            ("/v1/chat/completions", "a=1", "openai", None),
        ),
        (
            "POST",
            "//openai//v1/embeddings",
            "openai_embeddings",
            ("//v1/embeddings", "", "openai", None),
        ),
        ("GET", "/openai", None, ("/", "", "openai", None)),
        ("GET", "/openai/", None, ("/", "", "openai", None)),
        ("GET", "/openai/openai", None, ("/openai", "", "openai", None)),
        ("GET", "/v2/v2/models", None, ("/v2/models", "", "v2", None)),
        ("GET", "/openaix/models", None, ("/openaix/models", "", None, None)),
        ("GET", "/OpenAI/models", None, ("/OpenAI/models", "", None, None)),
        (
            "POST",
            "/openai/deployments/d/chat/completions",
            "openai_chat",
            ("/openai/deployments/d/chat/completions", "", None, AZURE),
        ),
        (
            "POST",
            "/openai/responses?api-version=1",
            "openai_responses",
            ("/openai/responses", "api-version=1", None, AZURE),
        ),
        (
            "POST",
            "/azure/openai/responses?api-version=1",
            "openai_responses",
            ("/openai/responses", "api-version=1", "azure", None),
        ),
        (
            "POST",
            "/anthropic/v1/messages?api-version=1",
            "anthropic_messages",
            ("/v1/messages", "api-version=1", "anthropic", None),
        ),
        ("POST", "", None, ("/", "", None, None)),
        ("POST", "/", None, ("/", "", None, None)),
    ],
)
def test_a_target_names_its_dialect_and_perhaps_its_upstream(
    method: str,
    target: str,
    *,
    dialect: str | None,
    address: tuple[str, str, str | None, str | None],
) -> None:
    found = read_address(method, target, KNOWN, asked=None)

    path, query, upstream, provider = address
    assert (found.dialect.name if found.dialect else None) == dialect
    assert found == Address(path, query, found.dialect, upstream=upstream, provider=provider)


@pytest.mark.parametrize(
    ("target", "path", "provider"),
    [
        ("/openai/deployments/d/embeddings", "/openai/deployments/d/embeddings", AZURE),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions", AZURE),
        ("/anthropic/v1/messages", "/anthropic/v1/messages", AZURE),
    ],
)
def test_a_path_asked_of_azure_stays_whole(target: str, path: str, provider: str) -> None:
    found = read_address("POST", target, KNOWN, asked=AZURE)

    assert (found.path, found.upstream, found.provider) == (path, None, provider)


def test_an_upstream_of_azures_own_keeps_its_segment_even_when_azure_is_asked() -> None:
    found = read_address("POST", "/azure/openai/v1/responses", KNOWN, asked=AZURE)

    assert (found.path, found.upstream) == ("/openai/v1/responses", "azure")
