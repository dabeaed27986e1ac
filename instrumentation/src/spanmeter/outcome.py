"""How a call ended: outcome, error type and whose fault, from what was seen of it. Pure.

The table is in ARCHITECTURE.md: a provider's own 401 is the caller's fault when the credential is
the caller's, and ours when we hold it.
"""

import re
from typing import Literal, NamedTuple

from spanmeter.dialects.dialect import ResponseFacts

Outcome = Literal[
    "ok", "caller_error", "policy_denied", "provider_error", "gateway_error", "cancelled"
]
KNOWN_CODES = frozenset(
    (
        # platform.openai.com/docs/guides/error-codes and the codes in the recordings
        *("invalid_api_key", "insufficient_quota", "rate_limit_exceeded", "model_not_found"),
        *("context_length_exceeded", "content_filter", "content_policy_violation"),
        *("invalid_request_error", "invalid_image_url", "unsupported_parameter"),
        *("unsupported_value", "invalid_type", "missing_required_parameter", "server_error"),
        *("string_above_max_length", "billing_hard_limit_reached", "tokens_exceeded"),
        *("unknown_parameter", "invalid_value", "integer_below_min_value", "invalid_prompt"),
        *(
            "integer_above_max_value",
            "decimal_above_max_value",
            "unsupported_country_region_territory",
        ),
        *("invalid_organization", "account_deactivated", "tool_use_failed", "json_validate_failed"),
        # docs.anthropic.com/en/api/errors
        *("authentication_error", "billing_error", "permission_error", "not_found_error"),
        *("request_too_large", "rate_limit_error", "api_error", "timeout_error"),
        "overloaded_error",
        # learn.microsoft.com/azure/ai-services/openai/reference
        *("DeploymentNotFound", "OperationNotSupported", "AccessDenied", "BadRequest"),
        *("NoCapacity", "InternalServerError", "ResourceNotFound"),
        # google.rpc.Code
        *("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNAUTHENTICATED"),
        *("PERMISSION_DENIED", "NOT_FOUND", "ABORTED", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED"),
        *("CANCELLED", "DATA_LOSS", "UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "UNAVAILABLE"),
        "DEADLINE_EXCEEDED",
    )
)
"""Provider codes that may become an `error_type`: a closed list, so that no prose and no free text
of a provider becomes a label."""

_STATUS = re.compile("[45][0-9]{2}")
"""Some providers' codes are HTTP statuses: one of an error is as good as a word."""

ErrorSource = Literal["caller", "gateway", "provider"]


class Verdict(NamedTuple):
    """The end of a call."""

    outcome: Outcome
    error_type: str | None = None
    source: ErrorSource | None = None


OK = Verdict("ok")
CANCELLED = Verdict("cancelled", "client_disconnected", "caller")
INTERRUPTED = Verdict("provider_error", "stream_interrupted", "provider")
TIMED_OUT = Verdict("provider_error", "timeout", "provider")


def judge_answer(status: int, facts: ResponseFacts, *, is_credential_held: bool) -> Verdict:
    """Judge a complete answer by its status and by what its body or its stream said."""
    if 200 <= status < 300:
        if not facts.is_error:
            return OK
        return Verdict("provider_error", _error_type(facts, fallback="_OTHER"), "provider")
    error_type = _error_type(facts, fallback=str(status))
    if status in (401, 402, 403) and is_credential_held:
        return Verdict("gateway_error", error_type, "gateway")
    if status in (408, 429) or status >= 500 or status < 400:
        return Verdict("provider_error", error_type, "provider")
    return Verdict("caller_error", error_type, "caller")


def judge_early_end(verdict: Verdict, status: int, facts: ResponseFacts) -> Verdict:
    """Judge an answer that ended before it was complete, but had said that it is an error.

    In a stream the error comes first: SDKs leave as soon as they have read its event.
    """
    if verdict is INTERRUPTED or (verdict is CANCELLED and status < 400):
        return judge_answer(200, facts, is_credential_held=False)
    return verdict


def _error_type(facts: ResponseFacts, *, fallback: str) -> str:
    code = facts.error_type
    if code is None:
        return fallback
    if code in KNOWN_CODES or _STATUS.fullmatch(code):
        return code
    return fallback
