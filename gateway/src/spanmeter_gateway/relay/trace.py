"""Trace context of a call: read the caller's, choose our ids, decide sampling. Pure but for ids.

W3C Trace Context (www.w3.org/TR/trace-context) and the OpenTelemetry SDK's sampler variables
(opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
"""

import random
import re
from collections.abc import Mapping

from spanmeter_gateway.errors import ConfigError, ConfigProblem
from spanmeter_gateway.receipt import Trace

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_RANDOM_ID = 0x02
_MEMBER = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
"""A member of `tracestate`, its key first (level 2, section "List-members")."""
_MEMBERS = 32
_LARGEST_STATE_BYTES = _MEMBERS * 514
"""Of 32 members, each of the largest key and value; no more is looked at."""
_STATE_BYTES = 512
"""What is kept: as much as every participant must pass on (section "tracestate Limits")."""
_LARGE_MEMBER_BYTES = 128
"""Members over it are the first to go (same section)."""
_SAMPLER, _SAMPLER_ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_ROOTS = ("always_on", "always_off", "traceidratio")
_SAMPLERS = (*_ROOTS, *(f"parentbased_{root}" for root in _ROOTS))
_RANDOM = random.SystemRandom()
_ids = random.Random(_RANDOM.getrandbits(256))


class Ids:
    """The ids of one call.

    Hex digits as W3C writes them; all zeros would be invalid, and will not come in our time.
    """

    __slots__ = ("attempt_span_id", "call_id", "server_span_id", "trace_id")

    def __init__(
        self, *, call_id: str, trace_id: str, server_span_id: str, attempt_span_id: str
    ) -> None:
        self.call_id = call_id
        self.trace_id = trace_id
        self.server_span_id = server_span_id
        self.attempt_span_id = attempt_span_id


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
            call_id=drawn[at : at + 32],
            trace_id=drawn[at + 32 : at + 64],
            server_span_id=drawn[at + 64 : at + 80],
            attempt_span_id=drawn[at + 80 : at + 96],
        )


_DRAWN_CALLS = 64
new_ids = _Drawer().draw
"""Draw the ids of a call."""


class Sampler:
    """The standard samplers, as a pure function of trace id and parent.

    Raises `ConfigError` for a sampler that is none of them, and for a ratio that is none: to take
    every trace instead, as an SDK does, would be a surprise on somebody's bill.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get(_SAMPLER, "").strip().lower() or "parentbased_always_on"
        if name not in _SAMPLERS:
            raise _wrong(_SAMPLER, f"{name!r} is no sampler: use {', '.join(_SAMPLERS)}")
        self._follows_parent = name.startswith("parentbased_")
        root = name.removeprefix("parentbased_")
        ratio = 0.0 if root == "always_off" else 1.0
        if root == "traceidratio":
            ratio = _ratio(environ.get(_SAMPLER_ARG, "").strip() or "1")
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
    if match is None or not _is_usable(match):
        return Trace(
            trace_id=ids.trace_id,
            span_id=ids.server_span_id,
            sampled=sampler.sample(ids.trace_id, None),
            random=True,
        )
    trace_id = match[2].decode()
    flags = int(match[4], 16)
    return Trace(
        trace_id=trace_id,
        span_id=ids.server_span_id,
        parent_id=match[3].decode(),
        state=read_state(tracestate) if tracestate is not None else None,
        sampled=sampler.sample(trace_id, bool(flags & _SAMPLED)),
        random=bool(flags & _RANDOM_ID),
    )


def read_state(tracestate: bytes) -> str | None:
    """Read the lines of `tracestate`, joined by commas; one malformed member spoils all.

    Of two members with one key the first is kept. Over 512 characters whole members are left out:
    those over 128 characters first, then from the end.
    """
    pieces = tracestate.split(b",") if len(tracestate) <= _LARGEST_STATE_BYTES else []
    found = [member for piece in pieces if (member := piece.strip(b" \t"))]
    if len(found) > _MEMBERS or not all(map(_MEMBER.fullmatch, found)):
        return None
    by_key: dict[bytes, bytes] = {}
    for member in found:
        by_key.setdefault(member.partition(b"=")[0], member)
    return _fitted(list(by_key.values())).decode("ascii") or None


def _fitted(members: list[bytes]) -> bytes:
    while len(state := b",".join(members)) > _STATE_BYTES:
        places = range(len(members) - 1, -1, -1)
        large = (at for at in places if len(members[at]) > _LARGE_MEMBER_BYTES)
        del members[next(large, -1)]
    return state


def _is_usable(match: re.Match[bytes]) -> bool:
    version, trace_id, parent_id = match[1], match[2], match[3]
    if version == b"ff" or (version == b"00" and match[5] is not None):
        return False
    return trace_id.strip(b"0") != b"" and parent_id.strip(b"0") != b""


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise _wrong(_SAMPLER_ARG, f"{text!r} is no ratio: use a number from 0 to 1, such as 0.25")
    return ratio


def _wrong(variable: str, problem: str) -> ConfigError:
    return ConfigError([ConfigProblem("environment", variable, problem)])
