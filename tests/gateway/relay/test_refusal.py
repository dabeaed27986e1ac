"""Our own answers, in the shape that each family's SDK reads."""

import json
from typing import Any

import pytest

from spanmeter.dialects.dialect import Family
from spanmeter_gateway.errors import (
    BodyTooLarge,
    GatewayBusy,
    GatewayError,
    InvalidProvider,
    MalformedBody,
    UnknownPath,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from spanmeter_gateway.relay.refusal import error_body, plain_answer

SAY = "what to do"
MALFORMED = MalformedBody(SAY, param="model")


@pytest.mark.parametrize(
    ("error", "family", "shape"),
    [
        (
            MALFORMED,
            "openai",
            {
                "error": {
                    "message": SAY,
                    "type": "invalid_request_error",
                    "param": "model",
                    "code": "invalid_request",
                }
            },
        ),
        (
            UpstreamTimeout(SAY, upstream="u"),
            "openai",
            {
                "error": {
                    "message": SAY,
                    "type": "api_error",
                    "param": None,
                    "code": "provider_timeout",
                }
            },
        ),
        (
            MALFORMED,
            "anthropic",
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": SAY,
                    "code": "invalid_request",
                },
            },
        ),
        (
            MALFORMED,
            "gemini",
            {
                "error": {
                    "code": 400,
                    "message": SAY,
                    "status": "INVALID_ARGUMENT",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                            "reason": "INVALID_REQUEST",
                            "domain": "spanmeter",
                        }
                    ],
                }
            },
        ),
    ],
)
def test_an_error_has_the_shape_of_the_family(
    error: GatewayError, family: Family, shape: dict[str, Any]
) -> None:
    assert json.loads(error_body(error, family)) == shape


@pytest.mark.parametrize(
    ("error", "anthropic", "gemini"),
    [
        (InvalidProvider(""), "invalid_request_error", "INVALID_ARGUMENT"),
        (UnknownPath(""), "not_found_error", "NOT_FOUND"),
        (BodyTooLarge(""), "request_too_large", "INVALID_ARGUMENT"),
        (GatewayError(""), "api_error", "INTERNAL"),
        (UpstreamBroken("", upstream="u"), "api_error", "UNAVAILABLE"),
        (UpstreamUnreachable("", upstream="u"), "overloaded_error", "UNAVAILABLE"),
        (GatewayBusy(""), "overloaded_error", "UNAVAILABLE"),
        (UpstreamTimeout("", upstream="u"), "timeout_error", "DEADLINE_EXCEEDED"),
    ],
)
def test_each_family_gets_its_own_word_for_a_status(
    error: GatewayError, anthropic: str, gemini: str
) -> None:
    said = json.loads(error_body(error, "anthropic")), json.loads(error_body(error, "gemini"))

    assert (said[0]["error"]["type"], said[1]["error"]["status"]) == (anthropic, gemini)
    assert said[1]["error"]["code"] == error.status


def test_a_message_with_quotes_and_controls_stays_json() -> None:
    said = 'a "quote"\r\nx-injected: 1 \u0000 \U0001f600'

    assert json.loads(error_body(MalformedBody(said), "openai"))["error"]["message"] == said


@pytest.mark.parametrize(
    ("status", "keep_alive", "head"),
    [
        (200, True, b"HTTP/1.1 200 OK\r\n"),
        (404, False, b"HTTP/1.1 404 Not Found\r\n"),
        (503, True, b"HTTP/1.1 503 Service Unavailable\r\n"),
    ],
)
def test_an_answer_of_ours_is_framed_by_its_length(
    status: int, head: bytes, *, keep_alive: bool
) -> None:
    retry = b"retry-after: 1\r\n" if status == 503 else b""
    close = b"" if keep_alive else b"connection: close\r\n"

    assert plain_answer(status, b"{}", keep_alive=keep_alive) == (
        head
        + b"content-type: application/json\r\ncontent-length: 2\r\n"
        + retry
        + close
        + b"\r\n{}"
    )
