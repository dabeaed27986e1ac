"""How a call of the gateway ended, beside what `spanmeter.outcome` says of any answer. Pure."""

from spanmeter.outcome import Verdict
from spanmeter_gateway.errors import GatewayError, UpstreamError

STALLED = Verdict("cancelled", "client_stalled", "caller")
"""The caller keeps the connection but does not read."""
BROKE = Verdict("gateway_error", "internal_error", "gateway")
SHUTDOWN = Verdict("gateway_error", "shutdown", "gateway")


def judge_error(error: GatewayError, error_type: str | None = None) -> Verdict:
    """Judge a call that we answered ourselves; `error_type` is finer than the error's code."""
    slug = error_type or error.code
    if isinstance(error, UpstreamError):
        return Verdict("provider_error", slug, "provider")
    if error.status >= 500:
        return Verdict("gateway_error", slug, "gateway")
    if error.status in (401, 402, 403, 429):
        return Verdict("policy_denied", slug, "gateway")
    return Verdict("caller_error", slug, "caller")
