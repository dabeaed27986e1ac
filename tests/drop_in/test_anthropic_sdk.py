"""Anthropic's Python SDK with another base URL and one header: the same answers and errors."""

from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from tests.drop_in.counted import calls_by_outcome, tokens_by_class
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

Ask = Callable[[anthropic.Anthropic, dict[str, str]], Any]

PROMPT: Any = [{"role": "user", "content": "Hi"}]
MODEL = "claude-sonnet-5"


def ask_message(client: anthropic.Anthropic, headers: dict[str, str]) -> Any:
    return client.messages.create(
        model=MODEL, max_tokens=10, messages=PROMPT, extra_headers=headers
    ).model_dump(warnings=False)


def ask_events(client: anthropic.Anthropic, headers: dict[str, str]) -> Any:
    with client.messages.create(
        model=MODEL, max_tokens=10, messages=PROMPT, stream=True, extra_headers=headers
    ) as events:
        return [event.model_dump(warnings=False) for event in events]


def ask_stream(client: anthropic.Anthropic, headers: dict[str, str]) -> Any:
    with client.messages.stream(
        model=MODEL, max_tokens=10, messages=PROMPT, extra_headers=headers
    ) as stream:
        return [*stream.text_stream, stream.get_final_message().model_dump(warnings=False)]


def sdk(base_url: str, **headers: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=base_url, api_key="test-upstream-key", max_retries=0, default_headers=headers
    )


@pytest.mark.parametrize(
    ("ask", "replay", "tokens"),
    [
        (ask_message, "anthropic-messages/basic", {"input": 18, "output": 11}),
        (
            ask_message,
            "anthropic-messages/cache-write-1h-gzip-wire",
            {"input": 17, "cache_write": 2056, "output": 100},
        ),
        (
            ask_events,
            "anthropic-messages/stream-cache-read",
            {"input": 11, "cache_read": 1031, "output": 100},
        ),
        (ask_stream, "anthropic-messages/emoji-stream-gzip-wire", {"input": 678, "output": 82}),
        (ask_stream, "anthropic-messages/stream-ping", {"input": 12, "output": 11}),
    ],
)
def test_the_answer_is_the_one_that_anthropic_gives(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    tokens: dict[str, float],
) -> None:
    feature = f"{ask.__name__} {replay}"
    headers = {"x-replay": replay, "x-replay-chunking": "random:1"}
    with sdk(provider.base_url) as client:
        direct = ask(client, headers)

    with sdk(gateway.url, **{"X-Feature": feature}) as client:
        through = ask(client, headers | {"x-replay-key": feature})

    received = provider.take(feature)
    assert through == direct
    assert (received.target, received.header("x-api-key")) == ("/v1/messages", "test-upstream-key")
    assert calls_by_outcome(gateway, feature) == {"ok": 1}
    assert tokens_by_class(gateway, feature) == tokens


@pytest.mark.parametrize(
    ("ask", "replay", "error", "outcome"),
    [
        (
            ask_message,
            "anthropic-messages/error-400",
            anthropic.BadRequestError,
            "caller_error",
        ),
        (
            ask_message,
            "anthropic-messages/error-404-gzip-wire",
            anthropic.NotFoundError,
            "caller_error",
        ),
        (
            ask_events,
            "anthropic-messages/error-401-stream-request",
            anthropic.AuthenticationError,
            "caller_error",
        ),
        (
            ask_message,
            "derived/anthropic-overloaded-529",
            anthropic.InternalServerError,
            "provider_error",
        ),
        (
            ask_events,
            "derived/anthropic-overloaded-mid-stream",
            anthropic.APIStatusError,
            "provider_error",
        ),
    ],
)
def test_an_error_of_the_provider_is_raised_as_without_a_gateway(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    error: type[anthropic.APIStatusError],
    outcome: str,
) -> None:
    feature = f"error {replay}"
    with sdk(provider.base_url) as client, pytest.raises(error) as direct:
        ask(client, {"x-replay": replay})

    with (
        sdk(gateway.url, **{"X-Feature": feature}) as client,
        pytest.raises(type(direct.value)) as through,
    ):
        ask(client, {"x-replay": replay})

    assert (through.value.status_code, through.value.body) == (
        direct.value.status_code,
        direct.value.body,
    )
    assert calls_by_outcome(gateway, feature) == {outcome: 1}


def test_an_unreachable_provider_is_a_503_in_anthropics_shape(gateway: GatewayProcess) -> None:
    with (
        sdk(f"{gateway.url}/nowhere-anthropic", **{"X-Feature": "unreachable"}) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        ask_message(client, {})

    body: Any = raised.value.body
    assert (raised.value.status_code, body["type"]) == (503, "error")
    assert body["error"]["code"] == "provider_unreachable"
    assert calls_by_outcome(gateway, "unreachable") == {"provider_error": 1}


def test_a_body_without_a_model_is_a_400_in_anthropics_shape(gateway: GatewayProcess) -> None:
    with (
        sdk(gateway.url, **{"X-Feature": "no model"}) as client,
        pytest.raises(anthropic.BadRequestError) as raised,
    ):
        client.post("/v1/messages", cast_to=object, body={"messages": []})

    body: Any = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert calls_by_outcome(gateway, "no model") == {"caller_error": 1}
