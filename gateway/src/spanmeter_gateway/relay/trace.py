"""Trace context of a call: read the caller's, choose our ids, decide sampling. Pure but for ids.

W3C Trace Context (www.w3.org/TR/trace-context) and the OpenTelemetry SDK's sampler variables
(opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
"""

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

from spanmeter_gateway.receipt import Trace

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_STATE_LIMIT_BYTES = 512
_RANDOM = random.SystemRandom()
_ids = random.Random(_RANDOM.getrandbits(256))


class Ids(NamedTuple):
    """The ids of one call.

    Hex digits as W3C writes them; all zeros would be invalid, and will not come in our time.
    """

    call_id: str
    trace_id: str
    server_span_id: str
    attempt_span_id: str


class _Drawer:
    """Draws the ids of many calls at once: most of a draw is in making it, not in its length."""

    def __init__(self) -> None:
        self._drawn = ""
        self._at = 0

    def draw(self) -> Ids:
        at = self._at
        if at == len(self._drawn):
            self._drawn = f"{_ids.getrandbits(_DRAWN_CALLS * 384):0{_DRAWN_CALLS * 96}x}"
            at = 0
        self._at = at + 96
        drawn = self._drawn
        return Ids(
            drawn[at : at + 32],
            drawn[at + 32 : at + 64],
            drawn[at + 64 : at + 80],
            drawn[at + 80 : at + 96],
        )


_DRAWN_CALLS = 64
new_ids = _Drawer().draw
"""Draw the ids of a call."""


class Sampler:
    """The standard samplers, as a pure function of trace id and parent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
        self._follows_parent = name.startswith("parentbased_")
        root = name.removeprefix("parentbased_")
        ratio = 1.0
        if root == "always_off":
            ratio = 0.0
        elif root == "traceidratio":
            ratio = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
        self._bound = round(ratio * (1 << 64))
        self._takes_all = ratio >= 1.0

    def sample(self, trace_id: str, parent_sampled: bool | None) -> bool:  # noqa: FBT001 - a fact
        """Decide; `parent_sampled` is `None` for a call without a parent."""
        if self._follows_parent and parent_sampled is not None:
            return parent_sampled
        if self._takes_all:
            return True
        # The low 64 bits against a bound, as the SDK's TraceIdRatioBased does.
        return int(trace_id[16:], 16) < self._bound


def begin_trace(
    ids: Ids, sampler: Sampler, *, traceparent: bytes | None, tracestate: bytes | None
) -> Trace:
    """Start the SERVER span's context, as the caller's child where the caller sent a context."""
    match = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent is not None else None
    if match is None or match[1] == b"ff" or not int(match[2], 16) or not int(match[3], 16):
        return Trace(
            trace_id=ids.trace_id,
            span_id=ids.server_span_id,
            sampled=sampler.sample(ids.trace_id, None),
        )
    trace_id = match[2].decode()
    state = None
    if tracestate is not None and len(tracestate) <= _STATE_LIMIT_BYTES and tracestate.isascii():
        state = tracestate.decode("ascii")
    return Trace(
        trace_id=trace_id,
        span_id=ids.server_span_id,
        parent_id=match[3].decode(),
        state=state,
        sampled=sampler.sample(trace_id, bool(int(match[4], 16) & _SAMPLED)),
    )


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        return 1.0
    return min(max(ratio, 0.0), 1.0)
