"""The receipt: the finished account of one call, and the contract between relay and books.

One receipt is one line of JSON in a spool segment. It holds everything that a span, a metric or a
ledger row may need, and no content: no prompt, no answer, no key. Unknown is absent (`None`).
Times are integer nanoseconds: `*_at_ns` since the Unix epoch, `*_ns` durations.
A change that an older reader would misunderstand raises `FORMAT`.
"""

from typing import Annotated, Any, Literal

import msgspec

from spanmeter.outcome import Outcome
from spanmeter.usage import Usage

FORMAT = 1

# Checked by readers only. A number outside is a damaged line, and would go into sums for ever.
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
"""A time up to the year 2116, or a duration."""
SpanId = Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
TraceId = Annotated[str, msgspec.Meta(min_length=32, max_length=32)]

CHUNK_SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68,
)  # fmt: skip
"""Upper bounds of the buckets of `Attempt.chunk_times`: those of the GenAI conventions' durations,
as the books' histograms have them."""

Kind = Literal["call", "passthrough"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one route: becomes one CLIENT span."""

    span_id: SpanId
    """16 lower-case hex digits."""
    upstream: str
    provider: str
    """OpenTelemetry `gen_ai.provider.name`."""
    started_at_ns: Nanoseconds
    duration_ns: Nanoseconds
    model: str | None = None
    """The model sent upstream."""
    server_address: str = ""
    server_port: Count = 0
    status: Count | None = None
    """The provider's HTTP status; `None` when no answer came."""
    error_type: str | None = None
    first_chunk_ns: Nanoseconds | None = None
    """From issuing the request to the first body byte; streamed answers only."""
    retries: Count = 0
    chunk_times: tuple[Count, ...] = ()
    """Streamed answers, where `metrics.time_per_output_chunk` is on: the sum in nanoseconds of the
    times between chunks, then how many there are in each bucket of `CHUNK_SECONDS` and beyond."""


class Trace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ids that the relay chose, and the caller's context."""

    trace_id: TraceId
    """32 lower-case hex digits."""
    span_id: SpanId
    """Of the SERVER span."""
    parent_id: SpanId | None = None
    state: str | None = None
    """The caller's `tracestate`, well-formed and at most 512 characters."""
    sampled: bool = True
    random: bool = False
    """The trace id is known to be random (W3C Trace Context level 2, `random-trace-id`)."""


class Receipt(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="receipt"
):
    """One call, ended. Field order is the order of the documentation (docs/receipt.md)."""

    call_id: str
    """Unique over all relays: 32 lower-case hex digits; names the call's `open` line too."""
    kind: Kind = "call"
    started_at_ns: Nanoseconds
    duration_ns: Nanoseconds
    """What the caller waited: from the request's first byte to the answer's last, or the end."""
    first_byte_ns: Nanoseconds | None = None
    """From the request's first byte to the first byte of the answer's body to the caller."""
    relay_ns: Nanoseconds | None = None
    """The relay's own part before the upstream was asked."""

    outcome: Outcome
    error_type: str | None = None
    error_source: Literal["caller", "gateway", "provider"] | None = None

    feature: str = "untagged"
    task: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """In order of arrival; one key may come more than once."""
    violations: tuple[tuple[str, str], ...] = ()
    """(reason, where it stood) of each tag or feature dropped or altered; never what was sent."""

    method: str = "POST"
    route: str = ""
    """The path with variable parts named; never the raw path."""
    http_status: Count | None = None
    """What the caller got; `None` when the caller left before a status was written."""
    http_version: str = "1.1"
    listen_address: str = ""
    listen_port: Count = 0
    request_bytes: Count = 0
    response_bytes: Count = 0

    dialect: str | None = None
    operation: str | None = None
    api_type: str | None = None
    provider: str | None = None
    upstream: str | None = None
    provider_unknown: bool = False
    """No rule knew the model; it went to the default upstream."""
    request_model: str | None = None
    """As the caller asked."""
    response_model: str | None = None
    stream: bool = False
    parameters: dict[str, Any] = {}
    response_id: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    response_status: str | None = None
    incomplete_reason: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None

    usage: Usage | None = None
    unmetered: str | None = None
    """Why a call that was answered has no usage: `not_reported`, `unreadable`, `too_large`,
    `cancelled`, `interrupted`."""
    reported_cost_usd: str | None = None
    """The provider's own figure, decimal text."""
    upstream_cost_usd: str | None = None
    """What is owed to a second party beside it (OpenRouter with the caller's own provider key)."""

    key_id: str | None = None
    rule: str | None = None

    trace: Trace
    attempts: tuple[Attempt, ...] = ()


class OpenCall(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="open"
):
    """A call that outlived a flush. If its relay dies, books enter `receipt` as it stands here:
    `gateway_error` with `relay_lost`, so that even this call ends in one receipt."""

    receipt: Receipt


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="segment"):
    """The first line of every segment."""

    format: int = FORMAT
    worker: int
    """The relay's place among its siblings, from 0."""
    incarnation: str
    """Of this relay process: unique, sorts by start time."""
    sequence: int
    generation: int = 1
    """Of the configuration in force."""
    written: Count | None = None
    """Receipts that this writer has written in all, with those of this segment."""
    crc32: str | None = None
    """Of all that follows this line: 8 hex digits."""


Line = SegmentHeader | Receipt | OpenCall
