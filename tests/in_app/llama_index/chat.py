"""Calls by LlamaIndex' client of OpenAI through a gateway; run by the Python that `build` names.

`chat.py <gateway> <traceparent>`: one call of each kind, whose feature is its kind.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI
from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import spanmeter

MESSAGES = [ChatMessage(role="user", content="CANARY of a prompt")]


def main() -> None:
    gateway, traceparent = sys.argv[1:]
    spanmeter.instrument(gateway, tags={"env": "test"})
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    context.attach(parent)

    def client(replay: str) -> Any:
        headers = {"x-replay": f"openai-chat/{replay}"}
        return OpenAI(
            model="gpt-4o-mini",
            api_base=f"{gateway}/v1",
            api_key="sk-CANARY-of-a-key",
            default_headers=headers,
            max_retries=0,
        )

    async def stream_async() -> None:
        chunks = await client("stream-include-usage").astream_chat(MESSAGES)
        assert [chunk async for chunk in chunks]

    kinds: dict[str, Callable[[], object]] = {
        "chat": lambda: client("basic").chat(MESSAGES),
        "stream": lambda: list(client("stream-include-usage").stream_chat(MESSAGES)),
        "chat async": lambda: asyncio.run(client("basic").achat(MESSAGES)),
        "stream async": lambda: asyncio.run(stream_async()),
    }
    for kind, ask in kinds.items():
        with spanmeter.feature(f"llama {kind}"), spanmeter.task("answer"):
            ask()


if __name__ == "__main__":
    main()
