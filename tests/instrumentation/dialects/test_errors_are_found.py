"""Errors: under an error status, in an answer that says 200, and within a stream."""

import json
from typing import Any

import pytest

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.dialects.registry import recognise

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models/m:streamGenerateContent"
PATHS = [CHAT, EMBEDDINGS, RESPONSES, MESSAGES, GEMINI]


def close(path: str, body: bytes, *, status: int = 200, stream: bool = False) -> ResponseFacts:
    dialect = recognise("POST", path)
    assert dialect is not None
    tally = dialect.tally(status=status, content_type="application/json", stream=stream)
    tally.feed(body)
    return tally.close()


def error(code: str | None) -> ResponseFacts:
    return ResponseFacts(is_error=True, error_type=code)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (CHAT, {"error": {"code": "c", "type": "t"}}, "c"),
        (CHAT, {"error": {"code": None, "type": "t"}}, "t"),
        (CHAT, {"error": {"code": "", "type": "t"}}, "t"),
        (CHAT, {"error": {"code": 429, "type": "t"}}, "429"),
        (CHAT, {"code": "Some resource has been exhausted", "error": "prose"},
         "Some resource has been exhausted"),
        (CHAT, {"object": "error", "message": "prose", "type": "t", "code": "1211"}, "1211"),
        (CHAT, {"message": "prose", "type": "t", "param": "p", "code": "wrong_api_key"},
         "wrong_api_key"),
        (CHAT, [{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}], "400"),
        (CHAT, {"error": {"message": "prose"}}, None),
        (CHAT, {"error": "prose"}, None),
        (CHAT, {"detail": "Unauthorized"}, None),
        (CHAT, {"error": {"code": "The caller does not have permission to execute the operation"
                          " that it asked for", "type": "t"}}, "t"),
        (CHAT, {"error": {"code": "two\nlines", "type": "t"}}, "t"),
        (CHAT, {"error": {"code": ["c"], "type": True}}, None),
        (CHAT, {"error": {"code": 10**4000, "type": "t"}}, "t"),
        (CHAT, [], None),
        (CHAT, None, None),
        (MESSAGES, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded_error"),
        (MESSAGES, {"error": {"code": "DeploymentNotFound"}}, "DeploymentNotFound"),
        (MESSAGES, {"type": "error", "error": "prose"}, None),
        (GEMINI, {"error": {"code": 404, "status": "NOT_FOUND"}}, "NOT_FOUND"),
        (GEMINI, [{"error": {"code": 404, "status": "NOT_FOUND"}}], "NOT_FOUND"),
        (GEMINI, {"error": {"code": 404}}, "404"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_stream_asked", [False, True])
def test_the_code_of_an_error_status(
    path: str,
    body: Any,
    code: str | None,
    is_stream_asked: bool,  # noqa: FBT001 - a column
) -> None:
    facts = close(path, json.dumps(body).encode(), status=400, stream=is_stream_asked)

    assert facts == error(code)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"<html>Bad gateway</html>", b'{"error":{"code":"c', b"data: x\n\n", b"\xff"],
    ids=repr,
)
def test_an_error_status_without_a_readable_body_is_an_error_all_the_same(
    path: str, body: bytes
) -> None:
    assert close(path, body, status=502) == error(None)


def test_an_error_status_with_a_stream_is_read() -> None:
    body = b'event: error\r\ndata: {"error":{"code":"c"}}\r\n\r\n'

    assert close(CHAT, body, status=400, stream=True) == error("c")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (CHAT, {"error": {"code": 502, "message": "prose"}}, "502"),
        (CHAT, {"error": "prose", "code": "c"}, "c"),
        (CHAT, {"object": "error", "message": "prose", "code": "c"}, "c"),
        (CHAT, {"code": 1113, "message": "prose"}, "1113"),
        (CHAT, {"choices": [{"error": {"code": 502}}], "error": None}, "502"),
        (CHAT, {"choices": [{"error": "prose"}]}, None),
        (EMBEDDINGS, {"error": {"type": "t"}}, "t"),
        (RESPONSES, {"status": "failed", "error": {"code": "server_error"}}, "server_error"),
        (RESPONSES, {"error": {"code": 502}}, "502"),
        (RESPONSES, {"object": "error", "type": "t"}, "t"),
        (MESSAGES, {"type": "error", "error": {"type": "api_error"}}, "api_error"),
        (MESSAGES, {"error": {"code": 402}}, "402"),
        (GEMINI, {"error": {"status": "INTERNAL"}}, "INTERNAL"),
        (GEMINI, [{"error": {"status": "INTERNAL"}}], "INTERNAL"),
    ],
)
def test_an_error_in_an_answer_that_says_200(path: str, body: Any, code: str | None) -> None:
    facts = close(path, json.dumps(body).encode())

    assert (facts.is_error, facts.error_type, facts.unread) == (True, code, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"error": None, "choices": []}),
        (CHAT, {"error": {}, "choices": []}),
        (CHAT, {"code": 200, "choices": [{"finish_reason": "stop"}]}),
        (RESPONSES, {"status": "completed", "error": None}),
        (RESPONSES, {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
        (MESSAGES, {"type": "message", "stop_reason": "end_turn"}),
        (GEMINI, {"candidates": []}),
    ],
)
def test_an_answer_without_an_error_is_none(path: str, body: Any) -> None:
    facts = close(path, json.dumps(body).encode())

    assert (facts.is_error, facts.error_type, facts.unread) == (False, None, None)


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        (CHAT, '{"error": {"code": "c"}}', "c"),
        (CHAT, '{"code":"c","error":"prose"}', "c"),
        (CHAT, '{"object":"error","type":"t"}', "t"),
        (CHAT, '{"code":"c", "object": "error"}', "c"),
        (CHAT, '{"choices":[{"finish_reason":"error"}],"error":{"code":"c"}}', "c"),
        (CHAT, '{"choices":[{"error":{"code":504}}]}', "504"),
        (RESPONSES, '{"type":"error","code":"c","message":"prose"}', "c"),
        (RESPONSES, '{"type":"error","error":{"type":"t","code":null}}', "t"),
        (RESPONSES, '{"type":"response.failed","response":{"error":{"code":"c"}}}', "c"),
        (MESSAGES, '{"type":"error","error":{"type":"overloaded_error"}}', "overloaded_error"),
        (MESSAGES, '{"error":{"code":502}}', "502"),
        (GEMINI, '{"error":{"code":503,"status":"UNAVAILABLE"}}', "UNAVAILABLE"),
    ],
)
def test_an_error_within_a_stream(path: str, data: str, code: str) -> None:
    stream = f'data: {{"id":"x"}}\n\n: comment\n\nevent: error\ndata: {data}\n\ndata: [DONE]\n\n'

    facts = close(path, stream.encode(), stream=True)

    assert (facts.is_error, facts.error_type) == (True, code)


def test_groq_says_in_prose_why_a_stream_stopped() -> None:
    stream = b'data: {"choices":[],"x_groq":{"id":"r","error":"prose"}}\n\n'

    assert close(CHAT, stream, stream=True) == ResponseFacts(is_error=True, finish_reasons=())


def test_a_flat_error_may_be_the_first_event() -> None:
    stream = b'event: error\ndata: {"message":"prose","type":"t","code":"c"}\n\n'

    facts = close(CHAT, stream, stream=True)

    assert (facts.is_error, facts.error_type) == (True, "c")


def test_a_model_that_writes_about_errors_makes_none() -> None:
    chunk = {"choices": [{"delta": {"content": '{"error": {"code": "c"}, "usage": {}}'}}]}

    facts = close(CHAT, f"data: {json.dumps(chunk)}\n\n".encode(), stream=True)

    assert facts == ResponseFacts(finish_reasons=(), ending="open")
