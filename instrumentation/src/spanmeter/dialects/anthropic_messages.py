"""Anthropic messages: https://docs.anthropic.com/en/api/messages and .../messages-streaming.

A stream counts its input in `message_start` and its output in `message_delta`; newer models correct
the input there too, so the later counts are laid over the earlier.
"""

import re
from typing import Any

import msgspec

from spanmeter.dialects import sse
from spanmeter.dialects.answer import opener
from spanmeter.dialects.dialect import Dialect, ResponseFacts
from spanmeter.dialects.json_values import (
    count,
    counts,
    decoded,
    integer,
    number,
    text,
    total,
    word,
)
from spanmeter.dialects.provider_error import ANTHROPIC_KEYS, code_in_answer
from spanmeter.dialects.request import ParameterTable, describer, member, output_type
from spanmeter.dialects.shapes.anthropic_messages import Answer, Message, MessagesRequest
from spanmeter.usage import Usage

PARAMETERS = ParameterTable(
    ("max_tokens", "max_tokens", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("service_tier", "service_tier", word),
    ("reasoning_level", "output_config", member("effort", word)),
    ("output_type", "output_format", member("type", output_type)),
    ("output_type", "output_config", member("format", member("type", output_type))),
)


_DECODER = msgspec.json.Decoder(Answer)
_MARKS = (re.compile(rb'"message_(?:start|delta)"'), re.compile(rb'"error"'))


class AnthropicReading:
    """What an answer or a stream says of itself."""

    _model: str | None = None
    _id: str | None = None
    _stop_reason: str | None = None
    _is_error = False
    _error: str | None = None

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}

    def read_events(self, block: bytes) -> None:
        """Take a block of whole events."""
        for data in sse.picked(block, *_MARKS):
            self.read_body(data)

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole answer, or one event of a stream."""
        answer = decoded(_DECODER, body)
        if answer is None:
            return False
        for message in (answer, answer.message, answer.delta):
            if isinstance(message, Message):
                self._read_message(message)
        if answer.error or answer.type == "error":
            self._is_error = True
            shown = {"error": answer.error, "type": answer.type}
            self._error = code_in_answer(shown, ANTHROPIC_KEYS) or self._error
        return True

    def has_ended(self) -> bool:
        """Tell whether the message gave its reason to stop, which comes just before its end."""
        return self._stop_reason is not None

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""
        return ResponseFacts(
            response_model=self._model,
            response_id=self._id,
            finish_reasons=() if self._stop_reason is None else (self._stop_reason,),
            usage=_usage_of(self._counts),
            is_error=self._is_error,
            error_type=self._error,
            service_tier=word(self._counts.get("service_tier")),
        )

    def _read_message(self, message: Message) -> None:
        self._model = text(message.model) or self._model
        self._id = text(message.id) or self._id
        self._stop_reason = word(message.stop_reason) or self._stop_reason
        if isinstance(message.usage, dict):
            said = {name: value for name, value in message.usage.items() if value is not None}
            self._counts.update(said)


def _usage_of(said: dict[str, Any]) -> Usage | None:
    # https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: `input_tokens` are those
    # after the last cache breakpoint only, so the cached and the written ones come on top.
    input_tokens, output_tokens, read, written = counts(
        said.get("input_tokens"),
        said.get("output_tokens"),
        said.get("cache_read_input_tokens"),
        said.get("cache_creation_input_tokens"),
    )
    if input_tokens is None and output_tokens is None:
        return None
    split = _object(said, "cache_creation")
    written_5m = count(split.get("ephemeral_5m_input_tokens"))
    written_1h = count(split.get("ephemeral_1h_input_tokens"))
    if written is None:
        written = total(written_5m, written_1h)
    return Usage(
        input_tokens=None if input_tokens is None else total(input_tokens, read, written),
        output_tokens=output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_5m_tokens=written_5m,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=count(_object(said, "output_tokens_details").get("thinking_tokens")),
    )


def _object(said: dict[str, Any], name: str) -> dict[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


ANTHROPIC_MESSAGES = Dialect(
    name="anthropic_messages",
    family="anthropic",
    operation="chat",
    describe=describer(MessagesRequest, PARAMETERS),
    tally=opener(AnthropicReading, ANTHROPIC_KEYS),
    route="/v1/messages",
)
