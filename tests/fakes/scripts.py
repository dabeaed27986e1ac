"""Scripted answers of the pretend provider: everything that no recording shows.

A request names one in `x-script: <name> [argument]`. Each returns whether the connection may be
used again.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.exchange import Answer, Exchange

Script = Callable[[Exchange, str], Awaitable[bool]]

JSON: list[tuple[str, str]] = [("content-type", "application/json")]
EVENTS: list[tuple[str, str]] = [("content-type", "text/event-stream; charset=utf-8")]

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
BLOCK = b"x" * 65536


def event(value: Any) -> bytes:
    """Print one server-sent event as OpenAI does."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chat_completion(model: str) -> bytes:
    """Print a small complete chat answer with usage."""
    message = {"role": "assistant", "content": "pong"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return json.dumps(answer | {"choices": [choice], "usage": USAGE}).encode()


def chat_chunks(model: str, *, with_usage: bool) -> list[bytes]:
    """Print a small streamed chat answer; OpenAI adds usage only when it is asked for.

    With `include_usage` every chunk has `"usage": null` and one more comes before `[DONE]`, with
    empty `choices` (https://platform.openai.com/docs/api-reference/chat/create).
    """
    chunk: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    chunk |= {"model": model} | ({"usage": None} if with_usage else {})
    deltas = [{"role": "assistant", "content": ""}, {"content": "po"}, {"content": "ng"}, {}]
    events = [
        event(chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        for delta, reason in zip(deltas, [None, None, None, "stop"], strict=True)
    ]
    if with_usage:
        events.append(event(chunk | {"choices": [], "usage": USAGE}))
    return [*events, b"data: [DONE]\n\n"]


async def chat(exchange: Exchange, _: str) -> bool:
    """Answer any chat request, streamed or not, as OpenAI would."""
    return await exchange.send(_chat_answer(exchange))


async def after(exchange: Exchange, seconds: str) -> bool:
    """Answer like `chat`, but only after so many seconds."""
    if await exchange.gone_within(float(seconds)):
        exchange.received.cut.set()
        return False
    return await exchange.send(_chat_answer(exchange))


async def never(exchange: Exchange, _: str) -> bool:
    """Take the request and never answer."""
    await exchange.gone()
    exchange.received.cut.set()
    return False


async def close_before_head(exchange: Exchange, _: str) -> bool:
    """Close the connection without a byte of answer."""
    await exchange.close()
    return False


async def reset_before_head(exchange: Exchange, _: str) -> bool:
    """Reset the connection without a byte of answer."""
    await exchange.reset()
    return False


async def close_mid_body(exchange: Exchange, framing: str) -> bool:
    """Lose the connection in the middle of a body, framed as the argument says."""
    answer = _chat_answer(exchange)
    half = answer.pieces[: max(1, len(answer.pieces) // 2)]
    return await exchange.send(
        Answer(200, answer.headers, half, framing or "chunked", is_aborted=True)
    )


async def half_document(exchange: Exchange, _: str) -> bool:
    """End half a JSON body by an orderly close, as a proxy does whose own upstream broke."""
    document = _chat_completion_for(exchange)
    return await exchange.send(Answer(200, JSON, [document[: len(document) // 2]], "close"))


async def endless_stream(exchange: Exchange, pause_s: str) -> bool:
    """Stream chat chunks, one each pause (0.01 s), until the peer leaves."""
    await exchange.send_head(200, [*EVENTS, ("transfer-encoding", "chunked")])
    chunk = chat_chunks("gpt-4o-mini", with_usage=False)[1]
    while not await exchange.gone_within(float(pause_s or 0.01)):
        await exchange.send_pieces([chunk], chunked=True)
    exchange.received.cut.set()
    return False


async def stall(exchange: Exchange, _: str) -> bool:
    """Start a stream, then send nothing more."""
    await exchange.send_head(200, [*EVENTS, ("transfer-encoding", "chunked")])
    await exchange.send_pieces(chat_chunks("gpt-4o-mini", with_usage=False)[:1], chunked=True)
    return await never(exchange, "")


async def error_then_stall(exchange: Exchange, code: str) -> bool:
    """Start a stream, send an error event with this code, then nothing more."""
    await exchange.send_head(200, [*EVENTS, ("transfer-encoding", "chunked")])
    error = {"error": {"message": "scripted", "type": code, "code": code}}
    chunks = [*chat_chunks("gpt-4o-mini", with_usage=False)[:2], event(error)]
    await exchange.send_pieces(chunks, chunked=True)
    return await never(exchange, "")


async def status(exchange: Exchange, argument: str) -> bool:
    """Answer an OpenAI error: `<status> [code]`."""
    number, _, code = argument.partition(" ")
    error = {"message": "scripted", "type": "scripted_error", "param": None, "code": code or None}
    headers = [*JSON, ("retry-after", "1")] if number in ("429", "503") else JSON
    body = json.dumps({"error": error}).encode()
    return await exchange.send(Answer(int(number), headers, [body]))


async def drip(exchange: Exchange, pause_s: str) -> bool:
    """Stream the `chat` answer with a pause (0.02 s) after each chunk."""
    await exchange.send_head(200, [*EVENTS, ("transfer-encoding", "chunked")])
    for chunk in _chat_chunks_for(exchange):
        await exchange.send_pieces([chunk], chunked=True)
        if await exchange.gone_within(float(pause_s or 0.02)):
            exchange.received.cut.set()
            return False
    await exchange.write(b"0\r\n\r\n")
    return True


async def large(exchange: Exchange, size_bytes: str) -> bool:
    """Answer so many bytes (100 MB) that are not JSON."""
    blocks, rest = divmod(int(size_bytes or 100_000_000), len(BLOCK))
    length = ("content-length", str(blocks * len(BLOCK) + rest))
    await exchange.send_head(200, [("content-type", "application/octet-stream"), length])
    await exchange.send_pieces((BLOCK for _ in range(blocks)), chunked=False)
    await exchange.write(BLOCK[:rest])
    return True


async def informational(exchange: Exchange, _: str) -> bool:
    """Send two informational answers before the final one (RFC 9110, 15.2)."""
    await exchange.send_head(100, [])
    await exchange.send_head(103, [("link", "</style.css>; rel=preload")])
    return await exchange.send(_chat_answer(exchange))


async def no_content(exchange: Exchange, _: str) -> bool:
    """Answer 204: no body, no length."""
    return await exchange.send(Answer(204, [("x-scripted", "yes")]))


async def not_modified(exchange: Exchange, _: str) -> bool:
    """Answer 304: no body, whatever the headers say."""
    return await exchange.send(Answer(304, [("etag", '"1"')]))


async def http10(exchange: Exchange, _: str) -> bool:
    """Answer as an HTTP/1.0 server that cannot keep a connection."""
    await exchange.send_head(200, JSON, version="1.0")
    await exchange.send_pieces([_chat_completion_for(exchange)], chunked=False)
    await exchange.close()
    return False


async def garbage(exchange: Exchange, _: str) -> bool:
    """Answer something that is not HTTP."""
    await exchange.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    await exchange.close()
    return False


async def bad_chunk(exchange: Exchange, _: str) -> bool:
    """Break the chunked framing in the middle of an answer."""
    await exchange.send_head(200, [*EVENTS, ("transfer-encoding", "chunked")])
    await exchange.send_pieces(_chat_chunks_for(exchange)[:2], chunked=True)
    await exchange.write(b"zz\r\nnot a chunk\r\n")
    await exchange.close()
    return False


async def early_answer(exchange: Exchange, _: str) -> bool:
    """Answer 200 and, in the same write, an answer that nobody asked for.

    In a write of its own it could arrive after the next request, and nobody could tell it from that
    request's answer.
    """
    body = _chat_completion_for(exchange)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    unasked = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"
    await exchange.write(head % len(body) + body + unasked)
    return True


async def last_on_connection(exchange: Exchange, _: str) -> bool:
    """Answer a complete `chat` and close the connection without having said so."""
    await exchange.send(_chat_answer(exchange))
    await exchange.close()
    return False


SCRIPTS: dict[str, Script] = {
    script.__name__.replace("_", "-"): script
    for script in (
        chat, after, never, close_before_head, reset_before_head, close_mid_body, endless_stream,
        stall, status, drip, large, informational, no_content, not_modified, http10, garbage,
        bad_chunk, early_answer, last_on_connection, error_then_stall,
        half_document,
    )
}  # fmt: skip


def _chat_answer(exchange: Exchange) -> Answer:
    request = _request(exchange)
    if request.get("stream"):
        return Answer(200, EVENTS, _chat_chunks_for(exchange), "chunked")
    return Answer(200, JSON, [_chat_completion_for(exchange)])


def _chat_completion_for(exchange: Exchange) -> bytes:
    return chat_completion(_request(exchange).get("model", "gpt-4o-mini"))


def _chat_chunks_for(exchange: Exchange) -> list[bytes]:
    request = _request(exchange)
    options = request.get("stream_options") or {}
    return chat_chunks(
        request.get("model", "gpt-4o-mini"), with_usage=bool(options.get("include_usage"))
    )


def _request(exchange: Exchange) -> dict[str, Any]:
    body = json.loads(exchange.received.body or b"{}")
    return body if isinstance(body, dict) else {}
