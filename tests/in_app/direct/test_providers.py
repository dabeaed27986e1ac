"""Which hosts are whose: what is metered, and what is left alone."""

import pytest

from spanmeter.providers import provider_at


@pytest.mark.parametrize(
    ("host", "port", "provider"),
    [
        ("api.openai.com", 443, "openai"),
        ("eu.api.openai.com", 443, "openai"),
        ("api.anthropic.com", 443, "anthropic"),
        ("generativelanguage.googleapis.com", 443, "gcp.gemini"),
        ("us-central1-aiplatform.googleapis.com", 443, "gcp.vertex_ai"),
        ("aiplatform.googleapis.com", 443, "gcp.vertex_ai"),
        ("shop.openai.azure.com", 443, "azure.ai.openai"),
        ("shop.services.ai.azure.com", 443, "azure.ai.inference"),
        ("127.0.0.1", 11434, "ollama"),
        ("api.openai.com.evil.example", 443, None),
        ("evilapi.openai.com", 443, None),
        ("api.openai.com", 8443, None),
        ("shop.openai.azure.com", 80, None),
        ("openai.azure.com", 443, None),
        ("127.0.0.1", 8080, None),
        ("", 0, None),
    ],
)
def test_a_provider_is_known_by_its_address(host: str, port: int, provider: str | None) -> None:
    assert provider_at(host, port) == provider
