"""A web shop whose every LLM call says what it is for.

    python examples/shop.py

starts a pretend provider, a gateway before it and the shop, all on loopback; no key is needed. It
visits each page once, prints what each call was made for, and at the end the traces and metrics
that arrived. What is special about the shop is ROUTES, the `spanmeter.` lines and `instrument`.
"""

from collections.abc import AsyncIterator
from typing import Any

import openai
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from surroundings import Note, show

import spanmeter
from spanmeter.asgi import FeatureMiddleware

ROUTES = {"/chat/*": "support-chat", "/search": "search"}
VISITS = ("/chat/ada?says=Where+is+my+lamp", "/search?words=lamp", "/orders/7/return", "/about")


class Shop:
    """The pages. Each call to a model goes through the SDK, which knows nothing of Spanmeter."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client

    def app(self) -> FastAPI:
        """Make the application; the features of its paths come from ROUTES."""
        app = FastAPI()
        app.get("/chat/{customer}")(self.chat)
        app.get("/search")(self.search)
        app.get("/orders/{order}/return")(self.take_back)
        app.get("/about")(self.about)
        app.add_middleware(FeatureMiddleware, routes=ROUTES)
        app.router.on_shutdown.append(self._client.close)
        return app

    async def chat(self, customer: str, says: str) -> StreamingResponse:
        """Answer a customer, and offer something: a feature of its own within this one."""

        async def answer() -> AsyncIterator[str]:
            with spanmeter.tags(team="support", plan="gold" if customer == "ada" else "free"):
                with spanmeter.task("classification"):
                    await self.ask("gpt-4o-mini", f"Is this about an order? {says}")
                with spanmeter.task("generation"):
                    async for word in self.stream("gpt-4.1", says):
                        yield word
                with spanmeter.feature("upsell"), spanmeter.task("recommendation"):
                    yield await self.ask("gpt-4o-mini", "What would go with a lamp?")

        return StreamingResponse(answer())

    @spanmeter.task("ranking")
    async def search(self, words: str) -> str:
        """Find what is meant: embeddings first, then a ranking."""
        with spanmeter.task("embedding"):
            await self._client.embeddings.create(model="text-embedding-3-small", input=words)
        return await self.ask("gpt-4.1-mini", f"Order these for {words}: lamp, shade, bulb")

    @spanmeter.feature("returns")
    async def take_back(self, order: int, later: BackgroundTasks) -> str:
        """Answer at once, and sum up for the files once the answer has gone."""
        later.add_task(self.file, order)
        return await self.ask("gpt-4o-mini", f"May order {order} be returned?")

    @spanmeter.feature("filing")
    @spanmeter.tags(team="finance")
    async def file(self, order: int) -> None:
        """Sum up a return. What runs in the background names its feature itself."""
        await self.ask("gpt-4o-mini", f"Sum up the return of order {order}.")

    async def about(self) -> str:
        """Greet: nobody said what for, so this call is counted as untagged."""
        return await self.ask("gpt-4o-mini", "Greet a visitor.")

    async def ask(self, model: str, prompt: str) -> str:
        """Make a call and return its answer."""
        answer = await self._client.chat.completions.create(model=model, messages=_user(prompt))
        return answer.choices[0].message.content or ""

    async def stream(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Make a call and yield its answer word by word."""
        chunks = await self._client.chat.completions.create(
            model=model,
            messages=_user(prompt),
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in chunks:
            for choice in chunk.choices:
                yield choice.delta.content or ""


def _user(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


def shop(gateway: str, note: Note) -> FastAPI:
    """Make a shop whose calls go through a gateway; `note` is told of each."""
    spanmeter.instrument(gateway, tags={"env": "demo"})
    noted = openai.DefaultAsyncHttpxClient(event_hooks={"request": [note]})
    client = openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="pretend", http_client=noted)
    return Shop(client).app()


if __name__ == "__main__":
    show(shop, VISITS)
