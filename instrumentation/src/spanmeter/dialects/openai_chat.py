"""OpenAI chat completions and legacy completions, and everybody who speaks them.

https://platform.openai.com/docs/api-reference/chat. Usage comes late, twice or never: in
`usage`, in Groq's `x_groq.usage`, within a choice (Moonshot), as totals that grow with every chunk;
the last one counts. Both APIs have one answer, as far as a tally is concerned.
"""

import re
from typing import Any

import msgspec

from spanmeter.dialects import sse
from spanmeter.dialects.answer import opener
from spanmeter.dialects.dialect import Dialect
from spanmeter.dialects.found import Found
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
from spanmeter.dialects.openai_usage import (
    reported_cost_usd,
    upstream_cost_usd,
    usage_of,
)
from spanmeter.dialects.provider_error import OPENAI_KEYS, code_in, code_in_answer
from spanmeter.dialects.request import ParameterTable, describer, member, output_type
from spanmeter.dialects.shapes.openai_chat import Answer, ChatRequest, Choice, Groq
from spanmeter.dialects.shapes.openai_usage import Counts

PARAMETERS = ParameterTable(
    ("max_tokens", "max_tokens", integer),
    ("max_tokens", "max_completion_tokens", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
    ("seed", "seed", integer),
    ("choice_count", "n", integer),
    ("reasoning_level", "reasoning", member("effort", word)),  # OpenRouter
    ("reasoning_level", "reasoning_effort", word),
    ("service_tier", "service_tier", word),
    ("output_type", "response_format", member("type", output_type)),
)


_DECODER = msgspec.json.Decoder(Answer)
_MARKS = (
    re.compile(rb'finish_reason"\s*[:d]\s*[^n\s]'),
    re.compile(rb'usage"\s*[:d]\s*[^n\s]'),
    re.compile(rb'"error"\s*(?:[,}]|[:d]\s*[^n\s])'),
)
"""A member that is not null (`d`: its value is on a `data` line of its own), or the value "error".
No text of a model is taken for a member: within a string, quotes are escaped. The first two begin
without their quote because a search for a rarer character is faster."""


class OpenAIReading(Found):
    """What an answer or a stream says of itself."""

    _is_done = False

    def has_ended(self) -> bool:
        """Tell whether a choice gave its reason to end, or the stream said `[DONE]`."""
        return self._is_done or bool(self._reason_by_index)

    def read_events(self, block: bytes) -> None:
        """Take a block of whole events."""
        rest = block if self._model is not None else block[self._read_opening(block) :]
        for data in sse.picked(rest, *_MARKS):
            self.read_body(data)
        if end := block[-32:].rstrip() or block.rstrip():  # blank lines say nothing
            self._is_done = end.endswith(b"[DONE]")

    def _read_opening(self, block: bytes) -> int:
        """Read every chunk until one has named the model; returns where the next begins."""
        for event in sse.events(block):
            self.read_body(event.data)
            if self._model is not None:
                return event.end
        return len(block)

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole answer, or one chunk of a stream."""
        answer = decoded(_DECODER, body)
        if answer is None:
            return False
        self._model = text(answer.model) or self._model
        self._id = text(answer.id) or self._id
        if answer.service_tier is not None:
            self._service_tier = word(answer.service_tier) or self._service_tier
        if answer.system_fingerprint is not None:
            self._system_fingerprint = word(answer.system_fingerprint) or self._system_fingerprint
        if isinstance(answer.choices, list):
            self._read_choices(answer.choices)
        if isinstance(answer.usage, Counts):
            self._read_usage(answer.usage)
        elif isinstance(answer.x_groq, Groq):
            self._read_groq(answer.x_groq)
        if answer.error or answer.code is not None or answer.object == "error":
            self._read_error(answer)
        return True

    def _read_choices(self, choices: list[Choice | Scalar | list[Any]]) -> None:
        for position, choice in enumerate(choices):
            if not isinstance(choice, Choice):
                continue
            if (finish_reason := reason(choice.finish_reason)) is not None:
                index = count(choice.index)
                self._reason_by_index[position if index is None else index] = finish_reason
            if isinstance(choice.usage, Counts):
                self._read_usage(choice.usage)
            if choice.error:  # OpenRouter: one choice may fail
                self._is_error = True
                self._error = code_in(choice.error, OPENAI_KEYS) or self._error

    def _read_groq(self, groq: Groq) -> None:
        if isinstance(groq.usage, Counts):
            self._read_usage(groq.usage)
        if groq.error:
            self._is_error = True

    def _read_usage(self, counts: Counts) -> None:
        usage = usage_of(counts)
        if usage is not None:
            self._usage = usage
        if counts.cost is not None or counts.is_byok:
            self._cost_usd = reported_cost_usd(counts) or self._cost_usd
            self._upstream_usd = upstream_cost_usd(counts) or self._upstream_usd

    def _read_error(self, answer: Answer) -> None:
        if not answer.error and answer.object != "error" and (answer.choices or answer.usage):
            return  # `code` beside an answer: some wrap a success so
        self._is_error = True
        shown = {"error": answer.error, "code": answer.code, "type": answer.type}
        self._error = code_in_answer(shown, OPENAI_KEYS) or self._error


_describe = describer(ChatRequest, PARAMETERS)
_tally = opener(OpenAIReading, OPENAI_KEYS)

OPENAI_CHAT = Dialect(
    name="openai_chat",
    family="openai",
    operation="chat",
    describe=_describe,
    tally=_tally,
    api_type="chat_completions",
    route="/v1/chat/completions",
    may_ask_for_usage=True,
)
OPENAI_COMPLETIONS = Dialect(
    name="openai_completions",
    family="openai",
    operation="text_completion",
    describe=_describe,
    tally=_tally,
    route="/v1/completions",
    may_ask_for_usage=True,
)
