"""Anthropic messages on the wire: https://docs.anthropic.com/en/api/messages."""

from typing import Any

import msgspec

from spanmeter.dialects.json_values import Scalar
from spanmeter.dialects.shapes.request import Request


class MessagesRequest(Request, gc=False):
    """The parameters of the API."""

    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    service_tier: Any = None
    output_config: Any = None
    output_format: Any = None


class Message(msgspec.Struct, gc=False):
    """A message, the inner one of `message_start`, or the `delta` of `message_delta`."""

    id: Any = None
    model: Any = None
    stop_reason: Any = None
    usage: Any = None


class Answer(Message, gc=False):
    """A whole answer, or an event of the stream; the content is skipped."""

    type: Any = None
    message: Message | Scalar | list[Any] = None
    delta: Message | Scalar | list[Any] = None
    error: Any = None
