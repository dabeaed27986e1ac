"""W3C trace context and baggage, against OpenTelemetry's own readers.

An input is three lines: `traceparent`, `tracestate`, `baggage`.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fuzz.draw import Draw
from fuzz.target import Target
from spanmeter.attribution_sources import header_text
from spanmeter.baggage import baggage_pairs
from spanmeter.grammar import cleaned
from spanmeter_gateway.relay.request import write_trace_headers
from spanmeter_gateway.relay.trace import Ids, Sampler, begin_trace, read_state

IDS = Ids(call_id="c" * 32, trace_id="1" * 32, server_span_id="2" * 16, attempt_span_id="3" * 16)
SAMPLERS = tuple(
    Sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.5"})
    for name in ("parentbased_always_on", "always_off", "traceidratio", "parentbased_traceidratio")
)
HEX = re.compile(r"[0-9a-f]{32}")
KEPT_STATE = 512
WRITTEN = re.compile(
    rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]\r\n(?:tracestate: [ -~]{1,512}\r\n)?"
)


def check(raw: bytes) -> None:
    """Begin a trace, and read the baggage beside it."""
    draw = Draw(raw)
    sampler = draw.one_of(SAMPLERS)
    parent, state, baggage = [*draw.rest.split(b"\n"), b"", b""][:3]

    trace = begin_trace(IDS, sampler, traceparent=parent, tracestate=state)

    assert HEX.fullmatch(trace.trace_id)
    assert trace.span_id == IDS.server_span_id
    assert (trace.parent_id is None) == (trace.trace_id == IDS.trace_id)
    assert WRITTEN.fullmatch(write_trace_headers(trace, IDS.attempt_span_id))
    _check_state(state)
    _check_parent(parent, trace.trace_id, trace.parent_id)
    _check_baggage(baggage)


def _check_state(raw: bytes) -> None:
    state = read_state(raw)
    assert state is None or 0 < len(state) <= KEPT_STATE
    assert state is None or read_state(state.encode()) == state, "what was kept is read otherwise"


def _check_parent(raw: bytes, trace_id: str, parent_id: str | None) -> None:
    carrier = {"traceparent": raw.strip().decode("latin-1")}
    context = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    if context.is_valid and parent_id is not None:
        assert (context.trace_id, context.span_id) == (int(trace_id, 16), int(parent_id, 16))
    else:
        assert (context.is_valid, parent_id) == (False, None), "OpenTelemetry sees it otherwise"


def _check_baggage(raw: bytes) -> None:
    pairs = baggage_pairs([header_text(raw)])
    for name, value in pairs:
        assert value == cleaned(value)
        assert not {",", ";"} & set(name)
    members = [f"spanmeter.tag.k{place}={quote(value)}" for place, (_, value) in enumerate(pairs)]
    again = baggage_pairs([",".join(members)])
    assert [value for _, value in again] == [value for _, value in pairs]


def _seeds() -> Iterator[bytes]:
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    yield b"\0" + parent + b"\nrojo=00f067aa0ba902b7,congo=t61rcWkgMzE\nspanmeter.feature=a%20b"
    yield b"\1" + parent + b"-later\n" + b",".join(b"k%d=v" % place for place in range(33))
    yield b"\2cc" + parent[2:] + b"\na@b=" + b"x" * 256 + b"\nspanmeter.tag.env = prod ;p=1,x=y"
    yield b"\3" + parent[:-2] + b"00\n" + b",".join(b"key%d=%b" % (n, b"v" * 130) for n in range(6))


TARGET = Target(
    name="contexts",
    check=check,
    seeds=_seeds,
    words=(
        *(b"00-", b"ff-", b"-01", b"-00", b"0" * 32, b"0" * 16, b"\n", b",", b"=", b";", b"\t"),
        *(b"spanmeter.feature=", b"spanmeter.tag.env=", b"%20", b"%C3%A9", b"%ff", b"%0d%0a"),
    ),
    max_bytes=2048,
)
