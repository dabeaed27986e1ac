"""Pretend answers in OpenAI's dialects, field by field as the real ones in tests/recordings."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

from spanmeter_gateway.demo.plan import Plan
from spanmeter_gateway.demo.sse import event

_CREATED = 1_760_000_000
_DONE = b"data: [DONE]\n\n"


def _usage(plan: Plan) -> dict[str, Any]:
    return {
        "prompt_tokens": plan.input_tokens,
        "completion_tokens": plan.output_tokens,
        "total_tokens": plan.input_tokens + plan.output_tokens,
        "prompt_tokens_details": {"cached_tokens": plan.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": plan.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(plan: Plan) -> dict[str, Any]:
    """Answer a chat completion."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": plan.text,
        "refusal": None,
        "annotations": [],
    }
    return {
        **_chat_head(plan, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(plan),
    }


def chat_stream(plan: Plan, *, include_usage: bool) -> Iterator[bytes]:
    """Stream a chat completion; with `include_usage` every chunk has a usage, null but the last."""
    head = _chat_head(plan, "chat.completion.chunk")
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": piece}, None) for piece in plan.pieces),
        ({}, "stop"),
    ]
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield event({**head, "choices": [choice], **({"usage": None} if include_usage else {})})
    if include_usage:
        yield event({**head, "choices": [], "usage": _usage(plan)})
    yield _DONE


def _chat_head(plan: Plan, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-pretend{plan.serial}",
        "object": kind,
        "created": _CREATED + plan.serial,
        "model": plan.model,
        "service_tier": "default",
        "system_fingerprint": "fp_pretend",
    }


def completion(plan: Plan) -> dict[str, Any]:
    """Answer a text completion."""
    return {**_text_head(plan), "choices": [_text_choice(plan.text, "stop")], "usage": _usage(plan)}


def completion_stream(plan: Plan, *, include_usage: bool) -> Iterator[bytes]:
    """Stream a text completion."""
    head = _text_head(plan)
    last = len(plan.pieces) - 1
    for place, piece in enumerate(plan.pieces):
        choice = _text_choice(piece, "stop" if place == last else None)
        yield event({**head, "choices": [choice], **({"usage": None} if include_usage else {})})
    if include_usage:
        yield event({**head, "choices": [], "usage": _usage(plan)})
    yield _DONE


def _text_head(plan: Plan) -> dict[str, Any]:
    return {
        "id": f"cmpl-pretend{plan.serial}",
        "object": "text_completion",
        "created": _CREATED + plan.serial,
        "model": plan.model,
    }


def _text_choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}


def embeddings(plan: Plan, *, count: int, as_base64: bool) -> dict[str, Any]:
    """Answer embeddings: eight numbers an input, which is enough to look at."""
    numbers = [round(0.01 * (plan.serial % 7 + place), 4) for place in range(8)]
    packed = base64.b64encode(struct.pack("<8f", *numbers)).decode()
    vector: list[float] | str = packed if as_base64 else numbers
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": place, "embedding": vector} for place in range(count)
        ],
        "model": plan.model,
        "usage": {"prompt_tokens": plan.input_tokens, "total_tokens": plan.input_tokens},
    }


def response(plan: Plan) -> dict[str, Any]:
    """Answer a call of the Responses API."""
    return _response(plan, "completed", [_message(plan, "completed", [_part(plan.text)])])


def response_stream(plan: Plan) -> Iterator[bytes]:
    """Stream a call of the Responses API."""
    for number, body in enumerate(_response_events(plan)):
        yield event({**body, "sequence_number": number}, name=body["type"])


def _response_events(plan: Plan) -> Iterator[dict[str, Any]]:
    begun = _response(plan, "in_progress", [])
    whole = _message(plan, "completed", [_part(plan.text)])
    item = {"item_id": whole["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    empty = _message(plan, "in_progress", [])
    yield {"type": "response.output_item.added", "output_index": 0, "item": empty}
    yield {"type": "response.content_part.added", **item, "part": _part("")}
    for piece in plan.pieces:
        yield {"type": "response.output_text.delta", **item, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **item, "text": plan.text, "logprobs": []}
    yield {"type": "response.content_part.done", **item, "part": _part(plan.text)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": whole}
    yield {"type": "response.completed", "response": response(plan)}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(plan: Plan, status: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_pretend{plan.serial}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": parts,
    }


def _response(plan: Plan, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": plan.input_tokens,
        "input_tokens_details": {"cached_tokens": plan.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": plan.output_tokens,
        "output_tokens_details": {"reasoning_tokens": plan.reasoning_tokens},
        "total_tokens": plan.input_tokens + plan.output_tokens,
    }
    return {
        "id": f"resp_pretend{plan.serial}",
        "object": "response",
        "created_at": _CREATED + plan.serial,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": plan.model,
        "output": output,
        "parallel_tool_calls": True,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if status == "completed" else None,
    }
