from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.gateway.telemetry.plain_spans import key_values, plain_spans
from tests.gateway.telemetry.samples import BILL, NO_BILL, TRACE, a_denial, a_receipt, an_attempt

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import Attempt, Receipt, Trace
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
    server, client = _spans(a_receipt(violations=(("malformed", "env"), ("too_long", "k:v"))))

    [event] = server.events
    assert event.name == "tags.dropped"
    assert {pair.key: _value(pair.value) for pair in event.attributes} == {
        "spanmeter.tags.dropped.count": 2,
        "spanmeter.tags.dropped.reasons": ["malformed", "too_long"],
        "spanmeter.tags.dropped.values": ["env", "k:v"],
    }
    assert list(client.events) == []


@pytest.mark.parametrize(
    ("outcome", "status", "is_error"),
    [
        ("caller_error", 404, False),
        ("policy_denied", 429, False),
        ("cancelled", None, False),
        ("provider_error", 200, True),
        ("gateway_error", 401, True),
        ("provider_error", 503, True),
    ],
)
def test_the_server_span_fails_only_by_the_fault_of_gateway_or_provider(
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
        "frequency_penalty": True,
    }  # fmt: skip

    _, client = _spans(a_receipt(parameters=sent))

    attributes = _attributes(client)
    told = {key: attributes[key] for key in attributes if "request" in key}
    assert told == {
        "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.max_tokens": 10,
        "gen_ai.request.temperature": 1.0, "gen_ai.request.top_k": 5,
        "gen_ai.request.encoding_formats": ["float"],
    }  # fmt: skip
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


_TEXT = st.text(max_size=140)
_MAYBE_TEXT = st.none() | st.text(max_size=9)
_COUNT = st.none() | st.sampled_from([0, 1, 127, 128, 16_384]) | st.integers(0, 2**63 - 1)
_SPAN_ID = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
_DURATION = st.integers(0, 10**13)
_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(-(2**63), 2**63 - 1), "temperature": st.floats(0, 2) | st.just(1),
        "top_p": st.floats(0, 1), "top_k": st.integers(0, 100), "seed": st.integers(-5, 5),
        "presence_penalty": st.floats(-2, 2), "frequency_penalty": st.integers(-2, 2),
        "choice_count": st.integers(1, 3), "reasoning_level": _TEXT, "output_type": _TEXT,
        "previous_response_id": _TEXT, "encoding_format": _TEXT,
        "dimension_count": st.integers(1, 4096), "service_tier": st.sampled_from(["auto", "flex"]),
    },
)  # fmt: skip
_ATTEMPTS = st.builds(
    Attempt,
    span_id=_SPAN_ID,
    upstream=st.just("u"),
    provider=st.sampled_from(["openai", "azure.ai.openai", "anthropic", "groq"]),
    started_at_ns=st.integers(0, 2**62),
    duration_ns=_DURATION,
    model=_MAYBE_TEXT,
    server_address=st.text(max_size=5),
    server_port=st.sampled_from([0, 443, 65535]),
    status=st.none() | st.sampled_from([200, 400, 429, 503]),
    error_type=st.none() | st.just("overloaded_error"),
    first_chunk_ns=st.none() | _DURATION,
    retries=st.integers(0, 3),
)
_TRACES = st.builds(
    Trace,
    trace_id=st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}"),
    span_id=_SPAN_ID,
    parent_id=st.none() | _SPAN_ID,
    state=st.none() | st.just("vendor=1,other=2"),
    sampled=st.sampled_from([True, True, True, False]),
)
_PAIRS = st.lists(st.tuples(st.sampled_from(["env", "team"]), st.text(max_size=5)), max_size=3)
_RECEIPTS = st.builds(
    Receipt,
    call_id=st.just("c" * 32),
    kind=st.sampled_from(["call", "call", "passthrough"]),
    started_at_ns=st.integers(0, 2**62),
    duration_ns=_DURATION,
    outcome=st.sampled_from(
        ["ok", "caller_error", "policy_denied", "provider_error", "gateway_error", "cancelled"]
    ),
    error_type=st.none() | st.just("relay_lost"),
    feature=_TEXT,
    task=_MAYBE_TEXT,
    tags=_PAIRS.map(tuple),
    violations=_PAIRS.map(tuple),
    method=st.sampled_from(["POST", "GET", "PURGE"]),
    route=st.sampled_from(["", "/v1/chat/completions"]),
    http_status=st.none() | st.sampled_from([200, 404, 502]),
    listen_address=st.sampled_from(["", "0.0.0.0"]),
    listen_port=st.sampled_from([0, 8080]),
    operation=st.sampled_from([None, "chat", "embeddings"]),
    api_type=st.sampled_from([None, "responses"]),
    request_model=_MAYBE_TEXT,
    response_model=_MAYBE_TEXT,
    stream=st.booleans(),
    parameters=_PARAMETERS,
    response_id=st.none() | _TEXT,
    finish_reasons=st.none() | st.lists(st.sampled_from(["stop", ""]), max_size=2).map(tuple),
    service_tier=_MAYBE_TEXT,
    system_fingerprint=_MAYBE_TEXT,
    usage=st.none() | st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, _COUNT)),
    key_id=_MAYBE_TEXT,
    rule=_MAYBE_TEXT,
    trace=_TRACES,
    attempts=st.lists(_ATTEMPTS, max_size=3).map(tuple),
)
_BILLS = st.builds(
    Bill,
    cost_nanos=st.none()
    | st.lists(st.builds(ClassAmount, st.just("input"), st.integers(0, 10**15)), max_size=2).map(
        tuple
    ),
    source=st.sampled_from([None, "local", "provider"]),
    price_version=_MAYBE_TEXT,
)


@given(st.lists(st.tuples(_RECEIPTS, _BILLS), max_size=3))
def test_the_bytes_are_those_of_the_official_classes(entries: list[tuple[Receipt, Bill]]):
    spans = list(_request(*entries).resource_spans[0].scope_spans[0].spans)

    plain = [span for receipt, bill in entries for span in plain_spans(receipt, bill)]

    assert _sorted(spans) == _sorted(plain)
    assert sum(ENCODER.encode(receipt, bill).amount for receipt, bill in entries) == len(plain)


def test_a_setting_of_the_wrong_type_does_not_stand_in_for_an_equal_one():
    _spans(a_receipt(parameters={"max_tokens": True}))

    _, client = _spans(a_receipt(parameters={"max_tokens": 1}))

    assert _attributes(client)["gen_ai.request.max_tokens"] == 1
