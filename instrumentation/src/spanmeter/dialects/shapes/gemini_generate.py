"""Gemini's calls on the wire: https://ai.google.dev/api/generate-content."""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar


class ThinkingConfig(msgspec.Struct, gc=False, rename="camel"):
    """How hard the model thinks."""

    thinking_level: Any = None


class GenerationConfig(msgspec.Struct, gc=False, rename="camel"):
    """The parameters of generateContent; a response schema is skipped."""

    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    seed: Any = None
    candidate_count: Any = None
    thinking_config: Any = None
    response_mime_type: Any = None


class GenerateRequest(msgspec.Struct, gc=False, rename="camel"):
    """What is read of a request, of any of the calls."""

    generation_config: GenerationConfig | Scalar | list[Any] = None
    output_dimensionality: Any = None
    tags: Any = msgspec.UNSET


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One candidate; its content is skipped."""

    index: Any = None
    finish_reason: Any = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """A whole answer, or one part of a stream: they have one shape."""

    candidates: list[Candidate | Scalar | list[Any]] | dict[str, Any] | Scalar = None
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None
    error: Any = None
