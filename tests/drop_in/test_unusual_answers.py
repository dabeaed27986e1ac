"""Answers that no recording shows: slow, huge, without a body, on connections that end oddly."""

import json
from collections.abc import Iterator

import pytest
from tests.drop_in.counted import calls_by_outcome
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

PATIENCE = {"connect_s": 2, "first_byte_s": 0.5, "idle_s": 0.5}
LARGE_BYTES = 100_000_000


@pytest.fixture(scope="module")
def impatient(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    upstream = {"provider": "openai", "base_url": provider.base_url, "timeouts": PATIENCE}
    with GatewayProcess(upstreams={"openai": upstream}) as running:
        yield running


@pytest.fixture
def client(impatient: GatewayProcess) -> Iterator[RawClient]:
    with RawClient(impatient.url) as opened:
        yield opened


def call(client: RawClient, script: str, *, stream: bool = False) -> RawAnswer:
    body = json.dumps({"model": "gpt-4o-mini", "stream": stream, "messages": []}).encode()
    headers = [("x-script", script), ("x-feature", script), ("x-replay-key", script)]
    return client.call("/v1/chat/completions", body, headers=headers)


def test_a_body_that_ends_with_a_reset_is_cut_for_the_caller_too(
    impatient: GatewayProcess, client: RawClient
) -> None:
    answer = call(client, "close-mid-body close", stream=True)

    assert (answer.status, answer.is_cut, answer.body[:6]) == (200, True, b"data: ")
    assert calls_by_outcome(impatient, "close-mid-body close") == {"provider_error": 1}


@pytest.mark.parametrize("script", ["never", "stall"])
def test_a_provider_that_is_given_up_loses_its_connection(
    provider: ReplayProvider, client: RawClient, script: str
) -> None:
    call(client, script, stream=True)

    assert provider.take(script).cut.wait(5)


@pytest.mark.parametrize(
    "script", ["chat", "after 0.1", "http10", "informational", "early-answer", "last-on-connection"]
)
def test_an_unusual_but_complete_answer_is_passed_on(
    impatient: GatewayProcess, client: RawClient, script: str
) -> None:
    answers = [call(client, script) for _ in range(3)]

    said = [json.loads(each.body)["choices"][0]["message"]["content"] for each in answers]
    assert said == ["pong", "pong", "pong"]
    assert calls_by_outcome(impatient, script, count=3) == {"ok": 3}


def test_a_slow_stream_arrives_whole(impatient: GatewayProcess, client: RawClient) -> None:
    answer = call(client, "drip 0.05", stream=True)

    assert (answer.body.count(b"data: "), answer.is_cut) == (5, False)
    assert calls_by_outcome(impatient, "drip 0.05") == {"ok": 1}


@pytest.mark.parametrize(("script", "status"), [("no-content", 204), ("not-modified", 304)])
def test_an_answer_without_a_body_leaves_the_connection_usable(
    client: RawClient, script: str, status: int
) -> None:
    answer = call(client, script)

    after = call(client, "chat")
    assert (answer.status, answer.body, answer.is_cut, after.status) == (status, b"", False, 200)


def test_a_head_request_gets_the_length_and_no_body(client: RawClient) -> None:
    played = recording("openai-chat/basic")
    headers = [("x-replay", played.id), ("x-replay-framing", "length")]

    answer = client.call("/v1/models/gpt-4o", method="HEAD", headers=headers)

    after = call(client, "chat")
    assert (answer.status, answer.body, answer.length, after.status) == (
        200,
        b"",
        len(played.response_body),
        200,
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files/f-1/content"])
def test_a_hundred_megabytes_pass_through(client: RawClient, path: str) -> None:
    headers = [("x-script", f"large {LARGE_BYTES}")]

    answer = client.call(path, b'{"model":"gpt-4o-mini"}', headers=headers)

    assert (answer.status, answer.length, len(answer.body)) == (200, LARGE_BYTES, LARGE_BYTES)
    assert answer.body.count(b"x") == LARGE_BYTES
