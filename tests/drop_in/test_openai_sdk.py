"""OpenAI's Python SDK with another base URL and one header: the same answers, the same errors."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.drop_in.conftest import BODY_LIMIT_BYTES
from tests.drop_in.counted import calls_by_outcome, tokens_by_class
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

Ask = Callable[[openai.OpenAI, dict[str, str]], Any]

PROMPT: Any = [{"role": "user", "content": "Answer in up to 3 words: Which ocean is largest?"}]


def ask_chat(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    return client.chat.completions.create(
        model="gpt-4o-mini", messages=PROMPT, extra_headers=headers
    ).model_dump()


def ask_chat_stream(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=PROMPT, stream=True, extra_headers=headers
    ) as chunks:
        return [chunk.model_dump() for chunk in chunks]


def ask_chat_stream_with_usage(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    with client.chat.completions.create(
        model="gpt-4o-mini",
        messages=PROMPT,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=headers,
    ) as chunks:
        return [chunk.model_dump() for chunk in chunks]


def ask_embeddings(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    return client.embeddings.create(
        model="text-embedding-3-small", input="South Atlantic Ocean.", extra_headers=headers
    ).model_dump()


def ask_response(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    return client.responses.create(
        model="gpt-4o", input="Which ocean is largest?", extra_headers=headers
    ).model_dump(warnings=False)


def ask_response_stream(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    with client.responses.create(
        model="gpt-4o", input="Which ocean is largest?", stream=True, extra_headers=headers
    ) as events:
        return [event.model_dump(warnings=False) for event in events]


def ask_completion(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    return client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt="Once", extra_headers=headers
    ).model_dump()


def ask_completion_stream(client: openai.OpenAI, headers: dict[str, str]) -> Any:
    with client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt="Once", stream=True, extra_headers=headers
    ) as chunks:
        return [chunk.model_dump() for chunk in chunks]


def sdk(base_url: str, **headers: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=base_url, api_key="test-upstream-key", max_retries=0, default_headers=headers
    )


JOURNEYS: list[tuple[Ask, str, dict[str, float]]] = [
    (ask_chat, "openai-chat/basic", {"input": 22, "output": 3}),
    (ask_chat, "openai-chat/n2", {"input": 22, "output": 6}),
    (ask_chat, "openai-chat/reasoning-gzip-wire", {"input": 11, "output": 36, "reasoning": 192}),
    (ask_chat_stream, "openai-chat/stream-no-usage", {"input": 9, "output": 4}),
    (ask_chat_stream_with_usage, "openai-chat/stream-include-usage", {"input": 22, "output": 3}),
    (ask_chat_stream_with_usage, "openai-chat/n2-stream-usage", {"input": 26, "output": 133}),
    (ask_embeddings, "openai-embeddings/base64", {"input": 4}),
    (ask_response, "openai-responses/basic", {"input": 27, "output": 11}),
    (ask_response_stream, "openai-responses/stream", {"input": 27, "output": 11}),
    (ask_completion, "openai-completions/basic", {"input": 13, "output": 11}),
    (ask_completion_stream, "openai-completions/stream-no-usage", {"input": 9, "output": 4}),
]


@pytest.mark.parametrize(("ask", "replay", "tokens"), JOURNEYS)
def test_the_answer_is_the_one_that_the_provider_gives(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    tokens: dict[str, float],
) -> None:
    feature = f"{ask.__name__} {replay}"
    headers = {"x-replay": replay, "x-replay-chunking": "random:1", "x-replay-usage": "9,4"}
    with sdk(f"{provider.base_url}/v1") as client:
        direct = ask(client, headers)

    with sdk(f"{gateway.url}/v1", **{"X-Feature": feature}) as client:
        through = ask(client, headers)

    assert through == direct
    assert calls_by_outcome(gateway, feature) == {"ok": 1}
    assert tokens_by_class(gateway, feature) == tokens


@pytest.mark.parametrize(
    ("ask", "replay", "error", "outcome"),
    [
        (ask_chat, "openai-chat/error-404", openai.NotFoundError, "caller_error"),
        (ask_chat_stream, "openai-chat/error-404-gzip-wire", openai.NotFoundError, "caller_error"),
        (ask_chat, "openai-chat/error-401", openai.AuthenticationError, "caller_error"),
        (ask_chat, "openai-chat/error-400-image-url", openai.BadRequestError, "caller_error"),
        (ask_chat, "derived/openai-quota-429", openai.RateLimitError, "provider_error"),
        (ask_embeddings, "openai-embeddings/error-401", openai.AuthenticationError, "caller_error"),
        (ask_response, "openai-responses/error-400", openai.BadRequestError, "caller_error"),
    ],
)
def test_an_error_of_the_provider_is_raised_as_without_a_gateway(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    error: type[openai.APIStatusError],
    outcome: str,
) -> None:
    feature = f"error {ask.__name__} {replay}"
    with sdk(f"{provider.base_url}/v1") as client, pytest.raises(error) as direct:
        ask(client, {"x-replay": replay})

    with (
        sdk(f"{gateway.url}/v1", **{"X-Feature": feature}) as client,
        pytest.raises(error) as through,
    ):
        ask(client, {"x-replay": replay})

    assert (through.value.status_code, through.value.body, through.value.request_id) == (
        direct.value.status_code,
        direct.value.body,
        direct.value.request_id,
    )
    assert calls_by_outcome(gateway, feature) == {outcome: 1}


@pytest.mark.parametrize("ask", [ask_chat, ask_chat_stream, ask_embeddings, ask_response])
def test_an_unreachable_provider_is_a_503(gateway: GatewayProcess, ask: Ask) -> None:
    feature = f"unreachable {ask.__name__}"
    with (
        sdk(f"{gateway.url}/nowhere/v1", **{"X-Feature": feature}) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        ask(client, {})

    assert (raised.value.status_code, raised.value.code) == (503, "provider_unreachable")
    assert calls_by_outcome(gateway, feature) == {"provider_error": 1}


def test_a_body_over_the_limit_is_a_413(gateway: GatewayProcess) -> None:
    long_prompt: Any = [{"role": "user", "content": "x" * BODY_LIMIT_BYTES}]
    with (
        sdk(f"{gateway.url}/v1", **{"X-Feature": "too large"}) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.chat.completions.create(model="gpt-4o-mini", messages=long_prompt)

    assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")
    assert calls_by_outcome(gateway, "too large") == {"caller_error": 1}


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"messages":[]}', b'{"model":"a"'])
def test_a_body_that_is_no_call_is_a_400(gateway: GatewayProcess, body: bytes) -> None:
    feature = f"bad body {body!r}"
    with (
        sdk(f"{gateway.url}/v1", **{"X-Feature": feature}) as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        client.post(
            "/chat/completions",
            cast_to=object,
            content=body,
            options={"headers": {"content-type": "application/json"}},
        )

    assert (raised.value.status_code, raised.value.code) == (400, "invalid_request")
    assert calls_by_outcome(gateway, feature) == {"caller_error": 1}


def test_an_unknown_provider_is_a_400_that_names_the_known_ones(gateway: GatewayProcess) -> None:
    with (
        sdk(f"{gateway.url}/v1", **{"X-Feature": "lost", "X-Provider": "nobody"}) as client,
        pytest.raises(openai.BadRequestError) as raised,
    ):
        ask_chat(client, {})

    assert raised.value.code == "invalid_provider"
    assert "groq" in raised.value.message
    assert calls_by_outcome(gateway, "lost") == {"caller_error": 1}


def test_a_stream_that_breaks_raises_as_without_a_gateway(
    provider: ReplayProvider, gateway: GatewayProcess
) -> None:
    headers = {"x-script": "close-mid-body"}
    with sdk(f"{provider.base_url}/v1") as client, pytest.raises(openai.APIConnectionError):
        ask_chat_stream(client, headers)

    with (
        sdk(f"{gateway.url}/v1", **{"X-Feature": "broken"}) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        ask_chat_stream(client, headers)

    assert calls_by_outcome(gateway, "broken") == {"provider_error": 1}


def test_other_paths_of_the_api_pass_through(
    provider: ReplayProvider, gateway: GatewayProcess
) -> None:
    headers = {"x-replay": "openai-chat/error-404", "x-replay-key": "models"}
    with sdk(f"{gateway.url}/v1") as client, pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model", extra_headers=headers)

    received = provider.take("models")
    assert (received.method, received.target) == ("GET", "/v1/models/no-such-model")
