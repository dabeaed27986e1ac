"""The pretend provider itself: every recording arrives as recorded, in whatever way it is sent."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator

import anthropic
import brotli
import httpx
import openai
import pytest
import zstandard
from tests.fakes.raw_client import RawAnswer, RawClient
from tests.fakes.recordings import Recording, all_recordings, recording
from tests.fakes.replay_provider import EXTRA_HEADERS, ReplayProvider

CHUNKINGS = ("whole", "events", "random:1", "bytes:512", "recorded")
FRAMINGS = ("chunked", "length", "close")
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": lambda body: zlib.decompressobj(wbits=31).decompress(body),
    "deflate": lambda body: zlib.decompressobj(wbits=15).decompress(body),
    "raw-deflate": lambda body: zlib.decompressobj(wbits=-15).decompress(body),
    "br": lambda body: brotli.decompress(body) if body else b"",
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider() as running:
        yield running


@pytest.fixture
def client(provider: ReplayProvider) -> Iterator[RawClient]:
    with RawClient(provider.base_url) as opened:
        yield opened


def play(client: RawClient, played: Recording, **how: str) -> RawAnswer:
    headers = [("x-replay", played.id), *((f"x-replay-{name}", how[name]) for name in how)]
    return client.call(
        played.path, played.request_body, headers=[*played.request_headers, *headers]
    )


def script(client: RawClient, name: str, *, stream: bool = False) -> RawAnswer:
    body = json.dumps({"model": "gpt-4o-mini", "stream": stream}).encode()
    return client.call("/v1/chat/completions", body, headers=[("x-script", name)])


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("chunking", CHUNKINGS)
def test_every_recording_is_played_back_whole(
    client: RawClient, chunking: str, framing: str
) -> None:
    answers = {
        played.id: play(client, played, chunking=chunking, framing=framing)
        for played in all_recordings()
    }

    assert {id: (each.status, each.body, each.is_cut) for id, each in answers.items()} == {
        played.id: (played.status, played.response_body, played.is_aborted)
        for played in all_recordings()
    }


@pytest.mark.parametrize("chunking", ["events", "random:3"])
@pytest.mark.parametrize("encoding", DECODERS)
def test_every_recording_survives_its_compression(
    client: RawClient, encoding: str, chunking: str
) -> None:
    bodies = {
        played.id: play(client, played, chunking=chunking, encoding=encoding).body
        for played in all_recordings()
    }

    assert {id: DECODERS[encoding](body) for id, body in bodies.items()} == {
        played.id: played.response_body for played in all_recordings()
    }


def test_kept_wire_bytes_are_sent_as_they_were_on_the_wire(client: RawClient) -> None:
    kept = [played for played in all_recordings() if played.wire_body is not None]

    answers = [play(client, played, encoding="recorded") for played in kept]

    assert [(each.body, each.header("content-encoding")) for each in answers] == [
        (played.wire_body, played.content_encoding) for played in kept
    ]


def test_response_headers_keep_their_order_and_duplicates(client: RawClient) -> None:
    played = recording("openai-chat/basic")

    answer = play(client, played)

    extra = tuple((name.lower(), value) for name, value in EXTRA_HEADERS)
    assert answer.headers == played.response_headers + extra


def test_a_request_is_remembered_as_it_came(provider: ReplayProvider, client: RawClient) -> None:
    played = recording("azure-openai/basic-emoji")

    play(client, played, key="remembered")

    received = provider.take("remembered")
    assert (received.method, received.target, received.body) == (
        "POST",
        played.path,
        played.request_body,
    )
    assert received.headers == [
        ("host", provider.base_url.removeprefix("http://")),
        *played.request_headers,
        ("x-replay", played.id),
        ("x-replay-key", "remembered"),
        ("content-length", str(len(played.request_body))),
    ]


def test_another_process_can_read_and_forget_what_was_received(
    provider: ReplayProvider, client: RawClient
) -> None:
    play(client, recording("openai-chat/basic"), key="elsewhere")

    before = json.loads(client.call("/-/received", method="GET").body)
    client.call("/-/received", method="DELETE")
    after = json.loads(client.call("/-/received", method="GET").body)

    assert ["x-replay-key", "elsewhere"] in before[-1]["headers"]
    assert after == []
    assert provider.received == []


def test_usage_is_added_only_where_the_request_asks_for_it(client: RawClient) -> None:
    played = recording("openai-chat/stream-no-usage")
    headers = [("x-replay", played.id), ("x-replay-usage", "7,5")]
    asking = json.dumps(played.request | {"stream_options": {"include_usage": True}}).encode()

    plain = client.call(played.path, played.request_body, headers=headers)
    asked = client.call(played.path, asking, headers=headers)

    assert plain.body == played.response_body
    assert b'"prompt_tokens":7,"completion_tokens":5' in asked.body
    assert len(asked.body) > len(plain.body)


def test_tls_is_trusted_through_the_authority_file() -> None:
    with ReplayProvider(tls=True) as provider:
        client = RawClient(provider.base_url, ca_file=str(provider.ca_file))
        with client:
            answer = play(client, recording("openai-chat/basic"), framing="length")

    assert answer.body == recording("openai-chat/basic").response_body


@pytest.mark.parametrize("name", ["chat", "after 0.01", "drip 0.001", "last-on-connection"])
def test_a_script_streams_a_whole_chat(client: RawClient, name: str) -> None:
    answer = script(client, name, stream=True)

    assert (answer.status, answer.body.count(b"data: "), answer.is_cut) == (200, 5, False)


@pytest.mark.parametrize("name", ["close-mid-body chunked", "close-mid-body length", "bad-chunk"])
def test_a_script_breaks_off_in_the_middle(client: RawClient, name: str) -> None:
    answer = script(client, name, stream=True)

    assert (answer.status, answer.body.count(b"data: "), answer.is_cut) == (200, 2, True)


@pytest.mark.parametrize("name", ["close-before-head", "reset-before-head"])
def test_a_script_leaves_without_an_answer(client: RawClient, name: str) -> None:
    with pytest.raises(ConnectionError):
        script(client, name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("status 429 rate_limit_exceeded", (429, "1")),
        ("no-content", (204, "")),
        ("not-modified", (304, "")),
        ("http10", (200, "")),
    ],
)
def test_a_script_answers_its_status(
    client: RawClient, name: str, expected: tuple[int, str]
) -> None:
    answer = script(client, name)

    assert (answer.status, answer.header("retry-after")) == expected


def test_a_large_answer_has_its_size(client: RawClient) -> None:
    answer = script(client, "large 1000000")

    assert (len(answer.body), answer.length) == (1_000_000, 1_000_000)


def test_a_head_request_gets_the_length_and_no_body(client: RawClient) -> None:
    played = recording("openai-chat/basic")
    headers = [("x-replay", played.id), ("x-replay-framing", "length")]

    answer = client.call(played.path, method="HEAD", headers=headers)

    assert (answer.body, answer.length) == (b"", len(played.response_body))


def test_a_peer_that_leaves_an_endless_stream_is_noticed(provider: ReplayProvider) -> None:
    headers = {"x-script": "endless-stream", "x-replay-key": "leaver"}
    with httpx.stream("POST", f"{provider.base_url}/v1/chat/completions", headers=headers) as live:
        next(live.iter_bytes())

    assert provider.take("leaver").cut.wait(5)


def test_informational_answers_come_before_the_final_one(provider: ReplayProvider) -> None:
    answer = httpx.post(provider.base_url, headers={"x-script": "informational"}, json={})

    assert answer.json()["choices"][0]["message"]["content"] == "pong"


def test_sdks_read_the_replay_as_the_real_thing(provider: ReplayProvider) -> None:
    chat = openai.OpenAI(base_url=f"{provider.base_url}/v1", api_key="test-upstream-key")
    messages = anthropic.Anthropic(base_url=provider.base_url, api_key="test-upstream-key")
    with chat, messages:
        said = chat.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Hi"}],
            extra_headers={"x-replay": "openai-chat/basic", "x-replay-encoding": "gzip"},
        )
        written = messages.messages.create(
            model="claude-3-5-sonnet-latest",
            max_tokens=10,
            messages=[{"role": "user", "content": "Hi"}],
            extra_headers={"x-replay": "anthropic-messages/basic"},
        )

    assert said.usage is not None
    assert (said.usage.prompt_tokens, written.usage.input_tokens) == (22, 18)


def test_gzip_is_what_the_standard_library_reads(client: RawClient) -> None:
    played = recording("openai-chat/basic")

    answer = play(client, played, encoding="gzip")

    assert gzip.decompress(answer.body) == played.response_body
