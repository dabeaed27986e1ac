"""What a tally makes of streams that are cut, odd, mislabelled, huge or junk."""

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter.dialects import answer
from spanmeter.dialects.dialect import ResponseFacts, Tally
from spanmeter.dialects.registry import recognise
from spanmeter.usage import Usage

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models/m:streamGenerateContent"
PATHS = [CHAT, "/v1/embeddings", RESPONSES, MESSAGES, GEMINI, "/v1beta/models/m:embedContent"]
RECORDINGS = sorted(Path(__file__).parents[2].joinpath("recordings").glob("*/*.json"))
TEN = Usage(input_tokens=10, output_tokens=5)
CHAT_USAGE = '"usage":{"prompt_tokens":10,"completion_tokens":5}'


def start(path: str, *, status: int = 200, stream: bool = True, kind: str = "") -> Tally:
    dialect = recognise("POST", path)
    assert dialect is not None
    return dialect.tally(status=status, content_type=kind, stream=stream)


def read(path: str, body: str | bytes, *, stream: bool = True, kind: str = "") -> ResponseFacts:
    tally = start(path, stream=stream, kind=kind)
    tally.feed(body.encode() if isinstance(body, str) else body)
    return tally.close()


def events(*datas: str) -> str:
    return "".join(f"data: {data}\n\n" for data in datas)


@pytest.mark.parametrize(
    "stream",
    [
        events("{" + CHAT_USAGE + "}"),
        events('{"usage":null}', '{"usage" : {"prompt_tokens":10,"completion_tokens":5}}'),
        events('{"usage":\ndata: {"prompt_tokens":10,\ndata: "completion_tokens":5}}'),
        events("{" + CHAT_USAGE + "}", '{"usage":null}', "[DONE]"),
        events('{"usage":{"prompt_tokens":10,"completion_tokens":1}}', "{" + CHAT_USAGE + "}"),
        events("{" + CHAT_USAGE + "}", '{"usage":{}}'),
        events('{"x_groq":{"id":"r",' + CHAT_USAGE + "}}"),
        events('{"usage":null,"x_groq":{' + CHAT_USAGE + "}}"),
        events('{"choices":[{"index":0,"delta":{},' + CHAT_USAGE + "}]}"),
        events("{" + CHAT_USAGE + "}").rstrip("\n"),
        events("{" + CHAT_USAGE + "}").replace("\n", "\r"),
        ": hello\n\n" + events("{" + CHAT_USAGE + "}").replace("data: ", "id: 1\nevent: x\ndata:"),
        "\ufeff" + events("{" + CHAT_USAGE + "}"),
        "\n\n" + events("junk", "{", "[1]", "{" + CHAT_USAGE + "}"),
        "{" + CHAT_USAGE + "}",
        "\ufeff \n{" + CHAT_USAGE + "}\n ",
    ],
)
@pytest.mark.parametrize("is_stream_asked", [False, True])
def test_usage_is_found_wherever_it_stands(
    stream: str,
    is_stream_asked: bool,  # noqa: FBT001 - a column
) -> None:
    facts = read(CHAT, stream, stream=is_stream_asked)

    assert (facts.usage, facts.is_error, facts.unread) == (TEN, False, None)


def test_a_chat_stream_in_full() -> None:
    stream = events(
        '{"id":"","model":"","choices":[],"prompt_filter_results":[]}',
        '{"id":"c1","model":"m-1","service_tier":"default","system_fingerprint":"fp",'
        '"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":null}]}',
        '{"id":"c1","model":"m-1","choices":[{"index":1,"delta":{},"finish_reason":"length"}]}',
        '{"id":"c1","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        '{"id":"c1","model":"m-1","choices":[],' + CHAT_USAGE + "}",
        "[DONE]",
    )

    assert read(CHAT, stream) == ResponseFacts(
        response_model="m-1",
        response_id="c1",
        finish_reasons=("stop", "length"),
        usage=TEN,
        service_tier="default",
        system_fingerprint="fp",
    )


@pytest.mark.parametrize(
    ("choices", "reasons"),
    [
        ([{"finish_reason": "b", "index": 1}, {"finish_reason": "a", "index": 0}], ("a", "b")),
        ([{"finish_reason": "a"}, {"finish_reason": "b"}], ("a", "b")),
        ([{"finish_reason": None}, {"finish_reason": "b"}], ("b",)),
        ([{"finish_reason": 1}], ("1",)),
        ([{"finish_reason": "x" * 99}], ("x" * 64,)),
        ([{"finish_reason": "as the prompt said"}, {"finish_reason": "b"}], ("other", "b")),
        ([{"finish_reason": 10**4000}, {"finish_reason": {}}, {"finish_reason": True}], ()),
        ([None, "a", [], {}], ()),
        ({"finish_reason": "a"}, ()),
        (None, ()),
    ],
)
def test_finish_reasons_come_in_index_order(choices: Any, reasons: tuple[str, ...]) -> None:
    assert read(CHAT, json.dumps({"choices": choices})).finish_reasons == reasons


def test_a_cut_anthropic_stream_keeps_what_was_known() -> None:
    begin = (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"c",'
        '"usage":{"input_tokens":3,"cache_read_input_tokens":7,"output_tokens":1,'
        '"service_tier":"standard"}}}\n\nevent: content_block_delta\ndata: {"type":"content_bl'
    )

    assert read(MESSAGES, begin) == ResponseFacts(
        response_model="c",
        response_id="msg_1",
        finish_reasons=(),
        usage=Usage(input_tokens=10, output_tokens=1, cache_read_tokens=7),
        service_tier="standard",
        ending="torn",
    )


def test_later_anthropic_counts_are_laid_over_the_earlier() -> None:
    stream = events(
        '{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1,'
        '"cache_read_input_tokens":4}}}',
        '{"type":"message_delta","delta":{"stop_reason":"tool_use"},'
        '"usage":{"input_tokens":6,"output_tokens":5,"cache_read_input_tokens":null}}',
    )

    facts = read(MESSAGES, stream)

    assert facts.usage == Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4)
    assert facts.finish_reasons == ("tool_use",)


def test_a_cut_responses_stream_is_still_in_progress() -> None:
    stream = events(
        '{"type":"response.created","response":{"id":"r","model":"m","status":"in_progress",'
        '"error":null,"usage":null}}'
    )

    assert read(RESPONSES, stream) == ResponseFacts(
        response_model="m", response_id="r", response_status="in_progress", ending="open"
    )


@pytest.mark.parametrize("blank", ["", "\n" * 40], ids=["at once", "blank lines later"])
def test_what_comes_behind_done_takes_it_back(blank: str) -> None:
    assert read(CHAT, events("{}", "[DONE]") + blank).ending == "whole"
    assert read(CHAT, events("{}", "[DONE]", "{}") + blank).ending == "open"


def test_a_gemini_stream_that_names_itself_once_is_known_by_that() -> None:
    totals = '"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5}'
    first = '{"modelVersion":"gemini-2.5-flash",' + totals + "}"
    facts = read(GEMINI, events('{"responseId":"r-1"}', first, "{" + totals + "}"))

    assert (facts.response_model, facts.response_id) == ("gemini-2.5-flash", "r-1")
    assert facts.usage == TEN


def test_a_gemini_array_that_was_cut_keeps_its_last_totals() -> None:
    part = {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5},
        "modelVersion": "m",
        "responseId": "r",
    }

    facts = read(GEMINI, "[" + json.dumps(part) + ',\r\n{"candidates": [{"content')

    assert facts == ResponseFacts(
        response_model="m", response_id="r", finish_reasons=("STOP",), usage=TEN
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", ['{"id":"x"', "", " ", "<html>", "{]", "nonsense"])
def test_an_answer_that_is_no_json_is_malformed(path: str, body: str) -> None:
    assert read(path, body, stream=False, kind="application/json") == ResponseFacts(
        unread="malformed"
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", ["", "\n\n", ": hello\n\n", 'data: {"id":'])
def test_a_stream_that_ended_early_is_not_malformed(path: str, body: str) -> None:
    facts = read(path, body)

    assert (facts.unread, facts.usage, facts.is_error) == (None, None, False)


@pytest.mark.parametrize("body", ['{"id":"x"', "<html>sign in</html>"])
def test_a_stream_answered_with_something_else_is_malformed(body: str) -> None:
    assert read(CHAT, body) == ResponseFacts(unread="malformed")


@pytest.mark.parametrize("field", [b"data:", b"event:", b"id:", b"retry:"])
def test_a_stream_is_known_where_a_scan_ends_within_its_first_field(field: bytes) -> None:
    usage = events("{" + CHAT_USAGE + "}").encode()
    rest = field + b"1\n\n" + usage if field != b"data:" else usage
    for cut in range(1, len(field)):
        tally = start(CHAT, stream=False)
        tally.feed(b"\n" * answer.BULK_BYTES + rest[:cut])
        tally.feed(rest[cut:])

        assert tally.close().usage == TEN


def test_an_answer_beyond_the_bound_is_given_up_and_its_bytes_freed() -> None:
    tally = start(CHAT, stream=False)
    piece = b" " * 1024 * 1024
    tracemalloc.start()

    tally.feed(b'{"a":"')
    for _ in range(answer.LARGEST_BYTES // len(piece) + 3):
        tally.feed(piece)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert tally.close() == ResponseFacts(unread="too_large")
    assert kept_bytes < 2 * len(piece)


def test_an_event_beyond_the_bound_is_given_up() -> None:
    tally = start(CHAT)
    piece = b" " * 1024 * 1024

    tally.feed(b"data: {")
    for _ in range(answer.LARGEST_BYTES // len(piece) + 1):
        tally.feed(piece)

    assert tally.close() == ResponseFacts(unread="too_large")


def test_an_open_stream_holds_little_memory() -> None:
    event = events('{"choices":[{"delta":{"content":"' + "x" * 200 + '"}}]}').encode()
    tracemalloc.start()

    tallies = [start(CHAT) for _ in range(20)]
    for tally in tallies:
        for _ in range(200):
            tally.feed(event)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept_bytes / len(tallies) < 20_000


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("bulk_bytes", [1, 300])
def test_the_size_of_a_scan_does_not_matter(
    path: Path, bulk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    url = recording["request"]["path"].partition("?")[0]
    status = recording["response"]["status"]
    body = recording["response"]["body"].encode()
    at_once = start(url, status=status)
    at_once.feed(body)
    monkeypatch.setattr(answer, "BULK_BYTES", bulk_bytes)
    in_pieces = start(url, status=status)

    for at in range(0, len(body), 97):
        in_pieces.feed(body[at : at + 97])

    assert in_pieces.close() == at_once.close()


@settings(deadline=None)
@given(
    path=st.sampled_from(PATHS),
    lead=st.sampled_from([b"", b"data: ", b"{", b"[", b'[{"', b"\xef\xbb\xbf", b"event: error\n"]),
    pieces=st.lists(st.binary(max_size=50)),
    status=st.sampled_from([200, 400]),
)
def test_arbitrary_bytes_never_raise_and_count_nothing(
    path: str, lead: bytes, pieces: list[bytes], status: int
) -> None:
    tally = start(path, status=status)

    for piece in [lead, *pieces]:
        tally.feed(piece)

    assert tally.close().usage is None


@settings(deadline=None)
@given(st.data())
def test_mutated_recordings_never_raise(data: st.DataObject) -> None:
    recording = json.loads(data.draw(st.sampled_from(SMALL)).read_text(encoding="utf-8"))
    body = bytearray(recording["response"]["body"].encode())
    places = data.draw(st.lists(st.integers(0, max(len(body) - 1, 0)), max_size=8, unique=True))
    for place in places[: len(body)]:
        body[place] = data.draw(st.integers(0, 255))
    tally = start(recording["request"]["path"].partition("?")[0])

    for begin, end in pairwise([0, *sorted(places), len(body)]):
        tally.feed(bytes(body[begin:end]))
    facts = tally.close()

    assert facts.unread in (None, "malformed")


SMALL = [path for path in RECORDINGS if path.stat().st_size < 20_000]


@settings(deadline=None)
@given(
    path=st.sampled_from(PATHS),
    body=st.dictionaries(
        st.sampled_from(
            ["id", "model", "choices", "usage", "error", "code", "type", "object", "status",
             "x_groq", "response", "message", "delta", "candidates", "usageMetadata",
             "incomplete_details", "service_tier"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["index", "finish_reason", "usage", "error", "prompt_tokens", "input_tokens",
                     "prompt_tokens_details", "cost", "cost_details", "cache_creation",
                     "promptTokensDetails", "modality", "finishReason", "reason"]
                ),
                inner,
                max_size=3,
            ),
            max_leaves=6,
        ),
    ),
    as_event=st.booleans(),
)  # fmt: skip
def test_members_of_any_type_never_raise(path: str, body: Any, *, as_event: bool) -> None:
    text = json.dumps(body)

    facts = read(path, events(text) if as_event else text)

    assert facts.unread is None
