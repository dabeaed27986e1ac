"""A pretend provider: OpenAI's, Anthropic's and Gemini's APIs on one port, with made-up answers.

It counts, waits, streams and fails as the real ones do, so that the gateway in front of it shows
real numbers without a key. A path is recognised by its end, as it stands under every root.
"""

import asyncio
import itertools
import os
import random
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
import uvicorn

from spanmeter.dialects.dialect import Family
from spanmeter_gateway.demo import failures, native_answers, openai_answers
from spanmeter_gateway.demo.plan import Plan, plan
from spanmeter_gateway.demo.sse import event

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Cut(Exception):
    """Ends the connection within the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer depends on."""

    path: str
    query: str
    body: dict[str, Any]
    size: int
    pretend: str

    @property
    def family(self) -> Family:
        """Whose API is asked."""
        if self.path.endswith("/messages"):
            return "anthropic"
        return "gemini" if ":" in self.path else "openai"

    @property
    def model(self) -> str:
        """The model asked for: in the path for Gemini, else in the body."""
        if self.family == "gemini":
            return unquote(self.path.rsplit("/", 1)[1].partition(":")[0])
        return str(self.body.get("model", ""))

    @property
    def is_stream(self) -> bool:
        """Is a streamed answer asked for?"""
        return self.path.endswith(":streamGenerateContent") or self.body.get("stream") is True

    @property
    def include_usage(self) -> bool:
        """Is the usage asked for at the end of a stream?"""
        return (self.body.get("stream_options") or {}).get("include_usage") is True


class Provider:
    """The ASGI application. `pace` 0 answers at once, 1 as fast as a provider would."""

    def __init__(self, *, pace: float = 1.0, seed: int = 7) -> None:
        self._pace = pace
        self._chance = random.Random(seed)
        self._serials = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        if request.pretend.isdigit():
            status = int(request.pretend)
            await _answer(send, failures.error(request.family, status), status)
            return
        answer = self._plan(request)
        whole = _whole(request, answer)
        if whole is None:
            await _answer(send, failures.error(request.family, 404), 404)
        elif request.is_stream:
            await self._stream(send, request, answer)
        else:
            duration_s = answer.first_wait_s + answer.word_wait_s * len(answer.words)
            await asyncio.sleep(duration_s * self._pace)
            await _answer(send, whole, 200)

    def _plan(self, request: Request) -> Plan:
        limit = request.body.get("max_completion_tokens") or request.body.get("max_tokens")
        return plan(
            next(self._serials),
            request.model,
            self._chance,
            body_bytes=request.size,
            max_tokens=limit if isinstance(limit, int) else None,
        )

    async def _stream(self, send: Send, request: Request, answer: Plan) -> None:
        is_array = request.family == "gemini" and "alt=sse" not in request.query
        kind = b"application/json" if is_array else b"text/event-stream; charset=utf-8"
        await asyncio.sleep(answer.first_wait_s * self._pace)
        await _start(send, 200, kind)
        half = len(answer.words) // 2
        for place, piece in enumerate(_pieces(request, answer)):
            if place == half and request.pretend in failures.MID_STREAM:
                await _fail_mid_stream(send, request)
                return
            await asyncio.sleep(answer.word_wait_s * self._pace)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read(scope: Scope, receive: Receive) -> Request:
    raw, more = bytearray(), True
    while more:
        message = await receive()
        raw += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        body = msgspec.json.decode(raw) if raw else {}
    except msgspec.DecodeError:
        body = {}
    headers = dict(scope["headers"])
    return Request(
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        body=body if isinstance(body, dict) else {},
        size=len(raw),
        pretend=headers.get(b"x-pretend", b"").decode("latin-1"),
    )


def _whole(request: Request, answer: Plan) -> dict[str, Any] | None:
    if request.path.endswith("/models"):
        return {"object": "list", "data": []}
    if request.path.endswith("/embeddings"):
        asked = request.body.get("input")
        return openai_answers.embeddings(
            answer,
            count=len(asked) if isinstance(asked, list) else 1,
            as_base64=request.body.get("encoding_format") == "base64",
        )
    by_end: dict[str, Callable[[Plan], dict[str, Any]]] = {
        "/chat/completions": openai_answers.chat,
        "/completions": openai_answers.completion,
        "/responses": openai_answers.response,
        "/messages": native_answers.message,
        ":generateContent": native_answers.content,
        ":streamGenerateContent": native_answers.content,
    }
    for end, write in by_end.items():
        if request.path.endswith(end):
            return write(answer)
    return None


def _pieces(request: Request, answer: Plan) -> Iterator[bytes]:
    if request.family == "gemini":
        return native_answers.content_stream(answer, as_array="alt=sse" not in request.query)
    if request.family == "anthropic":
        return native_answers.message_stream(answer)
    if request.path.endswith("/responses"):
        return openai_answers.response_stream(answer)
    if request.path.endswith("/chat/completions"):
        return openai_answers.chat_stream(answer, include_usage=request.include_usage)
    return openai_answers.completion_stream(answer, include_usage=request.include_usage)


async def _fail_mid_stream(send: Send, request: Request) -> None:
    if request.pretend == "cut":
        raise _Cut
    body = failures.error(request.family, 529 if request.family == "anthropic" else 500)
    last = event(body, name="error" if request.family == "anthropic" else None)
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def _answer(send: Send, body: dict[str, Any], status: int) -> None:
    await _start(send, status, b"application/json")
    await send({"type": "http.response.body", "body": msgspec.json.encode(body)})


async def _start(send: Send, status: int, content_type: bytes) -> None:
    headers = [(b"content-type", content_type)]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})


def main() -> None:
    """Serve on the inherited socket whose number is the first argument, until stdin ends."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(Provider(), log_level="critical", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _end_with_parent(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True


if __name__ == "__main__":
    main()
