"""Attribution and metering of LLM calls: which feature a call serves, and what its answer used.

An application names its features with `feature`, `task` and `tags`, and calls `instrument` once.
Importing this loads neither a library nor OpenTelemetry. `spanmeter.attribution` and
`spanmeter.dialects` are for whoever meters calls: the gateway, and `instrument(direct=True)`.
"""

from spanmeter.context import carrying, current, feature, set_default, tags, task
from spanmeter.errors import InvalidAttribution, InvalidSetting, SpanmeterError, UnreadableBody
from spanmeter.grammar import Attribution
from spanmeter.propagation import inject, received

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
    "received",
    "set_default",
    "tags",
    "task",
]
