"""A call by aiohttp is one span like any other; google-genai makes them, where it is installed."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.direct.application import JUDGED, Application
from tests.in_app.hooks.conftest import SCRIPTS
from tests.processes import wait_until

import spanmeter
from spanmeter.hooks import aiohttp_hook

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "ping"}]}
STREAM = CHAT | {"stream": True}
PATH = "/v1/chat/completions"
PATIENT = aiohttp.ClientTimeout(total=30)


@pytest.fixture
def application(provider: ReplayProvider) -> Iterator[Application]:
    running = Application(provider.base_url)
    spanmeter.instrument(direct=True)
    aiohttp_hook.observer.meter = running.meter
    yield running
    spanmeter.uninstrument()
    running.close()


async def post(
    url: str, script: str, body: Any = CHAT, *, limits: aiohttp.ClientTimeout = PATIENT
) -> bytes:
    headers = {"x-script": script, "accept-encoding": "gzip"}
    async with (
        aiohttp.ClientSession(timeout=limits) as session,
        session.post(url, json=body, headers=headers) as answer,
    ):
        return await answer.read()


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["document", "stream"])
@pytest.mark.parametrize(("script", "end"), JUDGED)
def test_an_answer_is_judged_as_by_the_gateway(
    application: Application, provider: ReplayProvider, body: Any, *, script: str, end: Any
) -> None:
    asyncio.run(post(provider.base_url + PATH, script, body))

    assert application.end == end
    assert application.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert application.attributes["spanmeter.feature"] == "untagged"


@pytest.mark.parametrize(
    ("script", "error", "end"),
    [
        ("close-before-head", aiohttp.ServerDisconnectedError, "connection_error"),
        ("reset-before-head", aiohttp.ClientOSError, "connection_error"),
        ("garbage", aiohttp.ClientResponseError, "provider_bad_response"),
        ("close-mid-body chunked", aiohttp.ClientPayloadError, "stream_interrupted"),
        ("close-mid-body length", aiohttp.ClientPayloadError, "stream_interrupted"),
    ],
)
def test_a_failure_is_judged_as_by_the_gateway_and_raised(
    application: Application,
    provider: ReplayProvider,
    script: str,
    *,
    error: type[Exception],
    end: str,
) -> None:
    with pytest.raises(error):
        asyncio.run(post(provider.base_url + PATH, script, STREAM))

    assert application.end == ("provider_error", end)


@pytest.mark.parametrize("script", ["never", "stall"])
@pytest.mark.parametrize("limit", ["total", "sock_read"])
def test_each_kind_of_time_out_is_the_providers(
    application: Application, provider: ReplayProvider, script: str, limit: str
) -> None:
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(
            post(
                provider.base_url + PATH,
                script,
                STREAM,
                limits=aiohttp.ClientTimeout(**{limit: 1.0}),
            )
        )

    assert application.end == ("provider_error", "timeout")


def test_nobody_listening_is_a_connection_error(provider: ReplayProvider) -> None:
    with pytest.MonkeyPatch.context() as patch:
        application = Application("http://127.0.0.1:9")
        spanmeter.instrument(direct=True)
        patch.setattr(aiohttp_hook.observer, "meter", application.meter)
        try:
            with pytest.raises(aiohttp.ClientConnectorError):
                asyncio.run(post(f"http://127.0.0.1:9{PATH}", "chat"))
            assert application.end == ("provider_error", "connection_error")
        finally:
            spanmeter.uninstrument()
            application.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # aiohttp's, of what is forgotten
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["closes", "forgets"])
def test_a_reader_that_leaves_cancels(
    application: Application, provider: ReplayProvider, way: str
) -> None:
    async def read_a_piece() -> None:
        async with aiohttp.ClientSession(timeout=PATIENT) as session:
            headers = {"x-script": "endless-stream"}
            answer = await session.post(provider.base_url + PATH, json=STREAM, headers=headers)
            assert await answer.content.readany()
            if way == "closes":
                answer.close()

    asyncio.run(read_a_piece())
    gc.collect()

    assert application.end == ("cancelled", "client_disconnected")


def test_a_cancelled_task_cancels(application: Application, provider: ReplayProvider) -> None:
    async def give_up() -> None:
        task = asyncio.ensure_future(post(provider.base_url + PATH, "never"))
        await asyncio.to_thread(wait_until, lambda: provider.received)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    provider.received.clear()
    asyncio.run(give_up())

    assert application.end == ("cancelled", "client_disconnected")


def test_a_listed_gateway_is_not_metered(
    application: Application, provider: ReplayProvider
) -> None:
    spanmeter.instrument(provider.base_url, direct=True)
    aiohttp_hook.observer.meter = application.meter

    asyncio.run(post(provider.base_url + PATH, "chat"))

    assert application.calls == []


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize("recording", ["gemini/thinking", "gemini/stream-sse-crlf"])
def test_google_genais_async_calls_are_metered(recording: str) -> None:
    with ReplayProvider(scripts=SCRIPTS) as provider:
        application = Application(provider.base_url, "gcp.gemini")
        spanmeter.instrument(direct=True)
        aiohttp_hook.observer.meter = application.meter
        try:
            asyncio.run(ask_gemini(provider.base_url, recording))
            assert application.end == ("ok", None)
            assert application.attributes["gen_ai.usage.input_tokens"] > 0
            assert application.attributes["gen_ai.request.model"] == "gemini-2.5-flash"
        finally:
            spanmeter.uninstrument()
            application.close()


async def ask_gemini(url: str, recording: str) -> None:
    options = types.HttpOptions(base_url=url, headers={"x-replay": recording})
    async with genai.Client(api_key="none", http_options=options).aio as client:
        if "stream" in recording:
            chunks = client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
            assert [chunk async for chunk in await chunks]
        else:
            await client.models.generate_content(model="gemini-2.5-flash", contents="hi")


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("chunking", ["bytes", "whole"])
def test_every_coding_and_chunking_is_read(
    application: Application, provider: ReplayProvider, encoding: str, chunking: str
) -> None:
    played = recording("openai-chat/stream-include-usage")
    replay = {"x-replay": played.id, "x-replay-encoding": encoding, "x-replay-chunking": chunking}

    async def read_lines() -> int:
        async with (
            aiohttp.ClientSession(timeout=PATIENT) as session,
            session.post(
                provider.base_url + played.path, data=played.request_body, headers=replay
            ) as answer,
        ):
            return len([line async for line in answer.content])

    assert asyncio.run(read_lines()) > 3
    assert application.attributes["gen_ai.usage.output_tokens"] == played.expected["output_tokens"]
    assert application.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert application.end == ("ok", None)


def test_what_the_library_refuses_to_send_is_the_callers_fault(
    application: Application, provider: ReplayProvider
) -> None:
    with pytest.raises(ValueError, match="header"):
        asyncio.run(post(provider.base_url + PATH, "chat\r\nx-injected: 1"))

    assert application.end == ("caller_error", "_OTHER")
