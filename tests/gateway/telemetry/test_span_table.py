"""Every span is what docs/spans.md says, and the page is what the conventions say."""

import re
from collections.abc import Iterable, Iterator

import msgspec
import pytest
from hypothesis import given
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from tests.fakes.recordings import Recording, all_recordings
from tests.gateway.telemetry import span_table
from tests.gateway.telemetry.drawn_receipts import BILLS, RECEIPTS
from tests.gateway.telemetry.samples import BILL, a_denial, a_receipt, an_attempt
from tests.gateway.telemetry.span_table import LEFT_OUT, OWN, SWITCHED, TABLE, Case, complaints

from spanmeter.dialects.registry import recognise
from spanmeter.outcome import CANCELLED, INTERRUPTED, Verdict, judge_answer
from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill
from spanmeter_gateway.receipt import Receipt
from spanmeter_gateway.relay.account import Account
from spanmeter_gateway.relay.account import OpenAttempt as Attempted
from spanmeter_gateway.relay.trace import Sampler, begin_trace, new_ids
from spanmeter_gateway.routing.address import split_target
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.spans import SpanEncoder
from spanmeter_gateway.upstreams.upstream import Upstream

PLAIN = SpanEncoder()
FULL = SpanEncoder(url_scheme="https", semconv="both", cost_alias=True)


def cases(receipt: Receipt) -> list[Case]:
    return [Case(receipt, None), *(Case(receipt, attempt) for attempt in receipt.attempts)]


def told(receipt: Receipt, bill: Bill, encoder: SpanEncoder) -> list[str]:
    """List what is wrong with the spans of one receipt."""
    spans = ScopeSpans.FromString(encoder.encode(receipt, bill).encoded).spans
    return [
        f"{case.kind}: {complaint}"
        for span, case in zip(spans, cases(receipt), strict=True)
        for complaint in complaints(span, case)
    ]


def as_relays_write_it(receipt: Receipt) -> Receipt:
    """Give a drawn receipt what every real one has: an operation, an upstream's address, spans."""
    attempts = tuple(
        msgspec.structs.replace(attempt, server_address="host", server_port=443)
        for attempt in receipt.attempts
    )
    trace = msgspec.structs.replace(receipt.trace, sampled=True)
    operation = receipt.operation or "generate_content"
    return msgspec.structs.replace(receipt, attempts=attempts, trace=trace, operation=operation)


@given(receipt=RECEIPTS.map(as_relays_write_it), bill=BILLS)
def test_every_span_that_can_be_made_keeps_the_conventions(receipt: Receipt, bill: Bill) -> None:
    assert told(receipt, bill, PLAIN) == []
    assert told(receipt, bill, FULL) == []


def played(recording: Recording, body: bytes, cut: Verdict | None = None) -> Receipt:
    """Write the receipt of a recorded exchange, or of as much of it as was read before a cut."""
    path, _ = split_target(recording.path)
    dialect = recognise(recording.method, path)
    assert dialect is not None
    ids = new_ids()
    trace = begin_trace(ids, Sampler({}), traceparent=None, tracestate=None)
    account = Account(ids, method=recording.method, http_version="1.1", trace=trace)
    account.dialect, account.route = dialect, dialect.route
    account.facts = dialect.describe(recording.request_body, path)
    upstream = Upstream("up", recording.expected["provider"], "https://up.invalid")
    account.attempt = Attempted(
        ids.attempt_span_id, upstream=upstream, host="up.invalid", port=443, model=None
    )
    account.http_status = account.attempt.status = recording.status
    content_type = dict(recording.response_headers).get("content-type", "")
    tally = dialect.tally(
        status=recording.status, content_type=content_type, stream=account.facts.stream
    )
    tally.feed(body)
    facts = tally.close()
    verdict = cut or judge_answer(recording.status, facts, is_credential_held=False)
    account.attempt.error_type = verdict.error_type
    return account.receipt(verdict, facts=facts, listen=("127.0.0.1", 8080))


def receipts_of_recordings() -> Iterator[Receipt]:
    for recording in all_recordings():
        body = recording.response_body
        yield played(recording, body)
        yield played(recording, body[: len(body) // 2], INTERRUPTED)
        yield played(recording, b"", CANCELLED)


def test_the_spans_of_every_recording_keep_the_conventions() -> None:
    receipts = list(receipts_of_recordings())

    wrong = [line for receipt in receipts for line in told(receipt, BILL, FULL)]

    assert len(receipts) == 3 * len(all_recordings()) >= 450
    assert wrong == []


def finish_reasons(receipt: Receipt) -> list[str]:
    spans = ScopeSpans.FromString(PLAIN.encode(receipt, BILL).encoded).spans
    found = [
        pair.value.array_value.values
        for pair in spans[-1].attributes
        if pair.key == "gen_ai.response.finish_reasons"
    ]
    return [each.string_value for values in found for each in values]


def test_every_inference_that_was_cut_or_left_says_error_for_a_reason_that_never_came() -> None:
    ends = [
        (played(each, b"", verdict), each.expected["operation"])
        for each in all_recordings()
        if each.status == 200
        for verdict in (INTERRUPTED, CANCELLED)
    ]

    silent = [receipt for receipt, _ in ends if "error" not in finish_reasons(receipt)]

    assert {receipt.operation for receipt in silent} == {"embeddings"}
    assert {operation for _, operation in ends} > {"embeddings"}


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"outcome": "cancelled"}, None, ["error"]),
        ({"outcome": "cancelled", "finish_reasons": ("stop",)}, 200, ["stop"]),
        ({"outcome": "cancelled", "parameters": {"choice_count": 3}}, 200, ["error"] * 3),
        (
            {
                "outcome": "provider_error",
                "finish_reasons": ("stop", ""),
                "parameters": {"choice_count": 3},
            },
            200,
            ["stop", "error", "error"],
        ),
        ({"outcome": "cancelled", "parameters": {"choice_count": 10**9}}, 200, ["error"]),
        ({"outcome": "cancelled", "response_status": "completed"}, 200, []),
        ({"outcome": "provider_error", "response_status": "failed"}, 200, ["error"]),
        ({"outcome": "provider_error"}, 503, []),
        ({"outcome": "caller_error"}, 400, []),
        ({"outcome": "cancelled", "operation": "embeddings"}, 200, []),
        ({"outcome": "ok"}, 200, []),
    ],
)
def test_an_error_stands_for_each_reason_that_was_expected_and_never_came(
    changes: dict[str, object], status: int | None, told: list[str]
) -> None:
    receipt = a_receipt(
        **{"finish_reasons": None, "attempts": (an_attempt(status=status),)} | changes
    )

    assert finish_reasons(receipt) == told


def keys_on(encoder: SpanEncoder, receipts: Iterable[Receipt]) -> set[str]:
    return {
        re.sub(r"^spanmeter\.tag\..*", "spanmeter.tag.<key>", pair.key)
        for receipt in receipts
        for span in ScopeSpans.FromString(encoder.encode(receipt, BILL).encoded).spans
        for pair in span.attributes
    }


def everything() -> list[Receipt]:
    """Return receipts that between them have every attribute."""
    parameters = {
        "max_tokens": 1, "temperature": 0.5, "top_p": 0.5, "top_k": 1, "frequency_penalty": 0.5,
        "presence_penalty": 0.5, "seed": 1, "choice_count": 2, "reasoning_level": "low",
        "previous_response_id": "r", "output_type": "json", "conversation_id": "c",
        "prompt_name": "p", "prompt_version": "1", "encoding_format": "float",
        "dimension_count": 3, "service_tier": "flex",
    }  # fmt: skip
    counts = Usage(**dict.fromkeys(Usage.__struct_fields__, 1))
    full = a_receipt(
        parameters=parameters, usage=counts, stream=True, service_tier="flex", task="t",
        tags=(("env", "prod"),), key_id="k", rule="r", system_fingerprint="f",
        request_model="fast", outcome="provider_error", error_type="timeout",
        attempts=(an_attempt(first_chunk_ns=1, retries=1),),
    )  # fmt: skip
    azure = an_attempt(provider="azure.ai.inference")
    return [
        full,
        msgspec.structs.replace(full, operation="embeddings", attempts=(azure,)),
        msgspec.structs.replace(full, kind="passthrough", method="BREW"),
        a_denial(),
    ]


def test_every_attribute_of_the_page_is_made_somewhere() -> None:
    on_the_page = {key for table in TABLE.values() for key in table} | set(OWN)

    assert keys_on(FULL, everything()) == on_the_page
    assert keys_on(PLAIN, everything()) == on_the_page - SWITCHED


def test_nothing_that_is_left_out_is_on_the_page_too() -> None:
    made = {(kind, key) for kind, table in TABLE.items() for key in table}

    assert made & set(LEFT_OUT) == set()
    assert {kind for kind, _ in LEFT_OUT} <= set(TABLE)


def test_the_only_required_attributes_that_are_missing_are_addresses_that_may_hold_a_key() -> None:
    missing = {key for key, level in LEFT_OUT.items() if level == "required"}

    assert missing == {("SERVER", "url.path"), ("Passed-through CLIENT", "url.full")}


def test_every_conditional_attribute_has_its_condition() -> None:
    conditional = {
        row.attribute
        for table in TABLE.values()
        for row in table.values()
        if row.level == "conditional"
    }

    assert conditional == set(span_table.WHEN)


def test_our_own_attributes_and_the_events_stand_in_names() -> None:
    ours = {value for value in vars(names).values() if isinstance(value, str)}

    named = {key.removesuffix("<key>") for key in (*OWN, *span_table.EVENT)}

    assert named <= ours


def test_the_event_of_dropped_tags_has_the_attributes_of_the_page() -> None:
    receipt = a_receipt(violations=(("malformed", "x-tags"),))

    [event] = ScopeSpans.FromString(PLAIN.encode(receipt, BILL).encoded).spans[0].events

    assert {pair.key for pair in event.attributes} == set(span_table.EVENT)
