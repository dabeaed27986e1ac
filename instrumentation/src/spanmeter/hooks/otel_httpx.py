"""Spans of HTTP requests by opentelemetry-instrumentation-httpx, without what it gives away.

By itself it writes Gemini's `?key=` into the span's URL and OpenTelemetry's baggage into every
request (0.66b2). The key is masked here; of the baggage `httpx_hook` takes care, which therefore
has to be the outermost hook.
"""

import re
from importlib.util import find_spec
from typing import Any

from spanmeter.errors import InvalidSetting

_URLS = ("http.url", "url.full")
"""Before and since HTTP conventions became stable."""
_SECRET = re.compile(r"([?&](?:key|api[-_]?key|(?:access_)?token)=)[^&#]*", re.IGNORECASE)

_started: list[Any] = []


def require() -> None:
    """Raise `InvalidSetting` where the instrumentation is not installed."""
    if find_spec("opentelemetry.instrumentation") is None or (
        find_spec("opentelemetry.instrumentation.httpx") is None
    ):
        raise InvalidSetting(
            "http_spans=True needs opentelemetry-instrumentation-httpx: "
            'pip install "spanmeter[httpx]"'
        )


def start() -> None:
    """Instrument httpx and httpx2, where they are installed."""
    from opentelemetry.instrumentation import httpx  # noqa: PLC0415 - an extra

    for library, name in (("httpx", "HTTPXClient"), ("httpx2", "HTTPX2Client")):
        kind = getattr(httpx, f"{name}Instrumentor", None)
        if kind is None or find_spec(library) is None:
            continue
        instrumentor = kind()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(request_hook=_mask, async_request_hook=_mask_async)
            _started.append(instrumentor)


def stop() -> None:
    """Undo what `start` did."""
    while _started:
        _started.pop().uninstrument()


def _mask(span: Any, request: Any) -> None:
    attributes = getattr(span, "attributes", None) or {}  # a span that is not recorded has none
    for name in _URLS:
        if name in attributes:
            span.set_attribute(name, _SECRET.sub(r"\1REDACTED", attributes[name]))


async def _mask_async(span: Any, request: Any) -> None:
    _mask(span, request)
