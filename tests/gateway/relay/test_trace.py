"""The caller's trace context, and the standard samplers."""

import re

import pytest

from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.trace import Sampler, begin_trace, new_ids

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01".encode()
ALWAYS = Sampler({})


def begin(traceparent: bytes | None) -> Trace:
    return begin_trace(new_ids(), ALWAYS, traceparent=traceparent, tracestate=b"vendor=1")


def test_ids_are_hex_of_the_right_length_and_differ() -> None:
    ids = new_ids()

    assert [len(one) for one in ids] == [32, 32, 16, 16]
    assert all(re.fullmatch("[0-9a-f]+", one) for one in ids)
    assert len({*ids, *new_ids()}) == 8


def test_a_caller_with_a_context_becomes_the_parent() -> None:
    trace = begin(TRACEPARENT)

    assert (trace.trace_id, trace.parent_id, trace.state) == (TRACE_ID, PARENT_ID, "vendor=1")
    assert trace.sampled


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        b"",
        b"nonsense",
        f"ff-{TRACE_ID}-{PARENT_ID}-01".encode(),
        f"00-{'0' * 32}-{PARENT_ID}-01".encode(),
        f"00-{TRACE_ID}-{'0' * 16}-01".encode(),
        f"00-{TRACE_ID.upper()}-{PARENT_ID}-01".encode(),
    ],
)
def test_an_unusable_context_starts_a_trace_of_our_own(traceparent: bytes | None) -> None:
    trace = begin(traceparent)

    assert trace.parent_id is None
    assert trace.state is None
    assert trace.trace_id != TRACE_ID


@pytest.mark.parametrize(
    ("name", "argument", "parent", "sampled"),
    [
        ("", "", None, True),
        ("", "", False, False),
        ("always_on", "", False, True),
        ("always_off", "", True, False),
        ("parentbased_always_off", "", None, False),
        ("parentbased_always_off", "", True, True),
        ("traceidratio", "0", True, False),
        ("traceidratio", "1", False, True),
        ("parentbased_traceidratio", "0.0", None, False),
        ("parentbased_traceidratio", "not a number", None, True),
    ],
)
def test_the_standard_samplers_decide(
    name: str,
    argument: str,
    parent: bool | None,  # noqa: FBT001 - a table's column
    sampled: bool,  # noqa: FBT001 - a table's column
) -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})

    assert sampler.sample(TRACE_ID, parent) is sampled


def test_a_ratio_depends_on_the_trace_id_alone_and_holds_on_average() -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    ids = [new_ids().trace_id for _ in range(4000)]

    kept = [one for one in ids if sampler.sample(one, None)]

    assert 800 < len(kept) < 1200
    assert all(sampler.sample(one, None) for one in kept)
