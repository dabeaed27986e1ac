"""Receipts and bills of any shape that their types allow, for tests that hold for all of them."""

from hypothesis import strategies as st

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import Attempt, Receipt, Trace

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
        "conversation_id": _TEXT, "prompt_name": _TEXT, "prompt_version": _TEXT,
    },
)  # fmt: skip
_ATTEMPTS = st.builds(
    Attempt,
    span_id=_SPAN_ID,
    upstream=st.just("u"),
    provider=st.sampled_from(
        ["openai", "azure.ai.openai", "azure.ai.inference", "anthropic", "groq"]
    ),
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
    random=st.booleans(),
)
_PAIRS = st.lists(st.tuples(st.sampled_from(["env", "team"]), st.text(max_size=5)), max_size=3)
RECEIPTS = st.builds(
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
    response_status=st.sampled_from([None, None, "completed", "failed"]),
    finish_reasons=st.none() | st.lists(st.sampled_from(["stop", ""]), max_size=2).map(tuple),
    service_tier=_MAYBE_TEXT,
    system_fingerprint=_MAYBE_TEXT,
    usage=st.none() | st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, _COUNT)),
    key_id=_MAYBE_TEXT,
    rule=_MAYBE_TEXT,
    trace=_TRACES,
    attempts=st.lists(_ATTEMPTS, max_size=3).map(tuple),
)
BILLS = st.builds(
    Bill,
    cost_nanos=st.none()
    | st.lists(st.builds(ClassAmount, st.just("input"), st.integers(0, 10**15)), max_size=2).map(
        tuple
    ),
    source=st.sampled_from([None, "local", "provider"]),
    price_version=_MAYBE_TEXT,
)
