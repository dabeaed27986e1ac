"""A stream whose events contradict each other says the same however its bytes arrive."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects import answer
from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.dialects.registry import recognise

Members = dict[str, st.SearchStrategy[Any]]


def one(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, 7, "", *values])


def some(members: Members) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


@st.composite
def written(draw: st.DrawFn, said: st.SearchStrategy[dict[str, Any]]) -> bytes:
    """Write one event; JSON lets any character of a name be escaped."""
    text = json.dumps(draw(said), separators=(",", ":"))
    if draw(st.booleans()):
        text = re.sub('([der])":', lambda last: f'\\u{ord(last[1]):04x}":', text)
    return f"data: {text}\n\n".encode()


NAMES = one("a", "b", "c")
TIERS = one("default", "flex")
ERRORS = one({"code": "bad", "type": "worse", "status": "WORST"}, {"message": "no"}, "text", {})
USAGE = one(
    {}, {"prompt_tokens": 1, "completion_tokens": 2}, {"prompt_tokens": 3, "cost": 0.25},
    {"input_tokens": 4, "output_tokens": 5}, {"cost": 0.5},
)  # fmt: skip
COUNTS = one(
    {}, {"input_tokens": 1, "output_tokens": 2}, {"output_tokens": 3, "service_tier": "batch"},
    {"cache_read_input_tokens": 4, "input_tokens": None},
)  # fmt: skip
TOTALS = one(
    {}, {"promptTokenCount": 1, "candidatesTokenCount": 2}, {"promptTokenCount": 3},
    {"serviceTier": "flex"}, {"candidatesTokenCount": 4, "serviceTier": "standard"},
)  # fmt: skip
CHOICE = some({
    "index": one(0, 1), "finish_reason": one("stop", "length"), "usage": USAGE, "error": ERRORS
})  # fmt: skip
CANDIDATE = some({"index": one(0, 1), "finishReason": one("STOP", "MAX_TOKENS")})
MESSAGE = some({"model": NAMES, "id": NAMES, "stop_reason": one("end_turn", "x"), "usage": COUNTS})
RESPONSE = some({
    "model": NAMES, "id": NAMES, "status": one("completed", "failed", "in_progress"),
    "service_tier": TIERS, "usage": USAGE, "error": ERRORS,
    "incomplete_details": one({"reason": "x"}, {}),
})  # fmt: skip
EVENTS = {
    "/v1/chat/completions": some({
        "id": NAMES, "model": NAMES, "service_tier": TIERS, "system_fingerprint": NAMES,
        "choices": st.lists(CHOICE, max_size=2), "usage": USAGE, "error": ERRORS,
        "x_groq": some({"usage": USAGE, "error": ERRORS}), "code": one("c"), "object": one("error"),
    }),
    "/v1/responses": some({
        "type": one("response.created", "response.completed", "response.failed", "error"),
        "response": RESPONSE, "error": ERRORS, "code": one("c"),
    }),
    "/v1/messages": some({
        "type": one("message_start", "message_delta", "error"),
        "message": MESSAGE, "delta": MESSAGE, "usage": COUNTS, "error": ERRORS,
    }),
    "/v1beta/models/m:streamGenerateContent": some({
        "modelVersion": NAMES, "responseId": NAMES, "usageMetadata": TOTALS, "error": ERRORS,
        "candidates": st.lists(CANDIDATE, max_size=2),
    }),
}  # fmt: skip


@pytest.mark.parametrize("path", EVENTS)
@settings(deadline=None)
@given(data=st.data())
def test_what_a_stream_says_does_not_depend_on_its_pieces(path: str, data: st.DataObject) -> None:
    events = data.draw(st.lists(written(EVENTS[path]), min_size=2, max_size=5))

    assert _read(path, events, bulk_bytes=1) == _read(path, [b"".join(events)], bulk_bytes=8192)


def _read(path: str, pieces: list[bytes], *, bulk_bytes: int) -> ResponseFacts:
    dialect = recognise("POST", path)
    assert dialect is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "BULK_BYTES", bulk_bytes)
        tally = dialect.tally(status=200, content_type="text/event-stream", stream=True)
        for piece in pieces:
            tally.feed(piece)
        return tally.close()
