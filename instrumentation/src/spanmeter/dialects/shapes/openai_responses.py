"""OpenAI's Responses API on the wire: https://platform.openai.com/docs/api-reference/responses."""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar
from spanmeter.dialects.shapes.openai_usage import AnyCounts
from spanmeter.dialects.shapes.request import Request


class ResponsesRequest(Request, gc=False):
    """The parameters of the API."""

    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    reasoning: Any = None
    service_tier: Any = None
    text: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None


class IncompleteDetails(msgspec.Struct, gc=False):
    """Why a response is `incomplete`."""

    reason: Any = None


class Response(msgspec.Struct, gc=False):
    """The response object; the output is skipped."""

    id: Any = None
    model: Any = None
    status: Any = None
    incomplete_details: IncompleteDetails | Scalar | list[Any] = None
    usage: AnyCounts = None
    service_tier: Any = None
    error: Any = None
    object: Any = None
    code: Any = None
    type: Any = None


class Event(msgspec.Struct, gc=False):
    """An event of the stream; an `error` event is flat."""

    type: Any = None
    response: Response | Scalar | list[Any] = None
    error: Any = None
    code: Any = None
