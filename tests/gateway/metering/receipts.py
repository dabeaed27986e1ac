"""Receipts for the tests of metering: one call with what a test needs to say about it."""

from datetime import datetime
from typing import Any

from spanmeter.usage import Usage
from spanmeter_gateway.receipt import Receipt, Trace

WEDNESDAY_NOON = "2026-11-18T12:00:00+00:00"


def nanoseconds(moment: str) -> int:
    """Turn an ISO 8601 moment into nanoseconds since the epoch."""
    return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000_000


def receipt(
    provider: str | None,
    model: str | None,
    usage: Usage | None,
    *,
    at: str = WEDNESDAY_NOON,
    **fields: Any,
) -> Receipt:
    """Build the receipt of a call; `model` was asked for and answered, unless fields differ."""
    stated = {"request_model": model, "response_model": model, "operation": "chat", **fields}
    return Receipt(
        call_id="0" * 32,
        started_at_ns=nanoseconds(at),
        duration_ns=1,
        outcome=stated.pop("outcome", "ok"),
        provider=provider,
        usage=usage,
        trace=Trace(trace_id="0" * 32, span_id="0" * 16),
        **stated,
    )
