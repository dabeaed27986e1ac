"""The caller's trace context, and the standard samplers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from spanmeter_gateway.errors import ConfigError
from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.trace import Sampler, begin_trace, new_ids, read_state

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01".encode()
ALWAYS = Sampler({})


def begin(traceparent: bytes | None) -> Trace:
    return begin_trace(new_ids(), ALWAYS, traceparent=traceparent, tracestate=b"vendor=1")


def test_ids_are_hex_of_the_right_length_and_differ() -> None:
    first, second = new_ids(), new_ids()

    drawn = [
        text
        for ids in (first, second)
        for text in (ids.call_id, ids.trace_id, ids.server_span_id, ids.attempt_span_id)
    ]
    assert [len(text) for text in drawn] == [32, 32, 16, 16] * 2
    assert all(re.fullmatch("[0-9a-f]+", text) for text in drawn)
    assert len(set(drawn)) == 8


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
        TRACEPARENT + b"-later",
        TRACEPARENT + b"," + TRACEPARENT,
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
        ("traceidratio", "", None, True),
        ("parentbased_traceidratio", "0.0", None, False),
        (" ParentBased_Always_Off ", "0,5", None, False),
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


@pytest.mark.parametrize(
    ("name", "argument", "told"),
    [
        (
            "always",
            "",
            "environment: OTEL_TRACES_SAMPLER: 'always' is no sampler: use always_on, always_off, "
            "traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
        ),
        *(
            (
                "traceidratio",
                argument,
                f"environment: OTEL_TRACES_SAMPLER_ARG: '{argument}' is no ratio: use a number "
                "from 0 to 1, such as 0.25",
            )
            for argument in ("0,5", "half", "-0.1", "1.5", "nan", "inf")
        ),
    ],
)
def test_a_sampler_that_does_not_exist_ends_the_start(name: str, argument: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})

    assert str(caught.value) == told


SDK_SAMPLERS = {
    "always_on": lambda _: sampling.ALWAYS_ON,
    "always_off": lambda _: sampling.ALWAYS_OFF,
    "traceidratio": sampling.TraceIdRatioBased,
    "parentbased_always_on": lambda _: sampling.ParentBased(sampling.ALWAYS_ON),
    "parentbased_always_off": lambda _: sampling.ParentBased(sampling.ALWAYS_OFF),
    "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio,
}


@given(
    name=st.sampled_from(sorted(SDK_SAMPLERS)),
    ratio=st.sampled_from([0.0, 1.0, 0.5, 0.25, 1e-9]) | st.floats(0, 1),
    trace_id=st.integers(1, 2**128 - 1) | st.integers(1, 2**64 - 1),
    parent=st.none() | st.booleans(),
)
def test_every_decision_is_that_of_the_sdk(
    name: str,
    ratio: float,
    trace_id: int,
    parent: bool | None,  # noqa: FBT001 - drawn
) -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": str(ratio)})
    remote = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(parent or 0))
    around = set_span_in_context(NonRecordingSpan(remote), context.Context())
    within = context.Context() if parent is None else around

    decided = SDK_SAMPLERS[name](ratio).should_sample(within, trace_id, "POST")

    assert sampler.sample(f"{trace_id:032x}", parent) is decided.decision.is_sampled()


@pytest.mark.parametrize(
    ("flags", "sampled", "random"),
    [("00", False, False), ("01", True, False), ("02", False, True), ("ff", True, True)],
)
def test_the_callers_flags_are_kept_where_they_are_known(
    flags: str,
    sampled: bool,  # noqa: FBT001 - a table's column
    random: bool,  # noqa: FBT001 - a table's column
) -> None:
    trace = begin(f"00-{TRACE_ID}-{PARENT_ID}-{flags}".encode())

    assert (trace.sampled, trace.random) == (sampled, random)


def test_a_trace_id_of_our_own_is_random() -> None:
    assert begin(None).random


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = begin(f"01-{TRACE_ID}-{PARENT_ID}-01-what-comes-later".encode())

    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE_ID, PARENT_ID, True)


LARGE = "l=" + "v" * 127
MEMBERS = [f"k{number}={'v' * 20}" for number in range(32)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb=2,, c=3,", "a=1,b=2,c=3"),
        ("0-_*/@=1", "0-_*/@=1"),
        ("fw529a3039@dt=FfAAAA", "fw529a3039@dt=FfAAAA"),
        ("a= inside !~", "a= inside !~"),
        *((f"{'k' * key}={'v' * (511 - key)}",) * 2 for key in (255, 256)),
        (f"{'k' * 256}={'v' * 256}", None),
        ("a=1,a=2,b=3", "a=1,b=3"),
        ("", None),
        (",", None),
        ("a", None),
        ("a=", None),
        ("=1", None),
        ("A=1", None),
        ("a =1", None),
        ("a.b=1", None),
        ("a=b=c", None),
        ("a=caf\xe9", None),
        ("a=1,b", None),
        (f"a={'v' * 257}", None),
        (f"{'k' * 257}=v", None),
        (",".join(f"k{number}=v" for number in range(33)), None),
        (",".join(["a=1"] * 20_000), None),
    ],
)
def test_the_callers_state_is_kept_where_it_is_well_formed(sent: str, kept: str | None) -> None:
    assert read_state(sent.encode("latin-1")) == kept


def test_of_a_long_state_whole_members_go_the_large_ones_first_then_the_last() -> None:
    state = read_state(",".join([LARGE, *MEMBERS[:31]]).encode())

    assert state == ",".join(MEMBERS[:20])


def test_a_ratio_depends_on_the_trace_id_alone_and_holds_on_average() -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    ids = [new_ids().trace_id for _ in range(4000)]

    kept = [one for one in ids if sampler.sample(one, None)]

    assert 800 < len(kept) < 1200
    assert all(sampler.sample(one, None) for one in kept)
