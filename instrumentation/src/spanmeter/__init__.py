"""Attribution and metering of LLM calls: which feature a call serves, and what its answer used.

`spanmeter.dialects` reads the wire shapes of the providers. Nothing here does any I/O.
"""

from spanmeter.attribution import Attribution, AttributionRules
from spanmeter.errors import InvalidAttribution, SpanmeterError, UnreadableBody
from spanmeter.usage import Usage

__all__ = [
    "Attribution",
    "AttributionRules",
    "InvalidAttribution",
    "SpanmeterError",
    "UnreadableBody",
    "Usage",
]
