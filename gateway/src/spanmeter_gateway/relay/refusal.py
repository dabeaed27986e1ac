"""Answers of our own, written in the shape that the caller's SDK expects of its provider."""

from http import HTTPStatus

import msgspec

from spanmeter.dialects.dialect import Family
from spanmeter_gateway.errors import BodyTooLarge, GatewayBusy, GatewayError

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""docs.anthropic.com/en/api/errors; every other status is an `api_error`."""

_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""cloud.google.com/apis/design/errors, google.rpc.Code."""


def error_body(error: GatewayError, family: Family) -> bytes:
    """Write the error as JSON in the family's shape; the code is always in it."""
    if family == "anthropic":
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        return msgspec.json.encode(
            {
                "type": "error",
                "error": {"type": kind, "message": error.message, "code": error.code},
            }
        )
    if family == "gemini":
        return msgspec.json.encode(
            {
                "error": {
                    "code": error.status,
                    "message": error.message,
                    "status": _GEMINI_STATUSES.get(error.status, "INTERNAL"),
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                            "reason": error.code.upper(),
                            "domain": "spanmeter",
                        }
                    ],
                }
            }
        )
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.type,
                "param": error.param,
                "code": error.code,
            }
        }
    )


def body_too_large(limit_bytes: int) -> BodyTooLarge:
    """Say how large a body may be."""
    return BodyTooLarge(
        f"the request body is over the limit of {limit_bytes} bytes: send less, or raise "
        "limits.body_bytes in the gateway's configuration"
    )


def too_many_bodies() -> GatewayBusy:
    """Say that the memory for waiting bodies is full."""
    return GatewayBusy(
        "this gateway holds too many request bodies: try again soon, or raise "
        "limits.held_body_bytes in the gateway's configuration"
    )


def plain_answer(
    status: int, body: bytes, *, keep_alive: bool, content_type: bytes = b"application/json"
) -> bytes:
    """Write a whole answer with a body of known length."""
    parts = [
        b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode()),
        b"content-type: %s\r\ncontent-length: %d\r\n" % (content_type, len(body)),
    ]
    if status == 503:
        parts.append(b"retry-after: 1\r\n")
    elif status == 405:
        parts.append(b"allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n")
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    parts.append(b"\r\n")
    parts.append(body)
    return b"".join(parts)


def refused_request(status: int, message: bytes) -> bytes:
    """Write the answer to what is no request that could become a call; then the connection ends."""
    body = (
        b'{"error":{"message":"%b","type":"invalid_request_error","param":null,'
        b'"code":"malformed_http"}}' % message
    )
    return plain_answer(status, body, keep_alive=False)
