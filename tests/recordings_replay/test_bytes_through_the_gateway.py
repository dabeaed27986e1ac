"""Nobody can tell from the bytes that a gateway stood between: all recordings, sent in every way.

The only differences allowed are those of DESIGN.md, section 2; `through.Played` spells them out.
"""

from collections.abc import Sequence

import pytest
from tests.fakes.recordings import Recording, all_recordings, recording
from tests.recordings_replay.conftest import Report
from tests.recordings_replay.through import CONNECTIONS, Caller, How, Played

FRAMINGS = ("chunked", "length", "close")
# Byte by byte up to 4 KB, and both ends of longer bodies: what is between shows nothing new.
CHUNKINGS = ("whole", "events", "random:1", "random:2", "bytes:2000", "recorded")
# Sizes were kept of plain bodies and wire bytes of compressed ones, never both of one answer.
WAYS = [
    (chunking, encoding)
    for chunking in CHUNKINGS
    for encoding in ("identity", "gzip", "recorded")
    if (chunking, encoding) != ("recorded", "recorded")
]
OTHER_ENCODINGS = ("deflate", "raw-deflate", "br", "zstd")

WIRE_KEPT = 19
"""Recordings that hold the compressed bytes of the wire."""
CHUNKS_KEPT = 20
"""Recordings that hold the sizes in which the body arrived."""


def taking_part(chunking: str, encoding: str) -> list[Recording]:
    """Choose the recordings that can be sent this way: all, unless it needs something kept."""
    return [
        played
        for played in all_recordings()
        if (chunking != "recorded" or played.chunk_sizes)
        and (encoding != "recorded" or played.wire_body is not None)
    ]


def expected_count(chunking: str, encoding: str) -> int:
    kept = {("recorded", "identity"): CHUNKS_KEPT, ("recorded", "gzip"): CHUNKS_KEPT}
    return kept.get((chunking, encoding), WIRE_KEPT if encoding == "recorded" else 150)


def faults(exchanges: Sequence[Played]) -> dict[str, list[str]]:
    found = {each.recording.id: list(each.differences()) for each in exchanges}
    return {id: differences for id, differences in found.items() if differences}


@pytest.mark.parametrize(("chunking", "encoding"), WAYS)
def test_every_recording_passes_unchanged(
    caller: Caller, report: Report, chunking: str, encoding: str
) -> None:
    recordings = taking_part(chunking, encoding)

    found = {
        framing: faults(caller.play_all(recordings, How(chunking, encoding, framing)))
        for framing in FRAMINGS
    }

    for framing, differing in found.items():
        identical = len(recordings) - len(differing)
        report(f"{chunking} x {encoding} x {framing}: {identical} of {len(recordings)} identical")
    assert found == {framing: {} for framing in FRAMINGS}
    assert len(recordings) == expected_count(chunking, encoding)


@pytest.mark.parametrize("encoding", OTHER_ENCODINGS)
def test_every_compression_passes_unchanged(caller: Caller, report: Report, encoding: str) -> None:
    found = faults(caller.play_all(all_recordings(), How("events", encoding)))

    report(f"events x {encoding}: {150 - len(found)} of 150 identical")
    assert found == {}


def test_tags_in_the_body_are_taken_out_and_nothing_else(caller: Caller, report: Report) -> None:
    found = faults(caller.play_all(all_recordings(), How("events", has_body_tags=True)))

    report(f"tags in the body: {150 - len(found)} of 150 identical")
    assert found == {}


def test_usage_is_asked_for_where_it_is_needed_and_accepted(caller: Caller) -> None:
    exchanges = caller.play_all(all_recordings(), How())

    asked = {each.recording.id for each in exchanges if each.was_asked_for_usage}
    assert asked == {
        "openai-chat/stream-long-no-usage",
        "openai-chat/stream-no-usage",
        "openai-chat/stream-parallel-tools-no-usage",
        "openai-compatible/deepseek-stream-emoji-usage-in-last-choice",
        "openai-compatible/groq-stream-x-groq-usage-only",
        "openai-completions/stream-emoji",
        "openai-completions/stream-no-usage",
    }


@pytest.mark.parametrize("chunking", CHUNKINGS)
def test_usage_asked_for_on_the_callers_behalf_stays_hidden(
    caller: Caller, report: Report, chunking: str
) -> None:
    how = How(chunking, usage="9,4")
    exchanges = caller.play_all(all_recordings(), how)

    asked = [each for each in exchanges if each.was_asked_for_usage]
    hidden = [each for each in asked if each.answer.body == each.recording.response_body]
    report(f"{chunking}: the usage chunk is hidden in {len(hidden)} of {len(asked)} streams")
    assert hidden == asked
    assert all(b'"completion_tokens":4' in b"".join(each.direct.pieces) for each in asked)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_that_the_provider_loses_is_cut_for_the_caller_too(
    caller: Caller, framing: str
) -> None:
    lost = recording("derived/openai-stream-connection-lost")

    answer = caller.play(lost, How("events", framing=framing)).answer

    assert (answer.status, answer.body, answer.is_cut) == (200, lost.response_body, True)


def test_calls_share_few_connections_to_the_provider(caller: Caller) -> None:
    of_one_upstream = [each for each in all_recordings() if each.dialect == "openai-responses"]

    exchanges = caller.play_all(of_one_upstream * 3, How("events", framing="length"))

    assert len({each.received.connection for each in exchanges}) <= CONNECTIONS
