"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses.

A stream repeats the whole response object in its first and its last events; what lies between
are deltas.
"""

import re
from typing import Any

import msgspec

from spanmeter.dialects import sse
from spanmeter.dialects.answer import opener
from spanmeter.dialects.dialect import Dialect, ResponseFacts
from spanmeter.dialects.json_values import (
    decoded,
    identifier,
    integer,
    number,
    text,
    word,
)
from spanmeter.dialects.openai_usage import (
    reported_cost_usd,
    upstream_cost_usd,
    usage_of,
)
from spanmeter.dialects.provider_error import OPENAI_KEYS, code_in_answer
from spanmeter.dialects.request import ParameterTable, describer, member, output_type
from spanmeter.dialects.shapes.openai_responses import (
    Event,
    IncompleteDetails,
    Response,
    ResponsesRequest,
)
from spanmeter.dialects.shapes.openai_usage import Counts
from spanmeter.usage import Usage

PARAMETERS = ParameterTable(
    ("max_tokens", "max_output_tokens", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("reasoning_level", "reasoning", member("effort", word)),
    ("service_tier", "service_tier", word),
    ("output_type", "text", member("format", member("type", output_type))),
    ("previous_response_id", "previous_response_id", identifier),
    ("conversation_id", "conversation", identifier),
    ("conversation_id", "conversation", member("id", identifier)),
    ("prompt_name", "prompt", member("id", identifier)),
    ("prompt_version", "prompt", member("version", word)),
)


_RESPONSE = msgspec.json.Decoder(Response)
_EVENT = msgspec.json.Decoder(Event)
_MARKS = (
    re.compile(rb'"response\.(?:created|completed|incomplete|failed|cancelled)"'),
    re.compile(rb'"error"\s*(?:[,}]|[:d]\s*[^n\s])'),
)


class ResponsesReading:
    """What an answer or a stream says of itself; the last response object counts."""

    _model: str | None = None
    _id: str | None = None
    _status: str | None = None
    _incomplete_reason: str | None = None
    _service_tier: str | None = None
    _usage: Usage | None = None
    _cost_usd: str | None = None
    _upstream_usd: str | None = None
    _is_error = False
    _error: str | None = None

    def read_events(self, block: bytes) -> None:
        """Take a block of whole events."""
        for data in sse.picked(block, *_MARKS):
            self._read_event(data)

    def read_body(self, body: bytes | bytearray) -> bool:
        """Take a whole answer."""
        response = decoded(_RESPONSE, body)
        if response is None:
            return False
        self._read_response(response)
        is_flat_error = response.object == "error" or (
            response.code is not None and response.status is None
        )
        if is_flat_error:
            self._read_error(None, code=response.code, kind=response.type)
        return True

    def has_ended(self) -> bool:
        """Tell whether the response came to a final state."""
        return self._status not in (None, "in_progress", "queued")

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""
        return ResponseFacts(
            response_model=self._model,
            response_id=self._id,
            response_status=self._status,
            incomplete_reason=self._incomplete_reason,
            usage=self._usage,
            is_error=self._is_error,
            error_type=self._error,
            service_tier=self._service_tier,
            reported_cost_usd=self._cost_usd,
            upstream_cost_usd=self._upstream_usd,
        )

    def _read_event(self, data: bytes) -> None:
        event = decoded(_EVENT, data)
        if event is None:
            return
        if isinstance(event.response, Response):
            self._read_response(event.response)
        if event.error or event.type == "error":
            self._read_error(event.error, code=event.code, kind=event.type)

    def _read_response(self, response: Response) -> None:
        self._model = text(response.model) or self._model
        self._id = text(response.id) or self._id
        self._status = word(response.status) or self._status
        self._service_tier = word(response.service_tier) or self._service_tier
        if isinstance(response.incomplete_details, IncompleteDetails):
            self._incomplete_reason = word(response.incomplete_details.reason)
        if isinstance(response.usage, Counts):
            self._usage = usage_of(response.usage) or self._usage
            self._cost_usd = reported_cost_usd(response.usage) or self._cost_usd
            self._upstream_usd = upstream_cost_usd(response.usage) or self._upstream_usd
        if response.error or response.status == "failed":
            self._read_error(response.error, code=response.code, kind=None)

    def _read_error(self, error: Any, *, code: Any, kind: Any) -> None:
        self._is_error = True
        shown = {"error": error, "code": code, "type": kind}
        self._error = code_in_answer(shown, OPENAI_KEYS) or self._error


OPENAI_RESPONSES = Dialect(
    name="openai_responses",
    family="openai",
    operation="chat",
    describe=describer(ResponsesRequest, PARAMETERS),
    tally=opener(ResponsesReading, OPENAI_KEYS),
    api_type="responses",
    route="/v1/responses",
)
