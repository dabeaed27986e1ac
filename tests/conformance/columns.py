"""The columns of the matrix: every dialect, streamed and not, and what its providers say.

Answers are recordings of real providers; requests and errors are written here, in the shapes that
the providers document. Nothing is read from the gateway's code.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property

from tests.fakes.recordings import Recording, recording

CANARY = "content-that-must-never-leave"
"""Stands in every prompt and every error's prose."""

Members = dict[str, object]
Failure = tuple[int, bytes]
"""A provider's error: HTTP status and body."""


def _openai(code: str | None, kind: str = "invalid_request_error") -> bytes:
    # https://platform.openai.com/docs/guides/error-codes; `code` is often null
    return json.dumps({"error": {"message": CANARY, "type": kind, "code": code}}).encode()


def _anthropic(kind: str) -> bytes:
    # https://docs.anthropic.com/en/api/errors
    return json.dumps({"type": "error", "error": {"type": kind, "message": CANARY}}).encode()


def _google(number: int, status: str) -> bytes:
    # https://cloud.google.com/apis/design/errors
    error = {"code": number, "message": CANARY, "status": status}
    return json.dumps({"error": error}).encode()


OPENAI: dict[str, Failure] = {
    "provider-400": (400, _openai("unsupported_value")),
    "provider-404": (404, _openai("model_not_found")),
    # as frameworks in front of open models say it, without a code
    "provider-422": (422, json.dumps({"detail": CANARY}).encode()),
    "provider-401-own": (401, _openai("invalid_api_key")),
    "provider-401-held": (401, _openai("invalid_api_key")),
    "provider-429": (429, _openai("insufficient_quota", "insufficient_quota")),
    # the page of a proxy in front of the provider
    "provider-5xx": (503, f"<html>{CANARY}</html>".encode()),
    # as OpenRouter says it (tests/recordings, openrouter-error-502-in-200-body)
    "error-in-200": (200, json.dumps({"error": {"message": CANARY, "code": 502}}).encode()),
}
ANTHROPIC: dict[str, Failure] = {
    "provider-400": (400, _anthropic("invalid_request_error")),
    "provider-404": (404, _anthropic("not_found_error")),
    "provider-422": (422, _anthropic("invalid_request_error")),
    "provider-401-own": (401, _anthropic("authentication_error")),
    "provider-401-held": (401, _anthropic("authentication_error")),
    "provider-429": (429, _anthropic("rate_limit_error")),
    "provider-5xx": (529, _anthropic("overloaded_error")),
    "error-in-200": (200, _anthropic("api_error")),
}
GEMINI: dict[str, Failure] = {
    "provider-400": (400, _google(400, "INVALID_ARGUMENT")),
    "provider-404": (404, _google(404, "NOT_FOUND")),
    "provider-422": (422, _google(422, "FAILED_PRECONDITION")),
    "provider-401-own": (401, _google(401, "UNAUTHENTICATED")),
    "provider-401-held": (401, _google(401, "UNAUTHENTICATED")),
    "provider-429": (429, _google(429, "RESOURCE_EXHAUSTED")),
    "provider-5xx": (503, _google(503, "UNAVAILABLE")),
    "error-in-200": (200, _google(500, "INTERNAL")),
}
# Google wraps the error of a stream that is a JSON array in an array.
GEMINI_ARRAY = {row: (status, b"[%b]" % body) for row, (status, body) in GEMINI.items()}
AZURE: dict[str, Failure] = {
    "provider-400": (400, _openai("content_filter")),
    "provider-404": (404, _openai("DeploymentNotFound")),
    # as recorded (tests/recordings, azure-openai/error-422): a code that is half a sentence
    "provider-422": (422, _openai("Invalid input")),
    "provider-401-own": (401, _openai("401")),
    "provider-401-held": (401, _openai("401")),
    "provider-429": (429, _openai("429")),
    "provider-5xx": (500, _openai("InternalServerError")),
    "error-in-200": (200, _openai(None, "server_error")),
}

_CHAT: Members = {"messages": [{"role": "user", "content": CANARY}]}
_PROMPT: Members = {"prompt": CANARY}
_CONTENTS: Members = {"contents": [{"role": "user", "parts": [{"text": CANARY}]}]}
_GEMINI = "/v1beta/models/gemini-2.0-flash:"
_AZURE = "/openai/deployments/our-gpt/chat/completions?api-version=2024-10-21"
_STREAM: Members = {"stream": True}


@dataclass(frozen=True)
class Column:
    """One dialect in one of its two forms. `provider` is the name of OpenTelemetry."""

    id: str
    dialect: str
    """As receipts name it."""
    provider: str
    operation: str
    target: str
    request: Members
    model: str
    replay: str
    """The recording that a good answer is."""
    input_tokens: int | None
    """Of that recording."""
    failures: dict[str, Failure]
    is_stream: bool = False
    event: bytes = b""
    """The provider's error in the midst of a stream."""
    has_model_in_path: bool = False
    extra: tuple[tuple[str, str], ...] = field(default=())
    """Further headers for the pretend provider."""

    @property
    def body(self) -> bytes:
        """The request's body."""
        return json.dumps(self.request).encode()

    @cached_property
    def recording(self) -> Recording:
        """The good answer."""
        return recording(self.replay)


_OPENAI_EVENT = b"data: " + _openai("server_error", "server_error") + b"\n\n"
# https://platform.openai.com/docs/api-reference/responses-streaming/error
_RESPONSES_EVENT = (
    b'event: error\ndata: {"type":"error","code":"server_error","message":"%b","param":null,'
    b'"sequence_number":9}\n\n' % CANARY.encode()
)

COLUMNS = (
    Column(
        "openai-chat", "openai_chat", "openai", "chat", "/v1/chat/completions",
        _CHAT | {"model": "gpt-4o-mini"}, "gpt-4o-mini", "openai-chat/basic", 22, OPENAI,
    ),
    Column(
        "openai-completions", "openai_completions", "openai", "text_completion",
        "/v1/completions", _PROMPT | {"model": "davinci-002"}, "davinci-002",
        "openai-completions/basic", 13, OPENAI,
    ),
    Column(
        "openai-embeddings", "openai_embeddings", "openai", "embeddings", "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": CANARY}, "text-embedding-3-small",
        "openai-embeddings/float-list", 4, OPENAI,
    ),
    Column(
        "openai-responses", "openai_responses", "openai", "chat", "/v1/responses",
        {"model": "gpt-4o", "input": CANARY}, "gpt-4o", "openai-responses/basic", 27, OPENAI,
    ),
    Column(
        "anthropic-messages", "anthropic_messages", "anthropic", "chat", "/v1/messages",
        _CHAT | {"model": "claude-sonnet-4", "max_tokens": 9}, "claude-sonnet-4",
        "anthropic-messages/basic", 18, ANTHROPIC,
    ),
    Column(
        "gemini-generate", "gemini_generate", "gcp.gemini", "generate_content",
        f"{_GEMINI}generateContent", _CONTENTS, "gemini-2.0-flash", "gemini/thinking", 9, GEMINI,
        has_model_in_path=True,
    ),
    Column(
        "gemini-embeddings", "gemini_embeddings", "gcp.gemini", "embeddings",
        f"{_GEMINI}batchEmbedContents", {"requests": []}, "gemini-2.0-flash",
        "gemini/embedding", None, GEMINI,
        has_model_in_path=True,
    ),
    Column(
        "azure-chat", "openai_chat", "azure.ai.openai", "chat", _AZURE, _CHAT, "our-gpt",
        "azure-openai/basic-emoji", 16, AZURE,
        has_model_in_path=True,
    ),
    Column(
        "openai-chat-stream", "openai_chat", "openai", "chat", "/v1/chat/completions",
        _CHAT | _STREAM | {"model": "gpt-4o-mini"}, "gpt-4o-mini",
        "openai-chat/stream-include-usage", 22, OPENAI, is_stream=True, event=_OPENAI_EVENT,
    ),
    Column(
        "openai-completions-stream", "openai_completions", "openai", "text_completion",
        "/v1/completions", _PROMPT | _STREAM | {"model": "davinci-002"}, "davinci-002",
        "openai-completions/stream-emoji", 13, OPENAI, is_stream=True, event=_OPENAI_EVENT,
        extra=(("x-replay-usage", "13,11"),),  # which the gateway asks for
    ),
    Column(
        "openai-responses-stream", "openai_responses", "openai", "chat", "/v1/responses",
        _STREAM | {"model": "gpt-4o", "input": CANARY}, "gpt-4o", "openai-responses/stream", 27,
        OPENAI, is_stream=True, event=_RESPONSES_EVENT,
    ),
    Column(
        "anthropic-messages-stream", "anthropic_messages", "anthropic", "chat", "/v1/messages",
        _CHAT | _STREAM | {"model": "claude-sonnet-4", "max_tokens": 9}, "claude-sonnet-4",
        "anthropic-messages/stream-cache-read", 1042, ANTHROPIC, is_stream=True,
        event=b"event: error\ndata: " + _anthropic("overloaded_error") + b"\n\n",
    ),
    Column(
        "gemini-generate-sse", "gemini_generate", "gcp.gemini", "generate_content",
        f"{_GEMINI}streamGenerateContent?alt=sse", _CONTENTS, "gemini-2.0-flash",
        "gemini/stream-sse-crlf", 9, GEMINI, is_stream=True,
        event=b"data: " + _google(503, "UNAVAILABLE") + b"\r\n\r\n",
        has_model_in_path=True,
    ),
    Column(
        "gemini-generate-array", "gemini_generate", "gcp.gemini", "generate_content",
        f"{_GEMINI}streamGenerateContent", _CONTENTS, "gemini-2.0-flash",
        "gemini/stream-json-array-gzip-wire", 16, GEMINI_ARRAY, is_stream=True,
        event=b",\n" + _google(503, "UNAVAILABLE"),
        has_model_in_path=True,
    ),
    Column(
        "azure-chat-stream", "openai_chat", "azure.ai.openai", "chat", _AZURE,
        _CHAT | _STREAM, "our-gpt", "azure-openai/stream-prelude-usage", 12, AZURE,
        is_stream=True, event=b"data: " + _openai("server_error") + b"\n\n",
        has_model_in_path=True,
    ),
)  # fmt: skip
COLUMN_BY_ID = {column.id: column for column in COLUMNS}
