"""Pretend failures: what each provider answers when it is busy, broken or asked too much.

The caller chooses one with the header `X-Pretend`, so that a demonstration has its failures where
it wants them and a test has them exactly.
"""

from typing import Any

from spanmeter.dialects.dialect import Family

MID_STREAM = frozenset({"cut", "event"})
"""`cut`: the connection ends within the answer; `event`: an error event ends the stream."""
_OPENAI = {
    400: ("invalid_request_error", "context_length_exceeded"),
    401: ("invalid_request_error", "invalid_api_key"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def error(family: Family, status: int) -> dict[str, Any]:
    """Write an error in the provider's shape."""
    if family == "anthropic":
        kind = _ANTHROPIC.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": "Pretended."}}
    if family == "gemini":
        name = _GEMINI.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": "Pretended.", "status": name}}
    kind, code = _OPENAI.get(status, ("server_error", None))
    return {"error": {"message": "Pretended.", "type": kind, "param": None, "code": code}}
