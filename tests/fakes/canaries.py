"""Calls that hold a canary wherever content or a secret may stand, and answers that do too.

Whatever is written down afterwards must not contain `CANARY`. Each place has a word of its own
behind it, so that a leak names the place it came from.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.exchange import Answer, Exchange
from tests.fakes.scripts import EVENTS, JSON, event

CANARY = "canary"
HTML: list[tuple[str, str]] = [("content-type", "text/html")]
BIG = 1_000_000


def canary(place: str) -> str:
    """Return the canary of a place, as prose."""
    return f"{CANARY}-{place} sings"


IMAGE = f"https://user:{CANARY}-userinfo@images.invalid/{CANARY}-image.png"
TOOL = {"name": "look", "description": canary("tool"), "parameters": {"title": canary("schema")}}
OPENAI = {
    "model": "gpt-4o-mini",
    "user": canary("user"),
    "stop": [canary("stop")],
    "reasoning_effort": canary("effort"),
    "service_tier": canary("tier"),
    "prompt_cache_key": canary("cache"),
    "metadata": {canary("key"): canary("metadata")},
    "tags": [canary("tags"), {canary("member"): 1}, f"sk {CANARY}-in-tags"],
}
CHAT = OPENAI | {
    "messages": [
        {"role": "system", "content": canary("system")},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": canary("prompt")},
                {"type": "image_url", "image_url": {"url": IMAGE}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [{"function": {"name": "look", "arguments": canary("arguments")}}],
        },
        {"role": "tool", "content": canary("result")},
    ],
    "tools": [{"type": "function", "function": TOOL}],
    "response_format": {"type": canary("format"), "json_schema": {"name": canary("name")}},
}
RESPONSES = OPENAI | {
    "instructions": canary("instructions"),
    "input": canary("input"),
    "previous_response_id": canary("previous"),
    "conversation": canary("conversation"),
    "prompt": {"id": canary("prompt-id"), "variables": {"a": canary("variable")}},
    "tools": [TOOL],
}
MESSAGES = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 10,
    "system": canary("system"),
    "messages": [
        {"role": "user", "content": [{"type": "tool_result", "content": canary("result")}]}
    ],
    "metadata": {"user_id": canary("user")},
    "stop_sequences": [canary("stop")],
    "tools": [TOOL],
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": canary("system")}]},
    "contents": [
        {"parts": [{"text": canary("prompt")}, {"inlineData": {"data": canary("image")}}]}
    ],
    "generationConfig": {"stopSequences": [canary("stop")], "responseSchema": {"t": canary("s")}},
}
KEYS = [
    ("authorization", f"Bearer sk-{CANARY}-bearer"),
    ("x-api-key", f"sk-ant-{CANARY}-key"),
    ("api-key", f"{CANARY}-azure"),
    ("x-goog-api-key", f"AIza-{CANARY}"),
    ("cookie", f"session={CANARY}-cookie"),
    ("proxy-authorization", f"Basic {CANARY}-proxy"),
    ("user-agent", f"agent {CANARY}-agent"),
]
MALFORMED = [
    ("x-tags", f"{canary('x-tags')},sk {CANARY}-x,{CANARY}:a:b"),
    ("x-litellm-tags", canary("litellm")),
    ("x-portkey-metadata", f"{{not json {CANARY}-portkey"),
    ("cf-aig-metadata", json.dumps([canary("cloudflare")])),
    ("helicone-property-plan", "\u79d8"),
    ("baggage", f"spanmeter.tag.k={CANARY}%20baggage,other={CANARY}-other"),
    ("traceparent", f"00-{CANARY}-01"),
    ("tracestate", f"V={CANARY}-state"),
]
SECRETS_IN_QUERY = f"?key={CANARY}-key&api_key={CANARY}-api&access_token={CANARY}-token"


@dataclass(frozen=True, slots=True)
class CanaryCall:
    """One request; `is_ours`: the gateway answers it itself, so its answer has no canary."""

    target: str
    body: bytes
    script: str = "tell"
    is_ours: bool = False
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    has_keys: bool = True
    """A provider's own header would lead an unknown path to that provider."""


def calls() -> Iterator[CanaryCall]:
    """List calls of all dialects that go well, fail, are cut, and are refused."""
    for target, body in _targets():
        for mode in ("whole", "error", "html", "stream", "stream-error", "stream-cut"):
            sent = (
                body | {"stream": True} if mode.startswith("stream") and "model" in body else body
            )
            yield CanaryCall(target, json.dumps(sent).encode(), f"tell {mode}")
        yield CanaryCall(target, json.dumps(body).encode()[:-1], is_ours=True)
        yield CanaryCall(target, f'["{canary("array")}"]'.encode(), is_ours=True)
        yield CanaryCall(target, canary("big").encode() * (BIG // 10), is_ours=True)
    chat = json.dumps(CHAT).encode()
    yield CanaryCall(f"/held/v1/chat/completions{SECRETS_IN_QUERY}", chat, "tell whole")
    yield CanaryCall("/held/v1/chat/completions", chat, "status 401 invalid_api_key")
    yield CanaryCall("/refused/v1/chat/completions", chat, is_ours=True)
    yield CanaryCall("/impatient/v1/chat/completions", chat, "never", is_ours=True)
    yield CanaryCall("/v1/chat/completions", chat, "garbage", is_ours=True)
    yield CanaryCall("/v1/chat/completions", chat, "close-before-head", is_ours=True)
    no_model = json.dumps(CHAT | {"model": {"a": canary("model")}}).encode()
    yield CanaryCall("/v1/chat/completions", no_model, is_ours=True)
    provider = (("x-provider", f"{CANARY}-provider"),)
    yield CanaryCall("/v1/chat/completions", chat, is_ours=True, headers=provider)
    yield from _other_paths()


def _targets() -> Iterator[tuple[str, dict[str, Any]]]:
    yield f"/v1/chat/completions{SECRETS_IN_QUERY}", CHAT
    yield f"http://user:{CANARY}-userinfo@gateway.invalid/v1/chat/completions", CHAT
    yield "/v1/completions", OPENAI | {"prompt": canary("prompt"), "suffix": canary("suffix")}
    yield "/v1/embeddings", OPENAI | {"input": [canary("input")]}
    yield "/v1/responses", RESPONSES
    yield f"/v1/messages{SECRETS_IN_QUERY}", MESSAGES
    yield f"/v1beta/models/gemini-2.5-flash:generateContent{SECRETS_IN_QUERY}", GEMINI
    yield "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI


def _other_paths() -> Iterator[CanaryCall]:
    content = canary("file").encode()
    for path in (
        f"/openai/v1/files/file-{CANARY}-id/content{SECRETS_IN_QUERY}",
        f"/openai/sk-{CANARY}-segment/v1/threads/{CANARY}-thread",
        f"/v1/models/{CANARY}-model",
        f"/v1beta/cachedContents/{CANARY}-cache?key={CANARY}-key",
    ):
        for mode in ("whole", "error"):
            yield CanaryCall(path, content, f"tell {mode}")
        yield CanaryCall(path, b"", "status 404", method="GET")
    for path in (f"/{CANARY}-path/sk-{CANARY}", f"/{CANARY}?key={CANARY}", f"/openai/../{CANARY}"):
        yield CanaryCall(path, content)
        yield CanaryCall(path, content, is_ours=True, has_keys=False)


ERROR = {
    "type": "error",
    "error": {
        "message": canary("error"),
        "type": f"{CANARY}_error_type",
        "code": canary("error-code"),
        "status": canary("error-status"),
        "param": canary("error-param"),
        "details": [{"reason": canary("error-reason")}],
    },
}
_USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "input_tokens": 12, "output_tokens": 3}
_SAID = {
    "id": "id-1",
    "model": "m",
    "object": canary("object"),
    "system_fingerprint": canary("fingerprint"),
    "service_tier": canary("served"),
    "status": canary("status"),
    "incomplete_details": {"reason": canary("incomplete")},
    "stop_reason": canary("stop-reason"),
    "usage": _USAGE,
}
_CHOICE = {"index": 0, "finish_reason": canary("finish"), "finishReason": canary("finish")}


async def tell(exchange: Exchange, mode: str) -> bool:
    """Answer any dialect with an answer that has canaries in all its places."""
    headers = [("x-request-id", canary("request-id")), ("set-cookie", f"a={CANARY}-cookie")]
    said = {"role": "assistant", "content": canary("answer"), "refusal": canary("refusal")}
    call = [{"function": {"name": canary("called"), "arguments": canary("argued")}}]
    parts = {"parts": [{"text": canary("candidate")}]}
    choice = _CHOICE | {"message": said | {"tool_calls": call}, "text": canary("text")}
    whole = _SAID | {
        "choices": [choice],
        "candidates": [_CHOICE | {"content": parts}],
        "content": [{"type": "text", "text": canary("content")}],
        "output": [{"type": "message", "content": canary("output")}],
        "data": [{"embedding": canary("vector")}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3},
    }
    if mode == "whole":
        return await exchange.send(Answer(200, JSON + headers, [json.dumps(whole).encode()]))
    if mode == "error":
        return await exchange.send(Answer(400, JSON + headers, [json.dumps(ERROR).encode()]))
    if mode == "html":
        return await exchange.send(Answer(500, HTML + headers, [canary("page").encode()]))
    pieces = [event(_SAID | {"choices": [choice | {"delta": said}]}) for _ in range(3)]
    if mode == "stream-error":
        pieces.append(b"event: error\n" + event(ERROR))
    if mode == "stream":
        pieces.append(b"data: [DONE]\n\n")
    is_cut = mode == "stream-cut"
    return await exchange.send(Answer(200, EVENTS + headers, pieces, "chunked", is_aborted=is_cut))
