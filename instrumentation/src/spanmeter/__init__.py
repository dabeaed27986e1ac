"""Attribution and metering of LLM calls: which feature a call serves, and what its answer used.

An application names its features with `feature`, `task` and `tags`, and calls `instrument` once.
Importing this loads neither a library nor OpenTelemetry; what hooks libraries is loaded on use.
`spanmeter.attribution` and `spanmeter.dialects` are for whoever meters calls: the gateway, and
`instrument(direct=True)`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spanmeter.context import carrying, current, feature, set_default, tags, task
from spanmeter.errors import InvalidAttribution, InvalidSetting, SpanmeterError, UnreadableBody
from spanmeter.grammar import Attribution
from spanmeter.propagation import inject, received

if TYPE_CHECKING:
    from spanmeter.instrumenting import (
        instrument,
        instrument_aiohttp,
        instrument_httpx,
        instrument_requests,
        uninstrument,
    )

__all__ = [
    "Attribution",
    "InvalidAttribution",
    "InvalidSetting",
    "SpanmeterError",
    "UnreadableBody",
    "carrying",
    "current",
    "feature",
    "inject",
    "instrument",
    "instrument_aiohttp",
    "instrument_httpx",
    "instrument_requests",
    "received",
    "set_default",
    "tags",
    "task",
    "uninstrument",
]


def __getattr__(name: str) -> Any:
    """Load what hooks libraries when it is asked for (PEP 562)."""
    if name in __all__:
        return getattr(import_module("spanmeter.instrumenting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
