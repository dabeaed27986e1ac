"""The providers' own SDKs and the libraries under them, unchanged, through a real gateway.

What the gateway tells of each call is what the application said, and its trace goes on there.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from langchain_openai import ChatOpenAI
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.in_app.hooks.clients import CLIENTS

import spanmeter

Ask = Callable[[str], object]
"""Makes one call through the gateway at a URL."""

KEY = "sk-CANARY-of-a-key"
PROMPT: Any = [{"role": "user", "content": "CANARY of a prompt"}]
OPENAI = {"x-replay": "openai-chat/basic"}
OPENAI_STREAM = {"x-replay": "openai-chat/stream-include-usage", "x-replay-chunking": "random:1"}
ANTHROPIC = {"x-replay": "anthropic-messages/basic"}
ANTHROPIC_STREAM = {"x-replay": "anthropic-messages/stream-ping"}
GEMINI = {"x-replay": "gemini/thinking"}
GEMINI_STREAM = {"x-replay": "gemini/stream-sse-crlf"}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-5", "gemini": "gemini-2.5-flash"}


def openai_sync(url: str) -> object:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=OPENAI) as client:
        return client.chat.completions.create(model=MODELS["openai"], messages=PROMPT)


def openai_stream(url: str) -> object:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=OPENAI_STREAM) as client,
        client.chat.completions.create(
            model=MODELS["openai"],
            messages=PROMPT,
            stream=True,
            stream_options={"include_usage": True},
        ) as chunks,
    ):
        return list(chunks)


def openai_async(url: str) -> object:
    async def ask() -> object:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=KEY, default_headers=OPENAI
        ) as client:
            return await client.chat.completions.create(model=MODELS["openai"], messages=PROMPT)

    return asyncio.run(ask())


def openai_async_stream(url: str) -> object:
    async def ask() -> object:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=KEY, default_headers=OPENAI_STREAM
        ) as client:
            chunks = await client.chat.completions.create(
                model=MODELS["openai"], messages=PROMPT, stream=True
            )
            return [chunk async for chunk in chunks]

    return asyncio.run(ask())


def anthropic_sync(url: str) -> object:
    with anthropic.Anthropic(base_url=url, api_key=KEY, default_headers=ANTHROPIC) as client:
        return client.messages.create(model=MODELS["anthropic"], max_tokens=9, messages=PROMPT)


def anthropic_async_stream(url: str) -> object:
    async def ask() -> object:
        async with (
            anthropic.AsyncAnthropic(
                base_url=url, api_key=KEY, default_headers=ANTHROPIC_STREAM
            ) as client,
            client.messages.stream(
                model=MODELS["anthropic"], max_tokens=9, messages=PROMPT
            ) as stream,
        ):
            return [text async for text in stream.text_stream]

    return asyncio.run(ask())


def _gemini(url: str, headers: dict[str, str]) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, headers=headers))


def gemini_sync(url: str) -> object:
    with _gemini(url, GEMINI) as client:
        return client.models.generate_content(model=MODELS["gemini"], contents="CANARY")


def gemini_stream(url: str) -> object:
    with _gemini(url, GEMINI_STREAM) as client:
        return list(client.models.generate_content_stream(model=MODELS["gemini"], contents="hi"))


def gemini_async(url: str) -> object:
    async def ask() -> object:
        async with _gemini(url, GEMINI).aio as client:
            return await client.models.generate_content(model=MODELS["gemini"], contents="hi")

    return asyncio.run(ask())


def langchain_sync(url: str) -> object:
    return _langchain(url, OPENAI).invoke("CANARY of a prompt")


def langchain_stream(url: str) -> object:
    return list(_langchain(url, OPENAI_STREAM).stream("CANARY of a prompt"))


def langchain_async(url: str) -> object:
    return asyncio.run(_langchain(url, OPENAI).ainvoke("CANARY of a prompt"))


def _langchain(url: str, headers: dict[str, str]) -> ChatOpenAI:
    settings: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": KEY}
    return ChatOpenAI(model=MODELS["openai"], default_headers=headers, **settings)


def _plain(send: Callable[..., int]) -> Ask:
    def ask(url: str) -> object:
        headers = {"x-replay": "openai-chat/basic", "authorization": f"Bearer {KEY}"}
        return send(f"{url}/v1/chat/completions", headers, None)

    ask.__name__ = send.__name__.replace("by_", "")
    return ask


ASKS: list[Ask] = [
    openai_sync,
    openai_stream,
    openai_async,
    openai_async_stream,
    anthropic_sync,
    anthropic_async_stream,
    gemini_sync,
    gemini_stream,
    gemini_async,
    langchain_sync,
    langchain_stream,
    langchain_async,
    *map(_plain, CLIENTS),
]


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    upstreams = {
        name: {"provider": name, "base_url": provider.base_url}
        for name in ("openai", "anthropic", "gemini")
    }
    with GatewayProcess(upstreams=upstreams, environ=sink.environ) as running:
        yield running


def arrived(sink: OtlpSink, feature: str) -> tuple[SinkSpan, SinkSpan]:
    """Wait for a feature's only call, and return the gateway's SERVER and CLIENT span of it."""

    def spans(all_spans: list[SinkSpan]) -> list[SinkSpan]:
        client = next(
            (s for s in all_spans if s.attributes.get("spanmeter.feature") == feature), None
        )
        return [s for s in all_spans if client and s.trace_id == client.trace_id]

    found = spans(sink.wait(lambda came: len(spans(came)) >= 2))
    assert sorted(span.kind for span in found) == ["CLIENT", "SERVER"]
    server, client = sorted(found, key=lambda span: span.kind, reverse=True)
    return server, client


# Google's SDK inherits from a class of aiohttp, which warns of that.
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.__name__)
def test_the_gateway_tells_what_the_application_said(
    ask: Ask, gateway: GatewayProcess, sink: OtlpSink
) -> None:
    spanmeter.instrument(gateway.url, tags={"env": "test"})
    feature = f"Größe {ask.__name__}"
    app = SpanContext(
        secrets.randbits(127) + 1,
        secrets.randbits(63) + 1,
        is_remote=False,
        trace_flags=TraceFlags(1),
    )

    with (
        trace.use_span(NonRecordingSpan(app)),
        spanmeter.feature(feature),
        spanmeter.task("answer"),
        spanmeter.tags(team="ml"),
    ):
        ask(gateway.url)

    server, client = arrived(sink, feature)
    assert (server.trace_id, server.parent_id) == (f"{app.trace_id:032x}", f"{app.span_id:016x}")
    assert client.parent_id == server.span_id
    assert client.attributes["spanmeter.task"] == "answer"
    assert set(client.attributes["spanmeter.tags"]) == {"env:test", "team:ml"}
    assert client.attributes["spanmeter.outcome"] == "ok"
    counted = gateway.wait_metrics(
        lambda seen: seen.total("spanmeter_calls_total", spanmeter_feature=feature) >= 1
    )
    assert counted.total("spanmeter_calls_total", spanmeter_feature=feature) == 1


def test_many_tasks_at_once_are_not_mixed_up(gateway: GatewayProcess, sink: OtlpSink) -> None:
    spanmeter.instrument(gateway.url)
    answers: dict[str, str] = {}

    async def work(client: openai.AsyncOpenAI, number: int) -> None:
        with spanmeter.feature(f"many {number}"), spanmeter.tags(n=number):
            await asyncio.sleep(0.001 * (number % 7))
            with spanmeter.task(f"task {number}"):
                answer = await client.chat.completions.create(
                    model=f"model-{number}", messages=PROMPT, extra_headers={"x-script": "chat"}
                )
            answers[f"many {number}"] = answer.model

    async def work_all() -> None:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY) as client:
            await asyncio.gather(*(work(client, number) for number in range(50)))

    asyncio.run(work_all())

    def ours(spans: list[SinkSpan]) -> set[tuple[Any, ...]]:
        said = [span.attributes for span in spans if span.kind == "CLIENT"]
        return {
            (
                each["spanmeter.feature"],
                each["spanmeter.task"],
                *each["spanmeter.tags"],
                each["gen_ai.request.model"],
            )
            for each in said
            if each["spanmeter.feature"].startswith("many")
        }

    told = ours(sink.wait(lambda spans: len(ours(spans)) >= 50))
    assert told == {(f"many {n}", f"task {n}", f"n:{n}", f"model-{n}") for n in range(50)}
    assert len(answers) == 50


def test_no_prompt_and_no_key_arrives_with_what_is_told(sink: OtlpSink) -> None:
    assert b"CANARY" not in b"".join(sink.bodies)
    assert "CANARY" not in json.dumps([dict(span.attributes) for span in sink.spans], default=str)
