"""What a dialect is: how one wire shape describes its request and tallies its answer.

Pure: bytes and text in, values out. A dialect knows nothing of sockets, clocks or providers' hosts.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from spanmeter.usage import Usage

Family = Literal["openai", "anthropic", "gemini"]
"""Whose error shape a caller of the dialect expects."""


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay and the receipt need of a request; never content.

    `parameters` maps the short names of `gen_ai.request.*` (`max_tokens`, `temperature`, `top_p`,
    `top_k`, `frequency_penalty`, `presence_penalty`, `seed`, `choice_count`, `reasoning_level`,
    `service_tier`, `output_type`, `encoding_format`, `dimension_count`, `previous_response_id`,
    `conversation_id`, `prompt_name`, `prompt_version`) to numbers or short strings; only what was
    sent and has the right type.
    """

    model: str | None
    stream: bool = False
    asks_for_usage: bool = False
    """A streamed OpenAI request that carries `stream_options.include_usage: true`."""
    tags: Any = None
    """The raw value of the body's top-level `tags`; `None` when absent."""
    has_tags: bool = False
    """The body has a top-level member `tags`, whatever its value: it must be removed."""
    has_stream_options: bool = False
    parameters: dict[str, Any] = {}


class ResponseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer said about itself; never content. `None` means that it did not say."""

    response_model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    """One per choice in index order, raw values as text; `None` where the dialect has none."""
    response_status: str | None = None
    """Responses API only: `completed`, `incomplete`, `failed`, ..."""
    incomplete_reason: str | None = None
    usage: Usage | None = None
    """`None` when no usage object was seen."""
    is_error: bool = False
    """The body or an event of the stream is an error, whatever the HTTP status said."""
    error_type: str | None = None
    """The provider's machine code as sent; not yet held to the list of known codes."""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    reported_cost_usd: str | None = None
    """A cost that the provider itself reported, as decimal text (OpenRouter `usage.cost`)."""
    upstream_cost_usd: str | None = None
    """What the caller pays a second party for the same call, as decimal text (OpenRouter with the
    caller's own provider key: `usage.cost_details.upstream_inference_cost`)."""
    ending: Literal["whole", "open", "torn"] = "whole"
    """How a stream ended: `open` without what ends one in its dialect, `torn` within an event."""
    unread: str | None = None
    """Why the answer could not be read (`malformed`, `too_large`), if it could not."""


class Tally(Protocol):
    """The running account of one answer: fed its decoded bytes in any split, closed once."""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; cheap, and never raises on content."""

    def close(self) -> ResponseFacts:
        """Account for everything fed so far; also right for a cut or cancelled answer."""


class Describe(Protocol):
    """Read a request; raises `UnreadableBody`."""

    def __call__(self, body: bytes, path: str) -> RequestFacts: ...


class OpenTally(Protocol):
    """Start the account of an answer; `stream` is what the request asked for."""

    def __call__(self, *, status: int, content_type: str, stream: bool) -> Tally: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire shape. `operation` and `api_type` are OpenTelemetry values."""

    name: str
    family: Family
    operation: Literal["chat", "text_completion", "embeddings", "generate_content"]
    describe: Describe
    tally: OpenTally
    api_type: str | None = None
    """`openai.api.type`: `chat_completions` or `responses`."""
    route: str = ""
    """The path with its variable parts named, for `http.route`: `/v1/chat/completions`."""
    may_ask_for_usage: bool = False
    """`stream_options.include_usage` exists in this dialect."""
    model_in_path: bool = False
    """The model comes from the path (Gemini), so a body without one is complete."""
