"""Receipts and bills to test the telemetry with."""

from typing import Any

from spanmeter.usage import Usage
from spanmeter_gateway.bill import Bill, ClassAmount
from spanmeter_gateway.receipt import Attempt, Receipt, Trace

START_NS = 1_790_000_000_000_000_000
TRACE = Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
ATTEMPT_SPAN = "00f067aa0ba902b7"


def an_attempt(**changes: Any) -> Attempt:
    """Return a good attempt at OpenAI."""
    fields: dict[str, Any] = {
        "span_id": ATTEMPT_SPAN, "upstream": "openai", "provider": "openai",
        "started_at_ns": START_NS + 1_000_000, "duration_ns": 1_400_000_000,
        "model": "gpt-4o-mini", "server_address": "api.openai.com", "server_port": 443,
        "status": 200,
    }  # fmt: skip
    return Attempt(**fields | changes)


def a_receipt(**changes: Any) -> Receipt:
    """Return the receipt of a good chat call of one attempt."""
    fields: dict[str, Any] = {
        "call_id": "c" * 32, "started_at_ns": START_NS, "duration_ns": 1_500_000_000,
        "outcome": "ok", "feature": "checkout", "route": "/v1/chat/completions",
        "http_status": 200, "listen_address": "127.0.0.1", "listen_port": 8080,
        "dialect": "openai_chat", "operation": "chat", "api_type": "chat_completions",
        "provider": "openai", "upstream": "openai", "request_model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18", "response_id": "chatcmpl-1",
        "finish_reasons": ("stop",), "usage": Usage(input_tokens=100, output_tokens=20),
        "trace": TRACE, "attempts": (an_attempt(),),
    }  # fmt: skip
    return Receipt(**fields | changes)


def a_denial(**changes: Any) -> Receipt:
    """Return the receipt of a call that reached no upstream."""
    fields: dict[str, Any] = {
        "call_id": "d" * 32, "started_at_ns": START_NS, "duration_ns": 2_000_000,
        "outcome": "policy_denied", "error_type": "budget_exceeded", "error_source": "gateway",
        "feature": "checkout", "route": "/v1/chat/completions", "http_status": 402,
        "listen_address": "127.0.0.1", "listen_port": 8080, "operation": "chat",
        "request_model": "gpt-4o-mini", "trace": TRACE,
    }  # fmt: skip
    return Receipt(**fields | changes)


BILL = Bill(
    tokens=(ClassAmount("input", 100), ClassAmount("output", 20)),
    cost_nanos=(ClassAmount("input", 15_000), ClassAmount("output", 12_000)),
    source="local",
    price_version="genai-prices 0.2.3",
)
NO_BILL = Bill()
