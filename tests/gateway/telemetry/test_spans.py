from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.gateway.telemetry.drawn_receipts import BILLS, RECEIPTS
from tests.gateway.telemetry.plain_spans import key_values, plain_spans
from tests.gateway.telemetry.samples import BILL, NO_BILL, TRACE, a_denial, a_receipt, an_attempt

from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt, Trace
from spanmeter_gateway.telemetry.otlp import Envelope
from spanmeter_gateway.telemetry.spans import SpanEncoder

ENVELOPE = Envelope({"service.name": "s"}, "scope", version="1", schema_url="https://s.invalid/1")
ENCODER = SpanEncoder()


def _request(*entries: tuple[Receipt, Bill]) -> ExportTraceServiceRequest:
    encoded = [ENCODER.encode(receipt, bill).encoded for receipt, bill in entries]
    return ExportTraceServiceRequest.FromString(ENVELOPE.seal(encoded))


def _spans(receipt: Receipt, bill: Bill = BILL) -> list[Span]:
    return list(_request((receipt, bill)).resource_spans[0].scope_spans[0].spans)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    content = getattr(value, kind)
    return [_value(item) for item in content.values] if kind == "array_value" else content


def _attributes(span: Span) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in span.attributes}


def _sorted(spans: list[Span]) -> list[Span]:
    """Return the spans with their attributes in one order; nothing else about them changes."""
    for span in spans:
        pairs = sorted(span.attributes, key=lambda pair: pair.key)
        del span.attributes[:]
        span.attributes.extend(pairs)
    return spans


def test_a_good_call_is_a_server_span_and_a_client_span():
    server, client = _spans(a_receipt())

    assert (server.name, server.kind) == ("POST /v1/chat/completions", Span.SPAN_KIND_SERVER)
    assert _attributes(server) == {
        "http.request.method": "POST", "url.scheme": "http", "http.route": "/v1/chat/completions",
        "http.response.status_code": 200, "network.protocol.version": "1.1",
        "server.address": "127.0.0.1", "server.port": 8080,
        "spanmeter.feature": "checkout", "spanmeter.outcome": "ok",
    }  # fmt: skip
    assert (client.name, client.kind) == ("chat gpt-4o-mini", Span.SPAN_KIND_CLIENT)
    assert _attributes(client) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini", "server.address": "api.openai.com",
        "server.port": 443, "openai.api.type": "chat_completions",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
        "spanmeter.usage.source": "provider", "spanmeter.cost.amount": 0.000027,
        "spanmeter.cost.currency": "USD", "spanmeter.cost.source": "local",
        "spanmeter.cost.price_version": "genai-prices 0.2.3",
        "spanmeter.feature": "checkout", "spanmeter.outcome": "ok",
    }  # fmt: skip
    assert (server.HasField("status"), client.HasField("status")) == (False, False)


def test_ids_times_and_state_are_the_receipts():
    trace = Trace(
        trace_id=TRACE.trace_id, span_id=TRACE.span_id, parent_id="aaaaaaaaaaaaaaaa", state="a=1"
    )

    server, client = _spans(a_receipt(trace=trace))

    assert {span.trace_id.hex() for span in (server, client)} == {TRACE.trace_id}
    assert (server.parent_span_id.hex(), server.flags) == ("a" * 16, 0x301)
    assert (client.parent_span_id, client.flags) == (server.span_id, 0x101)
    assert (server.trace_state, client.trace_state) == ("a=1", "a=1")
    assert client.end_time_unix_nano - client.start_time_unix_nano == 1_400_000_000


def test_an_unsampled_call_has_no_spans():
    trace = Trace(trace_id=TRACE.trace_id, span_id=TRACE.span_id, sampled=False)

    assert ENCODER.encode(a_receipt(trace=trace), BILL) == (b"", 0)


def test_tags_are_a_list_and_an_array_for_each_key():
    receipt = a_receipt(task="pay", tags=(("env", "a"), ("team", "x"), ("env", "b")))

    for span in _spans(receipt):
        attributes = _attributes(span)
        assert attributes["spanmeter.tags"] == ["env:a", "team:x", "env:b"]
        assert attributes["spanmeter.tag.env"] == ["a", "b"]
        assert attributes["spanmeter.tag.team"] == ["x"]
        assert attributes["spanmeter.task"] == "pay"


def test_dropped_tags_are_an_event_of_the_server_span():
    server, client = _spans(
        a_receipt(violations=(("malformed", "x-tags"), ("too_long", "baggage")))
    )

    [event] = server.events
    assert event.name == "tags.dropped"
    assert {pair.key: _value(pair.value) for pair in event.attributes} == {
        "spanmeter.tags.dropped.count": 2,
        "spanmeter.tags.dropped.reasons": ["malformed", "too_long"],
        "spanmeter.tags.dropped.sources": ["x-tags", "baggage"],
    }
    assert list(client.events) == []


@pytest.mark.parametrize(
    ("outcome", "status", "is_error"),
    [
        ("caller_error", 404, False),
        ("policy_denied", 429, False),
        ("gateway_error", 401, False),
        ("provider_error", 429, False),
        ("cancelled", None, True),
        ("cancelled", 200, True),
        ("provider_error", 200, True),
        ("provider_error", 503, True),
    ],
)
def test_the_server_span_fails_by_a_5xx_or_an_answer_that_was_not_whole_but_never_by_a_4xx(
    outcome: str, status: int | None, *, is_error: bool
):
    server = _spans(a_denial(outcome=outcome, http_status=status), NO_BILL)[0]

    assert (server.status.code == Status.STATUS_CODE_ERROR) == is_error
    assert _attributes(server)["error.type"] == "budget_exceeded"


def test_a_failed_attempt_is_an_error_without_usage_and_the_next_one_has_it():
    busy = an_attempt(provider="groq", model="llama", status=429, error_type="rate_limit_exceeded")

    _, first, last = _spans(a_receipt(attempts=(busy, an_attempt(retries=2))))

    assert (first.status.code, last.HasField("status")) == (Status.STATUS_CODE_ERROR, False)
    assert _attributes(first)["error.type"] == "rate_limit_exceeded"
    assert _attributes(first)["spanmeter.usage.source"] == "none"
    assert "gen_ai.usage.input_tokens" not in _attributes(first)
    assert "spanmeter.cost.amount" not in _attributes(first)
    assert _attributes(last)["spanmeter.retry.count"] == 2
    assert _attributes(last)["gen_ai.usage.input_tokens"] == 100


@pytest.mark.parametrize(
    ("outcome", "error"),
    [("cancelled", "client_disconnected"), ("provider_error", "stream_interrupted")],
)
def test_an_answer_that_was_cut_says_so_where_the_finish_reason_was_expected(
    outcome: str, error: str
):
    receipt = a_receipt(
        outcome=outcome, error_type=error, finish_reasons=None, usage=None, stream=True
    )

    _, client = _spans(receipt, NO_BILL)

    attributes = _attributes(client)
    assert attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert (attributes["error.type"], client.status.code) == (error, Status.STATUS_CODE_ERROR)
    assert (attributes["gen_ai.request.stream"], attributes["spanmeter.usage.source"]) == (
        True,
        "none",
    )


def test_openai_attributes_stand_on_openai_spans_only():
    changes = {"service_tier": "flex", "parameters": {"service_tier": "flex"}}

    _, openai = _spans(a_receipt(**changes))
    _, groq = _spans(a_receipt(**changes, attempts=(an_attempt(provider="groq"),)))

    own = {key for key in _attributes(openai) if key.startswith("openai.")}
    assert own == {"openai.api.type", "openai.request.service_tier", "openai.response.service_tier"}
    assert not any(key.startswith("openai.") for key in _attributes(groq))


def test_a_rewritten_model_keeps_the_callers_name_beside_it():
    _, client = _spans(a_receipt(request_model="fast", attempts=(an_attempt(model="gpt-4o-mini"),)))

    assert client.name == "chat gpt-4o-mini"
    assert _attributes(client)["spanmeter.request.model_alias"] == "fast"


def test_parameters_have_the_types_of_the_conventions():
    sent = {
        "max_tokens": 10, "temperature": 1, "top_k": 5.0, "choice_count": 1, "seed": 2**63,
        "service_tier": "auto", "encoding_format": "float", "stop": "x", "top_p": "high",
        "frequency_penalty": True, "conversation_id": "conv_1", "reasoning_level": "low",
    }  # fmt: skip

    _, client = _spans(a_receipt(parameters=sent))

    attributes = _attributes(client)
    told = {key: attributes[key] for key in attributes if "request" in key}
    assert told == {
        "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.max_tokens": 10,
        "gen_ai.request.temperature": 1.0, "gen_ai.request.top_k": 5,
        "gen_ai.request.reasoning.level": "low",
    }  # fmt: skip
    assert attributes["gen_ai.conversation.id"] == "conv_1"
    kinds = {pair.key: pair.value.WhichOneof("value") for pair in client.attributes}
    assert kinds["gen_ai.request.temperature"] == "double_value"
    assert kinds["gen_ai.request.top_k"] == "int_value"


def test_what_is_passed_through_has_an_http_client_span():
    receipt = a_receipt(
        kind="passthrough", method="GET", route="/v1/models", operation=None, usage=None
    )

    server, client = _spans(receipt, NO_BILL)

    assert (server.name, client.name) == ("GET /v1/models", "GET")
    assert _attributes(client) == {
        "http.request.method": "GET", "http.response.status_code": 200,
        "server.address": "api.openai.com", "server.port": 443,
        "spanmeter.feature": "checkout", "spanmeter.outcome": "ok",
    }  # fmt: skip


def test_a_method_that_nobody_knows_is_no_name():
    [server] = _spans(a_denial(method="BREW"), NO_BILL)

    assert server.name == "HTTP /v1/chat/completions"
    assert _attributes(server)["http.request.method"] == "_OTHER"
    assert _attributes(server)["http.request.method_original"] == "BREW"


def test_the_envelope_names_resource_scope_and_schema():
    [resource_spans] = _request((a_receipt(), BILL)).resource_spans

    [scope_spans] = resource_spans.scope_spans
    assert list(resource_spans.resource.attributes) == key_values({"service.name": "s"})
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("scope", "1")
    assert scope_spans.schema_url == "https://s.invalid/1"


@given(st.lists(st.tuples(RECEIPTS, BILLS), max_size=3))
def test_the_bytes_are_those_of_the_official_classes(entries: list[tuple[Receipt, Bill]]):
    spans = list(_request(*entries).resource_spans[0].scope_spans[0].spans)

    plain = [span for receipt, bill in entries for span in plain_spans(receipt, bill)]

    assert _sorted(spans) == _sorted(plain)
    assert sum(ENCODER.encode(receipt, bill).amount for receipt, bill in entries) == len(plain)


def test_a_setting_of_the_wrong_type_does_not_stand_in_for_an_equal_one():
    _spans(a_receipt(parameters={"max_tokens": True}))

    _, client = _spans(a_receipt(parameters={"max_tokens": 1}))

    assert _attributes(client)["gen_ai.request.max_tokens"] == 1
