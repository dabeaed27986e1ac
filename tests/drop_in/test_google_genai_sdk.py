"""Google's Gen AI SDK with another base URL and one header: the same answers and errors."""

from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from tests.drop_in.counted import calls_by_outcome, tokens_by_class
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

Ask = Callable[[genai.Client], Any]

MODEL = "gemini-2.5-flash"


def ask_content(client: genai.Client) -> Any:
    return _printed(client.models.generate_content(model=MODEL, contents="Hi"))


def ask_content_stream(client: genai.Client) -> Any:
    chunks = client.models.generate_content_stream(model=MODEL, contents="Hi")
    return [_printed(chunk) for chunk in chunks]


def _printed(answer: types.GenerateContentResponse) -> dict[str, Any]:
    # The HTTP headers are part of it; those of the framing may differ.
    return answer.model_dump(exclude={"sdk_http_response"})


def sdk(base_url: str, headers: dict[str, str]) -> genai.Client:
    return genai.Client(
        api_key="test-upstream-key",
        http_options=types.HttpOptions(base_url=base_url, headers=headers),
    )


@pytest.mark.parametrize(
    ("ask", "replay", "tokens"),
    [
        (ask_content, "gemini/basic-gzip-wire", {"input": 58, "output": 9}),
        (ask_content, "gemini/thinking", {"input": 9, "output": 8, "reasoning": 76}),
        (ask_content_stream, "gemini/stream-sse-crlf", {"input": 9, "output": 527}),
        (
            ask_content_stream,
            "gemini/stream-sse-real-chunks",
            {"input": 32, "output": 73, "reasoning": 23},
        ),
    ],
)
def test_the_answer_is_the_one_that_gemini_gives(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    tokens: dict[str, float],
) -> None:
    headers = {"x-replay": replay, "x-replay-chunking": "random:1"}
    with sdk(provider.base_url, headers) as client:
        direct = ask(client)

    with sdk(gateway.url, headers | {"X-Feature": replay, "x-replay-key": replay}) as client:
        through = ask(client)

    received = provider.take(replay)
    assert through == direct
    assert f"/models/{MODEL}:" in received.target
    assert received.header("x-goog-api-key") == "test-upstream-key"
    assert calls_by_outcome(gateway, replay) == {"ok": 1}
    assert tokens_by_class(gateway, replay) == tokens


@pytest.mark.parametrize(
    ("ask", "replay"),
    [
        (ask_content, "gemini/error-404-gzip-wire"),
        (ask_content_stream, "gemini/error-400-on-stream-request"),
    ],
)
def test_an_error_of_the_provider_is_raised_as_without_a_gateway(
    provider: ReplayProvider, gateway: GatewayProcess, ask: Ask, replay: str
) -> None:
    headers = {"x-replay": replay}
    with sdk(provider.base_url, headers) as client, pytest.raises(errors.ClientError) as direct:
        ask(client)

    with (
        sdk(gateway.url, headers | {"X-Feature": replay}) as client,
        pytest.raises(errors.ClientError) as through,
    ):
        ask(client)

    assert (through.value.code, through.value.status, through.value.details) == (
        direct.value.code,
        direct.value.status,
        direct.value.details,
    )
    assert calls_by_outcome(gateway, replay) == {"caller_error": 1}


def test_an_unreachable_provider_is_a_503_in_googles_shape(gateway: GatewayProcess) -> None:
    headers = {"X-Feature": "gemini unreachable"}
    with (
        sdk(f"{gateway.url}/nowhere-gemini", headers) as client,
        pytest.raises(errors.ServerError) as raised,
    ):
        ask_content(client)

    assert (raised.value.code, raised.value.status) == (503, "UNAVAILABLE")
    assert calls_by_outcome(gateway, "gemini unreachable") == {"provider_error": 1}
