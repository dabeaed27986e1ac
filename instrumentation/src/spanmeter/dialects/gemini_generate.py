"""Gemini on both of its hosts: generateContent, streamGenerateContent and the embed calls.

https://ai.google.dev/api/generate-content. The model and the kind of answer stand in the path. A
stream is server-sent events with `alt=sse`, else one JSON array; each part repeats the totals.
"""

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from spanmeter.dialects import sse
from spanmeter.dialects.answer import opener
from spanmeter.dialects.dialect import Dialect, RequestFacts, ResponseFacts
from spanmeter.dialects.found import Found
from spanmeter.dialects.gemini_usage import usage_of
from spanmeter.dialects.json_values import (
    Scalar,
    count,
    decoded,
    integer,
    number,
    reason,
    text,
    word,
)
from spanmeter.dialects.provider_error import GEMINI_KEYS, code_in_answer
from spanmeter.dialects.request import ParameterTable, member, output_type, read_body
from spanmeter.dialects.shapes.gemini_generate import (
    Answer,
    Candidate,
    GenerateRequest,
    GenerationConfig,
)

PARAMETERS = ParameterTable(
    ("max_tokens", "max_output_tokens", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
    ("seed", "seed", integer),
    ("choice_count", "candidate_count", integer),
    ("reasoning_level", "thinking_config", member("thinkingLevel", word)),
    ("output_type", "response_mime_type", output_type),
)
EMBEDDING_PARAMETERS = ParameterTable(("dimension_count", "output_dimensionality", integer))

_REQUEST = msgspec.json.Decoder(GenerateRequest)
_MODEL = re.compile(r"(?<!/)/+([^/:?]+)(?::|%3[aA])\w+/*(?:\?|$)")
"""The last segment before the method; Vertex has six more before it. It begins only at the first of
several slashes: a path of 60,000 would take a minute."""


def describe(body: bytes, path: str) -> RequestFacts:
    """Read a request; raises `UnreadableBody`."""
    request = read_body(_REQUEST, body)
    config = request.generation_config
    parameters = EMBEDDING_PARAMETERS.read(request)
    if isinstance(config, GenerationConfig):
        parameters.update(PARAMETERS.read(config))
    model = _MODEL.search(path)
    return RequestFacts(
        model=unquote(model[1]) if model else None,
        stream=STREAM_METHOD in path,
        tags=None if request.tags is msgspec.UNSET else request.tags,
        has_tags=request.tags is not msgspec.UNSET,
        parameters=parameters,
    )


STREAM_METHOD = "streamGenerateContent"


_ANSWER = msgspec.json.Decoder(Answer)
_MARKS = (re.compile(rb'"finishReason"'), re.compile(rb'"error"'))
_USAGE = b'"usageMetadata"'
_MODEL_VERSION, _RESPONSE_ID = re.compile(rb'"modelVersion"'), re.compile(rb'"responseId"')


class GeminiReading(Found):
    """What an answer or a stream says of itself; of totals that grow the last count."""

    _is_blocked = False

    def has_ended(self) -> bool:
        """Tell whether a candidate gave its reason to end, or the prompt was blocked."""
        return self._is_blocked or bool(self._reason_by_index)

    def read_events(self, block: bytes) -> None:
        """Take a block of whole events."""
        self._is_blocked = self._is_blocked or b'"blockReason"' in block
        self._model = self._model or _first_said(block, _MODEL_VERSION, "model_version")
        self._id = self._id or _first_said(block, _RESPONSE_ID, "response_id")
        for data in sse.picked(block, *_MARKS):
            if answer := decoded(_ANSWER, data):
                self._read_end(answer)
        # Every part repeats the totals, so only the last of a block needs to be read.
        for data in sse.picked_backwards(block, _USAGE):
            if (answer := decoded(_ANSWER, data)) and self._read_usage(answer):
                break

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole answer, or one part of a stream."""
        answer = decoded(_ANSWER, body)
        if answer is None:
            return False
        self._model = self._model or text(answer.model_version)
        self._id = self._id or text(answer.response_id)
        self._read_end(answer)
        self._read_usage(answer)
        return True

    def _read_usage(self, answer: Answer) -> bool:
        counts = answer.usage_metadata
        usage = usage_of(counts) if isinstance(counts, dict) else None
        if usage is None:
            return False
        self._usage = usage
        self._service_tier = word(counts.get("serviceTier"))
        return True

    def _read_end(self, answer: Answer) -> None:
        if isinstance(answer.candidates, list):
            self._read_candidates(answer.candidates)
        if answer.error:
            self._is_error = True
            self._error = code_in_answer({"error": answer.error}, GEMINI_KEYS) or self._error

    def _read_candidates(self, candidates: list[Candidate | Scalar | list[Any]]) -> None:
        for position, candidate in enumerate(candidates):
            if isinstance(candidate, Candidate):
                finish_reason = reason(candidate.finish_reason)
                index = count(candidate.index)
                if finish_reason is not None:
                    self._reason_by_index[position if index is None else index] = finish_reason


def _first_said(block: bytes, mark: re.Pattern[bytes], member: str) -> str | None:
    for data in sse.picked(block, mark):
        if said := text(getattr(decoded(_ANSWER, data), member, None)):
            return said
    return None


class GeminiEmbeddingsReading(GeminiReading):
    """An answer of the embed calls: no candidates, so no reasons."""

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""
        return msgspec.structs.replace(super().facts(), finish_reasons=None)


GEMINI_GENERATE = Dialect(
    name="gemini_generate",
    family="gemini",
    operation="generate_content",
    describe=describe,
    tally=opener(GeminiReading, GEMINI_KEYS, splits_arrays=True),
    route="/v1beta/models/{model}:generateContent",
    model_in_path=True,
)
GEMINI_EMBEDDINGS = Dialect(
    name="gemini_embeddings",
    family="gemini",
    operation="embeddings",
    describe=describe,
    tally=opener(GeminiEmbeddingsReading, GEMINI_KEYS),
    route="/v1beta/models/{model}:embedContent",
    model_in_path=True,
)
