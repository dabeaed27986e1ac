"""OpenAI's SDK for Azure: its endpoint is the gateway, everything else stays."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.drop_in.counted import calls_by_outcome, tokens_by_class
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

Ask = Callable[[openai.AzureOpenAI, dict[str, str]], Any]

PROMPT: Any = [{"role": "user", "content": "Tell me a joke about opentelemetry"}]


def ask_chat(client: openai.AzureOpenAI, headers: dict[str, str]) -> Any:
    return client.chat.completions.create(
        model="my-deployment", messages=PROMPT, extra_headers=headers
    ).model_dump()


def ask_chat_stream(client: openai.AzureOpenAI, headers: dict[str, str]) -> Any:
    with client.chat.completions.create(
        model="my-deployment", messages=PROMPT, stream=True, extra_headers=headers
    ) as chunks:
        return [chunk.model_dump() for chunk in chunks]


def ask_embeddings(client: openai.AzureOpenAI, headers: dict[str, str]) -> Any:
    return client.embeddings.create(
        model="my-embeddings", input="hello", extra_headers=headers
    ).model_dump()


def sdk(endpoint: str, **headers: str) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=endpoint,
        api_key="test-upstream-key",
        api_version="2024-10-21",
        max_retries=0,
        default_headers=headers,
    )


@pytest.mark.parametrize(
    ("ask", "replay", "tokens"),
    [
        (ask_chat, "azure-openai/basic-emoji", {"input": 16, "output": 30}),
        (ask_chat_stream, "azure-openai/stream-prelude-emoji-no-usage", {"input": 9, "output": 4}),
        (ask_embeddings, "azure-openai/embeddings-base64", {"input": 8}),
    ],
)
def test_the_answer_is_the_one_that_azure_gives(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    tokens: dict[str, float],
) -> None:
    feature = f"azure {replay}"
    headers = {"x-replay": replay, "x-replay-chunking": "random:2", "x-replay-usage": "9,4"}
    with sdk(provider.base_url) as client:
        direct = ask(client, headers)

    with sdk(gateway.url, **{"X-Feature": feature}) as client:
        through = ask(client, headers | {"x-replay-key": feature})

    received = provider.take(feature)
    assert through == direct
    assert received.target.startswith("/openai/deployments/my-")
    assert received.target.endswith("?api-version=2024-10-21")
    assert received.header("api-key") == "test-upstream-key"
    assert calls_by_outcome(gateway, feature) == {"ok": 1}
    assert tokens_by_class(gateway, feature) == tokens


def test_an_error_of_azure_is_raised_as_without_a_gateway(
    provider: ReplayProvider, gateway: GatewayProcess
) -> None:
    headers = {"x-replay": "azure-openai/error-401"}
    with sdk(provider.base_url) as client, pytest.raises(openai.AuthenticationError) as direct:
        ask_embeddings(client, headers)

    with (
        sdk(gateway.url, **{"X-Feature": "azure 401"}) as client,
        pytest.raises(openai.AuthenticationError) as through,
    ):
        ask_embeddings(client, headers)

    assert through.value.body == direct.value.body
    assert calls_by_outcome(gateway, "azure 401") == {"caller_error": 1}
