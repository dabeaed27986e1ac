"""A FastAPI application behind uvicorn: its calls reach a gateway with their features."""

import asyncio
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
import uvicorn
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from tests.in_app.servers.arrivals import Arrivals
from websockets.sync.client import connect

import spanmeter
from spanmeter.asgi import FeatureMiddleware

ROUTES = {"/chat/*": "chat", "/search": "search"}
PROMPT: Any = [{"role": "user", "content": "CANARY-7a1c"}]


class Shop:
    """An application whose every path makes a call, to a model of the path's name."""

    def __init__(self, sync: openai.OpenAI, client: openai.AsyncOpenAI) -> None:
        self._sync = sync
        self._client = client

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_middleware(FeatureMiddleware, routes=ROUTES, baggage=True)
        chat = APIRouter(prefix="/chat")
        chat.get("/nested")(self.nested)
        chat.get("/to-thread")(self.to_thread)
        chat.get("/gathered")(self.gathered)
        chat.get("/stream")(self.stream)
        chat.get("/sync-stream")(self.sync_stream)
        chat.get("/background")(self.background)
        chat.get("/sync")(lambda: self.ask_sync("sync"))  # in a thread of Starlette's pool
        chat.get("/{model}")(self.ask)
        chat.websocket("/socket")(self.socket)
        app.include_router(chat)
        app.get("/search")(spanmeter.task("rank")(self.search))
        app.get("/plain/{model}")(self.ask)
        app.router.on_shutdown.append(self._client.close)
        return app

    async def ask(self, model: str) -> str | None:
        answer = await self._client.chat.completions.create(model=model, messages=PROMPT)
        return answer.choices[0].message.content

    def ask_sync(self, model: str) -> str | None:
        answer = self._sync.chat.completions.create(model=model, messages=PROMPT)
        return answer.choices[0].message.content

    async def search(self) -> str | None:
        return await self.ask("search")

    async def nested(self) -> str | None:
        with spanmeter.feature("upsell"), spanmeter.task("suggest"), spanmeter.tags(step=1):
            await self.ask("nested")
        return await self.ask("after-nested")

    async def to_thread(self) -> str | None:
        with spanmeter.task("threaded"):
            return await asyncio.to_thread(self.ask_sync, "to-thread")

    async def gathered(self) -> str | None:
        answers = await asyncio.gather(self.ask("gathered"), self.ask("gathered-too"))
        return answers[0]

    async def stream(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            with spanmeter.task("write"):
                chunks = await self._client.chat.completions.create(
                    model="stream", messages=PROMPT, stream=True
                )
                async for chunk in chunks:
                    yield chunk.choices[0].delta.content or ""
            await self.ask("after-stream")

        return StreamingResponse(pieces())

    def sync_stream(self) -> StreamingResponse:
        def pieces() -> Iterator[str]:
            yield "-"
            yield self.ask_sync("sync-stream") or ""

        return StreamingResponse(pieces())

    async def background(self, tasks: BackgroundTasks) -> str:
        tasks.add_task(self.ask_sync, "background")
        return "pong"

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        async for _ in socket.iter_text():
            await socket.send_text(await self.ask("socket") or "")


@pytest.fixture(scope="module")
def url(instrumented: Arrivals) -> Iterator[str]:
    """Serve the shop by uvicorn in a thread."""
    options: dict[str, Any] = {
        "base_url": f"{instrumented.url}/v1",
        "api_key": "CANARY-key",
        "default_headers": {"x-script": "chat"},
        "max_retries": 0,
    }
    with socket.create_server(("127.0.0.1", 0)) as listener, openai.OpenAI(**options) as sync:
        client = openai.AsyncOpenAI(**options)
        server = uvicorn.Server(uvicorn.Config(Shop(sync, client).app(), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def get(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        text: str = answer.read().decode()
    return text


CHAT = ["chat", None, {}]


@pytest.mark.parametrize(
    ("path", "attributed"),
    [
        ("/chat/async", {"async": CHAT}),
        ("/chat/nested", {"nested": ["upsell", "suggest", {"step": "1"}], "after-nested": CHAT}),
        ("/chat/sync", {"sync": CHAT}),
        ("/chat/to-thread", {"to-thread": ["chat", "threaded", {}]}),
        ("/chat/gathered", {"gathered": CHAT, "gathered-too": CHAT}),
        ("/chat/stream", {"stream": ["chat", "write", {}], "after-stream": CHAT}),
        ("/chat/sync-stream", {"sync-stream": CHAT}),
        ("/chat/background", {"background": CHAT}),
        ("/search", {"search": ["search", "rank", {}]}),
        ("/plain/health", {"health": ["untagged", None, {}]}),
    ],
)
def test_each_call_arrives_with_the_feature_of_its_path_and_the_blocks_around_it(
    url: str, instrumented: Arrivals, path: str, attributed: dict[str, list[object]]
) -> None:
    answer = get(f"{url}{path}")

    assert "pong" in answer
    assert {model: instrumented.of(model) for model in attributed} == attributed


def test_each_call_of_a_web_socket_has_its_feature(url: str, instrumented: Arrivals) -> None:
    with connect(f"{url.replace('http', 'ws')}/chat/socket") as socket:
        for _ in range(2):
            socket.send("hello")
            assert socket.recv(timeout=60) == "pong"

    spans = instrumented.spans("socket", count=2)
    assert [span.attributes["spanmeter.feature"] for span in spans] == ["chat", "chat"]


def test_a_service_behind_another_inherits_its_feature(url: str, instrumented: Arrivals) -> None:
    carrier: dict[str, str] = {}
    with spanmeter.feature("checkout"), spanmeter.tags(team="ml"):
        spanmeter.inject(carrier)

    get(f"{url}/plain/inherited", **carrier)
    get(f"{url}/chat/inherited-in-chat", **carrier)

    assert instrumented.of("inherited") == ["checkout", None, {"team": "ml"}]
    assert instrumented.of("inherited-in-chat") == ["chat", None, {"team": "ml"}]


def test_requests_at_once_do_not_mix(url: str, instrumented: Arrivals) -> None:
    models = [f"{path}{number}" for number in range(10) for path in ("plain", "chat")]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda model: get(f"{url}/{model.rstrip('0123456789')}/{model}"), models))

    features = {model: instrumented.of(model)[0] for model in models}
    assert features == {
        model: "chat" if model.startswith("chat") else "untagged" for model in models
    }


def test_neither_prompts_nor_keys_are_told(url: str, instrumented: Arrivals) -> None:
    get(f"{url}/plain/canary")
    instrumented.of("canary")

    assert b"CANARY" not in b"".join(instrumented.sink.bodies)
