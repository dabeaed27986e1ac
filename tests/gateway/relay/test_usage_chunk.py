import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.recordings import all_recordings, recording

from spanmeter_gateway.relay.usage_chunk import UsageChunkFilter

TEXT = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[]"}}],"usage":null}'
USAGE = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
DONE = b"data: [DONE]"
PRELUDE = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}'

LINE_ENDS = pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])


def stream(*events: bytes, line_end: bytes = b"\n") -> bytes:
    return b"".join(event.replace(b"\n", line_end) + line_end * 2 for event in events)


def shown(*pieces: bytes) -> bytes:
    usage_filter = UsageChunkFilter()
    return b"".join([usage_filter.feed(piece) for piece in pieces] + [usage_filter.close()])


@LINE_ENDS
def test_the_usage_chunk_is_hidden_whatever_the_line_ends_and_the_split(line_end: bytes) -> None:
    whole = stream(PRELUDE, TEXT, USAGE, DONE, line_end=line_end)
    expected = stream(PRELUDE, TEXT, DONE, line_end=line_end)

    results = {shown(whole[:at], whole[at:]) for at in range(len(whole) + 1)}

    assert results == {expected}
    assert shown(*(bytes([byte]) for byte in whole)) == expected


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices": [], "usage": {"prompt_tokens": 1}}',
        b'data:{"choices" :[ ],"usage":{}}',
        b'data: {"usage":{"prompt_tokens":1},"error":null,"choices":[]}',
        b'id: 7\n: note\nevent: message\ndata: {"choices":[],"usage":{}}',
        b'data: {"choices":[],\ndata: "usage":{}}',
    ],
)
def test_a_usage_chunk_is_known_however_it_is_written(event: bytes) -> None:
    assert shown(stream(TEXT, event, DONE)) == stream(TEXT, DONE)


@pytest.mark.parametrize(
    "event",
    [
        PRELUDE,
        TEXT,
        DONE,
        b": OPENROUTER PROCESSING",
        b'data: {"choices":[],"usage":null}',
        b'data: {"choices":[],"usage":3}',
        b'data: {"choices":[{"index":0,"x":{"choices":[]}}],"usage":{"prompt_tokens":1}}',
        b'data: {"usage":{"prompt_tokens":1}}',
        b'data: {"choices":null,"usage":{"x":{"choices":[]}}}',
        b'data: {"choices":[],"usage":{"prompt_tokens":1},"error":{"code":502}}',
        b'event: error\ndata: {"error":{"message":"x"},"choices":[]}',
        b'data: {"choices":[],"usage":{"a":"\xff"}}',
        b'data: {"choices":[],"usage":{}} trailing',
        b'data: {"choices":[],"usage":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'note: {"choices":[],"usage":{}}',
        b'data: [{"choices":[],"usage":{}}]',
    ],
)
def test_every_other_event_passes(event: bytes) -> None:
    whole = stream(event, TEXT)

    assert shown(whole) == whole
    assert shown(whole[:9], whole[9:]) == whole


def test_whole_events_without_an_empty_choices_list_are_passed_as_the_same_object() -> None:
    piece = stream(b'data: {"choices":[{"delta":{}}],"usage":null}', DONE)

    assert UsageChunkFilter().feed(piece) is piece


@LINE_ENDS
def test_complete_events_are_passed_on_at_once(line_end: bytes) -> None:
    usage_filter = UsageChunkFilter()
    whole = stream(TEXT, DONE, line_end=line_end)

    passed = [usage_filter.feed(whole[:-5]), usage_filter.feed(whole[-5:])]

    assert passed == [stream(TEXT, line_end=line_end), stream(DONE, line_end=line_end)]


def test_a_stream_cut_within_an_event_ends_with_the_held_bytes() -> None:
    usage_filter = UsageChunkFilter()

    fed = usage_filter.feed(stream(TEXT) + USAGE[:-3])

    assert (fed, usage_filter.close(), usage_filter.close()) == (stream(TEXT), USAGE[:-3], b"")


def test_a_usage_chunk_without_its_blank_line_is_hidden_at_the_end() -> None:
    assert shown(stream(TEXT), USAGE + b"\n") == stream(TEXT)


def test_blank_lines_before_the_usage_chunk_stay() -> None:
    assert shown(stream(TEXT) + b"\n\r\n" + stream(USAGE, DONE)) == stream(TEXT) + b"\n\r\n" + (
        stream(DONE)
    )


@pytest.mark.parametrize("size", [1000, 65_000, 70_000])
def test_a_long_unfinished_event_is_passed_on_before_it_ends(size: int) -> None:
    usage_filter = UsageChunkFilter()
    long_event = b'data: {"choices":[{"delta":{"content":"' + b"a" * 200_000 + b'"}}]}'
    whole = stream(TEXT, long_event, USAGE, DONE)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]

    results = [usage_filter.feed(piece) for piece in pieces]

    half = len(pieces) // 2
    assert sum(map(len, results[:half])) > sum(map(len, pieces[:half])) - 66_000
    assert b"".join(results) == stream(TEXT, long_event, DONE)


def test_a_long_event_passed_on_is_not_taken_for_a_usage_chunk_at_its_end() -> None:
    start = b'data: {"x":"' + b"a" * 70_000 + b'"}\n'
    rest = b'data: {"choices":[],"usage":{}}\n\n'

    assert shown(start, rest, stream(USAGE)) == start + rest
    assert shown(start, b"\n", stream(USAGE, DONE)) == start + b"\n" + stream(DONE)


STREAMS = [
    each.id
    for each in all_recordings()
    if each.is_event_stream and each.status == 200 and b"[DONE]" in each.response_body
]


def less_usage_chunk(body: bytes) -> bytes:
    """Leave out what the recordings' usage chunks are: an event with both texts, LF or CRLF."""
    blank_line = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    events = body.split(blank_line)
    return blank_line.join(
        event
        for event in events
        if not (
            event.replace(b" ", b"").count(b'"choices":[]')
            and event.replace(b" ", b"").count(b'"usage":{')
        )
    )


@pytest.mark.parametrize("recording_id", STREAMS)
def test_a_recorded_stream_is_shown_less_its_usage_chunk(recording_id: str) -> None:
    body = recording(recording_id).response_body
    pieces = [body[at : at + 97] for at in range(0, len(body), 97)]

    assert shown(body) == less_usage_chunk(body)
    assert shown(*pieces) == less_usage_chunk(body)


def test_recorded_openai_streams_that_asked_for_usage_lose_exactly_one_event() -> None:
    asked = [
        each.response_body
        for each in all_recordings()
        if each.dialect == "openai-chat"
        and each.is_event_stream
        and b'"choices":[],' in each.response_body
    ]

    assert len(asked) >= 4
    lost = [body.count(b"data:") - shown(body).count(b"data:") for body in asked]
    assert lost == [1] * len(asked)


EVENTS = st.lists(
    st.sampled_from([TEXT, USAGE, DONE, PRELUDE, b": note", b"data: a\ndata: b", b"event: x"])
)


@given(
    events=EVENTS,
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    data=st.data(),
    end=st.sampled_from([b"", b"data: cut"]),
)
def test_any_split_gives_the_same_bytes_less_the_usage_chunks(
    events: list[bytes], line_end: bytes, data: st.DataObject, end: bytes
) -> None:
    whole = stream(*events, line_end=line_end) + end
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))

    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    kept = [event for event in events if event != USAGE]
    assert shown(*pieces) == stream(*kept, line_end=line_end) + end
