"""OpenTelemetry's current baggage, where its own instrumentation of httpx would send it along.

That writes all baggage to every host, over what the request has: names and numbers of users to a
provider (docs of opentelemetry-instrumentation-httpx 0.66b2, and its source).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def is_sent() -> bool:
    """Say whether that instrumentation can be there and has baggage to send."""
    baggage = sys.modules.get("opentelemetry.baggage")
    return (
        baggage is not None
        and "opentelemetry.instrumentation.httpx" in sys.modules
        and bool(baggage.get_all())
    )


def line() -> str:
    """Write it as a header."""
    from opentelemetry.baggage.propagation import W3CBaggagePropagator  # noqa: PLC0415 - is_sent

    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier)
    return carrier.get("baggage", "")


@contextmanager
def held() -> Iterator[None]:
    """Have none in the block."""
    from opentelemetry import baggage, context  # noqa: PLC0415 - only after `is_sent`

    token = context.attach(baggage.clear())
    try:
        yield
    finally:
        context.detach(token)
