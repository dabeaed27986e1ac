"""A call by requests is one span like any other, however its answer is read."""

import pickle
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.direct.application import JUDGED, Application

import spanmeter
from spanmeter.hooks import requests_hook

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "ping"}]}
STREAM = CHAT | {"stream": True}
PATH = "/v1/chat/completions"


@pytest.fixture
def application(provider: ReplayProvider) -> Iterator[Application]:
    running = Application(provider.base_url)
    spanmeter.instrument(direct=True)
    requests_hook.observer.meter = running.meter
    yield running
    spanmeter.uninstrument()
    running.close()


@pytest.fixture
def url(provider: ReplayProvider) -> str:
    return provider.base_url + PATH


def post(url: str, script: str, body: Any = CHAT, **options: Any) -> requests.Response:
    return requests.post(url, json=body, headers={"x-script": script}, timeout=1, **options)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["document", "stream"])
@pytest.mark.parametrize(("script", "end"), JUDGED)
def test_an_answer_is_judged_as_by_the_gateway(
    application: Application, url: str, body: Any, *, script: str, end: Any
) -> None:
    post(url, script, body)

    assert application.end == end
    assert application.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert application.attributes["spanmeter.feature"] == "untagged"


@pytest.mark.parametrize(
    ("script", "error", "end"),
    [
        ("close-before-head", requests.ConnectionError, "connection_error"),
        ("reset-before-head", requests.ConnectionError, "connection_error"),
        ("garbage", requests.ConnectionError, "provider_bad_response"),
        ("never", requests.ReadTimeout, "timeout"),
        ("stall", requests.ConnectionError, "timeout"),
        ("close-mid-body chunked", requests.exceptions.ChunkedEncodingError, "stream_interrupted"),
        ("close-mid-body length", requests.exceptions.ChunkedEncodingError, "stream_interrupted"),
    ],
)
def test_a_failure_is_judged_as_by_the_gateway_and_raised(
    application: Application, url: str, script: str, *, error: type[Exception], end: str
) -> None:
    with pytest.raises(error):
        post(url, script, STREAM)

    assert application.end == ("provider_error", end)


def test_nobody_listening_is_a_connection_error() -> None:
    with socket.socket() as closed, pytest.MonkeyPatch.context() as patch:
        closed.bind(("127.0.0.1", 0))  # bound and never listened on: refuses every connection
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        application = Application(nowhere)
        spanmeter.instrument(direct=True)
        patch.setattr(requests_hook.observer, "meter", application.meter)
        try:
            with pytest.raises(requests.ConnectionError):
                post(nowhere + PATH, "chat")
        finally:
            spanmeter.uninstrument()
            application.close()

    assert application.end == ("provider_error", "connection_error")


@pytest.mark.parametrize("way", ["a piece", "nothing"])
def test_a_reader_that_leaves_cancels(application: Application, url: str, way: str) -> None:
    answer = post(url, "endless-stream", STREAM, stream=True)
    if way == "a piece":
        assert next(answer.iter_content(None))
    answer.close()
    del answer  # and no cycle holds it

    assert application.end == ("cancelled", "client_disconnected")


READERS: dict[str, Callable[[requests.Response], object]] = {
    "content": lambda answer: answer.content,
    "text": lambda answer: answer.text,
    "pieces": lambda answer: list(answer.iter_content(None)),
    "characters": lambda answer: list(answer.iter_content(7, decode_unicode=True)),
    "lines": lambda answer: list(answer.iter_lines()),
    "bytes": lambda answer: list(answer.raw.stream(3, decode_content=True)),
}


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("chunking", ["bytes", "whole"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_coding_and_way_to_read_is_metered(
    application: Application,
    provider: ReplayProvider,
    read: Callable[[requests.Response], object],
    *,
    encoding: str,
    chunking: str,
) -> None:
    played = recording("openai-chat/stream-include-usage")
    replay = {"x-replay": played.id, "x-replay-encoding": encoding, "x-replay-chunking": chunking}

    answer = requests.post(
        provider.base_url + played.path,
        data=played.request_body, headers=replay, stream=True, timeout=20,
    )  # fmt: skip

    assert read(answer)
    assert application.attributes["gen_ai.usage.output_tokens"] == played.expected["output_tokens"]
    assert application.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert application.end == ("ok", None)


def test_an_answer_is_one_of_requests_own(application: Application, url: str) -> None:
    answer = post(url, "chat")
    copied = pickle.loads(pickle.dumps(answer))

    assert type(answer) is requests.Response
    assert copied.json() == answer.json()


def test_a_listed_gateway_is_not_metered(
    application: Application, provider: ReplayProvider, url: str
) -> None:
    spanmeter.instrument(provider.base_url, direct=True)
    requests_hook.observer.meter = application.meter

    post(url, "chat")

    assert application.calls == []


@pytest.mark.parametrize("body", ["text", "bytes", "pieces"])
def test_every_kind_of_body_is_sent_as_it_is(application: Application, url: str, body: str) -> None:
    text = '{"model":"gpt-4o-mini","messages":[]}'
    bodies: Any = {"text": text, "bytes": text.encode(), "pieces": iter([text.encode()])}

    requests.post(url, data=bodies[body], headers={"x-script": "chat"}, timeout=20)

    known = application.attributes.get("gen_ai.request.model")
    assert known == (None if body == "pieces" else "gpt-4o-mini")
    assert application.end == ("ok", None)
