"""A stream that ends: whole, without its dialect's end, or within an event."""

import pytest
from tests.fakes.recordings import Recording, all_recordings

from spanmeter.dialects.registry import recognise

STREAMS = [each for each in all_recordings() if each.is_event_stream and each.status == 200]
WHOLE = [each for each in STREAMS if not each.is_aborted]
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
RESPONSES, GEMINI = "/v1/responses", "/v1beta/models/m:streamGenerateContent"


def ending(path: str, stream: bytes) -> str:
    dialect = recognise("POST", path)
    assert dialect is not None
    tally = dialect.tally(status=200, content_type="text/event-stream", stream=True)
    tally.feed(stream)
    return tally.close().ending


@pytest.mark.parametrize("played", STREAMS, ids=lambda each: each.id)
def test_what_providers_recorded_is_whole_unless_it_was_cut(played: Recording) -> None:
    ended = ending(played.path.partition("?")[0], played.response_body)

    assert ended == ("torn" if played.is_aborted else "whole")


@pytest.mark.parametrize("played", WHOLE, ids=lambda each: each.id)
def test_a_stream_is_torn_wherever_its_json_stops(played: Recording) -> None:
    stream = played.response_body.rstrip()
    last = stream.rfind(b"{", 0, stream.rindex(b"}"))

    assert ending(played.path.partition("?")[0], stream[: last + 1]) == "torn"


@pytest.mark.parametrize(
    ("path", "stream", "ended"),
    [
        (CHAT, b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', "open"),
        (CHAT, b'data: {"choices":[{"delta":{"content":"a"}}]}', "open"),
        (CHAT, b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]', "whole"),
        (CHAT, b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', "whole"),
        (CHAT, b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"usa', "torn"),
        (CHAT, b'data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n', "open"),
        (CHAT, b": a comment alone\n\n", "open"),
        (CHAT, b'data: {"choices":[]}\r\n\r\ndata: {"choices":[{"del', "torn"),
        (MESSAGES, b'event: message_delta\ndata: {"type":"message_delta","delta":'
                   b'{"stop_reason":"end_turn"}}\n\n', "whole"),
        (MESSAGES, b'data: {"type":"ping"}\n\nevent: content_block_delta\n', "torn"),
        (MESSAGES, b'data: {"type":"ping"}\n\n', "open"),
        (RESPONSES, b'data: {"type":"response.incomplete","response":'
                    b'{"status":"incomplete"}}\n\n', "whole"),
        (RESPONSES, b'data: {"type":"response.in_progress","response":'
                    b'{"status":"in_progress"}}\n\n', "open"),
        (GEMINI, b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n', "whole"),
        (GEMINI, b'data: {"candidates":[{"content":{}}]}\n\n', "open"),
        (GEMINI, b'[{"candidates":[{"content":{}}]},\n', "open"),
        (GEMINI, b'[{"candidates":[{"finishReason":"STOP"}]}]', "whole"),
    ],
)  # fmt: skip
def test_each_dialect_says_when_it_is_done(path: str, stream: bytes, ended: str) -> None:
    assert ending(path, stream) == ended
