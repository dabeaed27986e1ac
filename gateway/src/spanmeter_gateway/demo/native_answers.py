"""Pretend answers of Anthropic's Messages API and of Gemini's generateContent."""

from collections.abc import Iterator
from typing import Any

import msgspec

from spanmeter_gateway.demo.plan import Plan
from spanmeter_gateway.demo.sse import event


def message(plan: Plan) -> dict[str, Any]:
    """Answer a call of the Messages API."""
    return {
        **_message_head(plan),
        "content": [{"type": "text", "text": plan.text}],
        "stop_reason": "end_turn",
        "usage": _message_usage(plan, plan.output_tokens),
    }


def message_stream(plan: Plan) -> Iterator[bytes]:
    """Stream a call of the Messages API: input counts come first, the output count last."""
    for body in _message_events(plan):
        yield event(body, name=body["type"])


def _message_events(plan: Plan) -> Iterator[dict[str, Any]]:
    usage = _message_usage(plan, 1)
    begun = {**_message_head(plan), "content": [], "stop_reason": None, "usage": usage}
    yield {"type": "message_start", "message": begun}
    block = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "ping"}
    for piece in plan.pieces:
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": plan.output_tokens},
    }
    yield {"type": "message_stop"}


def _message_head(plan: Plan) -> dict[str, Any]:
    return {
        "id": f"msg_pretend{plan.serial}",
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "stop_sequence": None,
    }


def _message_usage(plan: Plan, output_tokens: int) -> dict[str, Any]:
    # Anthropic's input_tokens leaves out what was read from or written to a cache.
    return {
        "input_tokens": plan.input_tokens - plan.cached_tokens - plan.written_tokens,
        "cache_creation_input_tokens": plan.written_tokens,
        "cache_read_input_tokens": plan.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": plan.written_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def content(plan: Plan) -> dict[str, Any]:
    """Answer generateContent."""
    return _content(plan, plan.text, "STOP")


def content_stream(plan: Plan, *, as_array: bool) -> Iterator[bytes]:
    """Stream generateContent: events with CRLF for `alt=sse`, else one JSON array."""
    last = len(plan.pieces) - 1
    for place, piece in enumerate(plan.pieces):
        body = msgspec.json.encode(_content(plan, piece, "STOP" if place == last else None))
        if as_array:
            yield (b"[" if place == 0 else b",\r\n") + body
        else:
            yield b"data: " + body + b"\r\n\r\n"
    if as_array:
        yield b"]"


def _content(plan: Plan, text: str, finish: str | None) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    visible = plan.output_tokens - plan.reasoning_tokens
    usage = {
        "promptTokenCount": plan.input_tokens,
        "candidatesTokenCount": visible,
        "totalTokenCount": plan.input_tokens + plan.output_tokens,
        **({"cachedContentTokenCount": plan.cached_tokens} if plan.cached_tokens else {}),
        **({"thoughtsTokenCount": plan.reasoning_tokens} if plan.reasoning_tokens else {}),
    }
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": usage,
        "modelVersion": plan.model,
        "responseId": f"pretend{plan.serial}",
    }
