"""However a call ends, it is one span with the words of the gateway, and the call goes on."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.direct.application import JUDGED, Application, hooked

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "ping"}]}
STREAM = CHAT | {"stream": True}
PATH = "/v1/chat/completions"


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return {"httpx": httpx, "httpx2": httpx2}[request.param]


@pytest.fixture
def url(provider: ReplayProvider) -> str:
    return provider.base_url + PATH


@pytest.mark.parametrize(
    ("script", "end"),
    [
        *JUDGED,
        ("status 400 prose of a provider", ("caller_error", "400")),
        ("informational", ("ok", None)),
        ("last-on-connection", ("ok", None)),
        ("http10", ("ok", None)),
        ("half-document", ("provider_error", "stream_interrupted")),
    ],
)
def test_an_answer_is_judged_as_by_the_gateway(
    application: Application, library: Any, url: str, *, script: str, end: tuple[Any, ...]
) -> None:
    with library.Client() as client:
        client.post(url, json=CHAT, headers={"x-script": script})

    assert application.end == end
    assert (application.call.status.status_code.name == "ERROR") is (end[1] is not None)


@pytest.mark.parametrize(
    ("script", "error", "end"),
    [
        ("close-before-head", "RemoteProtocolError", ("provider_error", "connection_error")),
        ("reset-before-head", "ReadError", ("provider_error", "connection_error")),
        ("garbage", "RemoteProtocolError", ("provider_error", "provider_bad_response")),
        ("never", "ReadTimeout", ("provider_error", "timeout")),
        ("close-mid-body chunked", "RemoteProtocolError", ("provider_error", "stream_interrupted")),
        ("close-mid-body length", "RemoteProtocolError", ("provider_error", "stream_interrupted")),
        ("bad-chunk", "RemoteProtocolError", ("provider_error", "stream_interrupted")),
        ("stall", "ReadTimeout", ("provider_error", "timeout")),
        ("error-then-stall server_error", "ReadTimeout", ("provider_error", "timeout")),
    ],
)
def test_a_failure_is_judged_as_by_the_gateway_and_raised(
    application: Application,
    library: Any,
    url: str,
    *,
    script: str,
    error: str,
    end: tuple[Any, ...],
) -> None:
    with (
        library.Client(timeout=library.Timeout(20, read=0.5)) as client,
        pytest.raises(getattr(library, error)),
    ):
        client.post(url, json=STREAM, headers={"x-script": script})

    assert application.end == end


def test_nobody_listening_is_a_connection_error(library: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and never listened on: refuses every connection
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with (
            hooked(Application(nowhere)) as application,
            library.Client() as client,
            pytest.raises(library.ConnectError),
        ):
            client.post(nowhere + PATH, json=CHAT)

    assert application.end == ("provider_error", "connection_error")
    assert application.attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_a_reader_that_leaves_cancels(application: Application, library: Any, url: str) -> None:
    with (
        library.Client() as client,
        client.stream("POST", url, json=STREAM, headers={"x-script": "endless-stream"}) as answer,
    ):
        next(answer.iter_bytes())

    assert application.end == ("cancelled", "client_disconnected")
    assert application.attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_a_reader_that_leaves_behind_the_last_event_does_not_cancel(
    application: Application, library: Any, url: str
) -> None:
    seen = b""
    with (
        library.Client() as client,
        client.stream("POST", url, json=STREAM, headers={"x-script": "drip 0.05"}) as answer,
    ):
        pieces: Iterator[bytes] = answer.iter_bytes()
        while b"[DONE]" not in seen:
            seen += next(pieces)

    assert application.end == ("ok", None)
    assert application.attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_reader_that_leaves_behind_an_error_was_failed_by_the_provider(
    application: Application, library: Any, url: str
) -> None:
    script, seen = {"x-script": "error-then-stall server_error"}, b""
    with (
        library.Client() as client,
        client.stream("POST", url, json=STREAM, headers=script) as answer,
    ):
        pieces: Iterator[bytes] = answer.iter_bytes()
        while b"server_error" not in seen:
            seen += next(pieces)

    assert application.end == ("provider_error", "server_error")


@pytest.mark.parametrize("error", [httpx.ReadError("cut"), asyncio.CancelledError()])
def test_a_stream_that_was_cut_behind_an_error_was_failed_by_the_provider(
    application: Application, url: str, error: BaseException
) -> None:
    call = application.meter.begin(
        method="POST", url=url, headers={}, body=json.dumps(STREAM).encode()
    )
    assert call is not None
    call.answered(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
    call.received(b'data: {"error":{"code":"server_error"}}\n\ndata: {"choi')
    call.ended(error, is_whole=False)

    assert application.end == ("provider_error", "server_error")


def test_a_cancelled_task_cancels(application: Application, library: Any, url: str) -> None:
    async def read(came: asyncio.Event) -> None:
        async with (
            library.AsyncClient() as client,
            client.stream("POST", url, json=STREAM, headers={"x-script": "endless-stream"}) as it,
        ):
            async for _ in it.aiter_bytes():
                came.set()

    async def cancel() -> None:
        came = asyncio.Event()
        reading = asyncio.create_task(read(came))
        await asyncio.wait_for(came.wait(), 20)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(cancel())

    assert application.end == ("cancelled", "client_disconnected")


def test_an_async_stream_ends_with_its_body(
    application: Application, library: Any, url: str
) -> None:
    async def read() -> None:
        usage = STREAM | {"stream_options": {"include_usage": True}}
        async with (
            library.AsyncClient() as client,
            client.stream("POST", url, json=usage, headers={"x-script": "chat"}) as answer,
        ):
            assert application.calls == []
            await answer.aread()

    asyncio.run(read())

    attributes = application.attributes
    assert application.end == ("ok", None)
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.usage.output_tokens"] > 0
