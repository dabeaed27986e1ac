"""A receipt and its bill as OTLP spans: one SERVER span, and one CLIENT span per attempt.

Names and rules are those of the OpenTelemetry conventions: GenAI client spans
(semantic-conventions-genai, docs/gen-ai/client-inference.md), HTTP server and client spans
(semantic-conventions, docs/http/http-spans.md). Ids are the receipt's own, so that a span that is
sent twice is stored once. Usage and cost stand on the last attempt: sums over a trace stay right.
"""

import struct
from operator import attrgetter
from typing import NamedTuple

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Attempt, Receipt
from spanmeter_gateway.telemetry import names, otlp
from spanmeter_gateway.telemetry import span_attributes as attributes
from spanmeter_gateway.telemetry.bounded import Bounded
from spanmeter_gateway.telemetry.failures import attempt_error, call_error, has_server_failed
from spanmeter_gateway.telemetry.otlp import Changing

# An entry is about 1 KB. What does not repeat within so many (a tag that names one user) is
# encoded anew, piece by piece.
_REMEMBERED_BLOCKS = 4096

# Fields and values of opentelemetry-proto, trace.proto.
_SPANS_OF_SCOPE = 2
_NAME = 5
_EVENT = 11
_EVENT_NAME = 2
_KIND_SERVER = b"\x30\x02"
_KIND_CLIENT = b"\x30\x03"
_STATUS_ERROR = otlp.piece(15, b"\x18\x02")
_START = 7 << 3 | 1
_END = 8 << 3 | 1
_pack_times = struct.Struct("<BQBQ").pack
# Span.flags: the W3C flags (sampled, and whether the trace id is known to be random), and whether
# the parent is known to be in another process.
_LOCAL_PARENT = tuple(otlp.fixed32(16, 0x101 | random) for random in (0, 0x2))
_REMOTE_PARENT = tuple(otlp.fixed32(16, 0x301 | random) for random in (0, 0x2))

_RESPONSE_ID = Changing(names.RESPONSE_ID)
_FIRST_CHUNK = Changing(names.TIME_TO_FIRST_CHUNK)
_COST_AMOUNT = Changing(names.COST_AMOUNT)
_USAGE_COST = Changing(names.USAGE_COST)
_CACHE_CREATION = Changing(names.CACHE_CREATION_TOKENS)
_RETRY_COUNT = Changing(names.RETRY_COUNT)
_USAGE = tuple(Changing(name) for name in names.USAGE.values())
_INPUT_ALONE = _USAGE[:1]
_TOO_MANY = 1 << 63  # Beyond an OTLP integer; such a count is nonsense, and is left out.
_read_usage = attrgetter(*names.USAGE)


class Spans(NamedTuple):
    """Encoded spans, each a field of ScopeSpans, and how many they are."""

    encoded: bytes
    amount: int


NO_SPANS = Spans(b"", 0)


class SpanEncoder:
    """Encode receipts as spans; `url_scheme` is how callers reach this gateway.

    With another `semconv` than `latest` a span also has the cache tokens under the name of v1.41,
    with `cost_alias` the cost under the name that other products' dashboards read.

    Whatever repeats from call to call is encoded once and remembered by the values it was made
    of: a block is the name, kind and attributes that depend on the values in its key.
    """

    def __init__(
        self,
        *,
        url_scheme: str = "http",
        semconv: names.Semconv = "latest",
        cost_alias: bool = False,
    ) -> None:
        self._url_scheme = url_scheme
        self._has_old_names = semconv != "latest"
        self._has_cost_alias = cost_alias
        self._blocks: Bounded[tuple[object, ...], bytes] = Bounded(_REMEMBERED_BLOCKS)

    def encode(self, receipt: Receipt, bill: Bill) -> Spans:
        """Encode all spans of one receipt; an unsampled one has none."""
        if not receipt.trace.sampled:
            return NO_SPANS
        attribution = self._attribution(receipt)
        spans = [self._server(receipt, attribution)]
        for attempt in receipt.attempts:
            error = attempt_error(receipt, attempt)
            if receipt.kind == "call":
                own = self._inference(receipt, attempt, error)
                if attempt is receipt.attempts[-1]:
                    own += self._answer(receipt, attempt, bill)
            else:
                own = self._http_client(receipt, attempt, error)
            spans.append(_client(receipt, attempt, own + attribution, failed=error is not None))
        return Spans(b"".join(spans), len(spans))

    def _attribution(self, receipt: Receipt) -> bytes:
        key = (
            "attribution", receipt.feature, receipt.task, receipt.tags, receipt.outcome,
            receipt.key_id, receipt.rule,
        )  # fmt: skip
        block = self._blocks.get(key)
        if block is None:
            block = self._keep(key, b"", attributes.attribution(receipt))
        return block

    def _server(self, receipt: Receipt, attribution: bytes) -> bytes:
        trace = receipt.trace
        error = call_error(receipt)
        key = (
            "server", receipt.method, receipt.route, receipt.http_status, receipt.http_version,
            receipt.listen_address, receipt.listen_port, error,
        )  # fmt: skip
        block = self._blocks.get(key)
        if block is None:
            name = f"{attributes.method_name(receipt.method)} {receipt.route}".rstrip()
            pairs = attributes.http_server(receipt, error, url_scheme=self._url_scheme)
            block = self._keep(key, otlp.piece(_NAME, name.encode()) + _KIND_SERVER, pairs)
        content = (
            _context(receipt, trace.span_id, trace.parent_id)
            + (_REMOTE_PARENT if trace.parent_id else _LOCAL_PARENT)[trace.random]
            + _times(receipt.started_at_ns, receipt.duration_ns)
            + block
            + attribution
        )
        if receipt.violations:
            content += _dropped_event(receipt)
        if has_server_failed(receipt):
            content += _STATUS_ERROR
        return otlp.piece(_SPANS_OF_SCOPE, content)

    def _http_client(self, receipt: Receipt, attempt: Attempt, error: str | None) -> bytes:
        key = (
            "http", receipt.method, attempt.status, attempt.retries, attempt.server_address,
            attempt.server_port, error,
        )  # fmt: skip
        block = self._blocks.get(key)
        if block is None:
            name = otlp.piece(_NAME, attributes.method_name(receipt.method).encode())
            block = self._keep(key, name, attributes.http_client(receipt, attempt, error))
        return block

    def _inference(self, receipt: Receipt, attempt: Attempt, error: str | None) -> bytes:
        is_last = attempt is receipt.attempts[-1]
        usage_source = "provider" if is_last and receipt.usage is not None else "none"
        key = (
            "inference", receipt.operation, receipt.api_type, attempt.provider, attempt.model,
            receipt.request_model, attempt.server_address, attempt.server_port, receipt.stream,
            usage_source, error,
        )  # fmt: skip
        block = self._blocks.get(key)
        if block is None:
            model = attempt.model or receipt.request_model or ""
            name = f"{receipt.operation or ''} {model}".strip()
            pairs = attributes.inference(receipt, attempt, error, usage_source=usage_source)
            block = self._keep(key, otlp.piece(_NAME, name.encode()), pairs)
        if receipt.parameters:
            block += self._parameters(receipt, attempt)
        is_streamed = receipt.stream and receipt.operation != names.EMBEDDINGS
        if is_streamed and attempt.first_chunk_ns is not None:
            block += _FIRST_CHUNK.double(attempt.first_chunk_ns / names.NANOS)
        if attempt.retries:
            block += _RETRY_COUNT.integer(attempt.retries)
        return block

    def _parameters(self, receipt: Receipt, attempt: Attempt) -> bytes:
        is_openai = attributes.speaks_openai(receipt, attempt)
        # The text tells 1, 1.0 and True apart, which are equal as keys and differ as attributes.
        key = ("parameters", is_openai, receipt.operation, str(receipt.parameters))
        block = self._blocks.get(key)
        if block is None:
            block = self._keep(key, b"", attributes.parameters(receipt, is_openai=is_openai))
        return block

    def _answer(self, receipt: Receipt, attempt: Attempt, bill: Bill) -> bytes:
        finish_reasons = attributes.finish_reasons_of(receipt, attempt)
        is_openai = attributes.speaks_openai(receipt, attempt)
        key = (
            "answer", receipt.operation, receipt.response_model, finish_reasons, is_openai,
            receipt.service_tier, receipt.system_fingerprint, bill.cost_nanos is None, bill.source,
            bill.price_version,
        )  # fmt: skip
        block = self._blocks.get(key)
        if block is None:
            pairs = attributes.answer(
                receipt, bill, finish_reasons=finish_reasons, is_openai=is_openai
            )
            block = self._keep(key, b"", pairs)
        parts = [block]
        if receipt.response_id is not None and receipt.operation != names.EMBEDDINGS:
            parts.append(_RESPONSE_ID.text(receipt.response_id))
        if receipt.usage is not None:
            parts += self._usage(receipt.usage, is_embeddings=receipt.operation == names.EMBEDDINGS)
        if bill.cost_nanos is not None:
            usd = sum([amount for _, amount in bill.cost_nanos]) / names.NANOS
            parts.append(_COST_AMOUNT.double(usd))
            if self._has_cost_alias:
                parts.append(_USAGE_COST.double(usd))
        return b"".join(parts)

    def _usage(self, usage: Usage, *, is_embeddings: bool) -> list[bytes]:
        """Encode the token counts; embeddings have input alone (GENAI client-embeddings.md)."""
        attributes_of_usage = _INPUT_ALONE if is_embeddings else _USAGE
        parts = [
            attribute.integer(tokens)
            for attribute, tokens in zip(attributes_of_usage, _read_usage(usage), strict=False)
            if tokens is not None and -_TOO_MANY < tokens < _TOO_MANY
        ]
        written = usage.cache_write_tokens
        if self._has_old_names and not is_embeddings and written is not None:
            parts += [_CACHE_CREATION.integer(written)] if otlp.fits(written) else []
        return parts

    def _keep(self, key: tuple[object, ...], head: bytes, pairs: attributes.Pairs) -> bytes:
        return self._blocks.keep(key, head + otlp.attributes(otlp.SPAN_ATTRIBUTE, pairs))


def _client(receipt: Receipt, attempt: Attempt, block: bytes, *, failed: bool) -> bytes:
    content = (
        _context(receipt, attempt.span_id, receipt.trace.span_id)
        + _LOCAL_PARENT[receipt.trace.random]
        + _KIND_CLIENT
        + _times(attempt.started_at_ns, attempt.duration_ns)
        + block
    )
    return otlp.piece(_SPANS_OF_SCOPE, content + _STATUS_ERROR if failed else content)


def _context(receipt: Receipt, span_id: str, parent_id: str | None) -> bytes:
    trace = receipt.trace
    own = b"\x0a\x10" + bytes.fromhex(trace.trace_id) + b"\x12\x08" + bytes.fromhex(span_id)
    if trace.state:
        own += otlp.piece(3, trace.state.encode())
    return own + b"\x22\x08" + bytes.fromhex(parent_id) if parent_id else own


def _times(started_at_ns: int, duration_ns: int) -> bytes:
    return _pack_times(_START, started_at_ns, _END, started_at_ns + duration_ns)


def _dropped_event(receipt: Receipt) -> bytes:
    event = otlp.fixed64(1, receipt.started_at_ns)
    event += otlp.piece(_EVENT_NAME, names.TAGS_DROPPED_EVENT.encode())
    event += otlp.attributes(otlp.EVENT_ATTRIBUTE, attributes.dropped_tags(receipt))
    return otlp.piece(_EVENT, event)
