"""OpenAI chat completions and legacy completions on the wire.

https://platform.openai.com/docs/api-reference/chat. What has a wrong type is kept and says nothing.
"""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar
from spanmeter.dialects.shapes.openai_usage import AnyCounts
from spanmeter.dialects.shapes.request import Request


class ChatRequest(Request, gc=False):
    """The parameters of both APIs."""

    max_tokens: Any = None
    max_completion_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    seed: Any = None
    n: Any = None
    reasoning: Any = None
    reasoning_effort: Any = None
    service_tier: Any = None
    response_format: Any = None


class Choice(msgspec.Struct, gc=False):
    """One choice, or what a chunk says of it; the text is skipped."""

    index: Any = None
    finish_reason: Any = None
    error: Any = None
    usage: AnyCounts = None


class Groq(msgspec.Struct, gc=False):
    """Groq's own part of a chunk; its error is prose."""

    error: Any = None
    usage: AnyCounts = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer or one chunk of a stream; members of a wrong type are kept and say nothing."""

    id: Any = None
    model: Any = None
    choices: list[Choice | Scalar | list[Any]] | dict[str, Any] | Scalar = None
    usage: AnyCounts = None
    x_groq: Groq | Scalar | list[Any] = None
    service_tier: Any = None
    system_fingerprint: Any = None
    error: Any = None
    object: Any = None
    code: Any = None
    type: Any = None


class UsageChunk(msgspec.Struct):
    """The extra chunk of `stream_options.include_usage`: no choices, and the usage."""

    choices: list[Any]
    usage: dict[str, Any]
    error: Any = None
