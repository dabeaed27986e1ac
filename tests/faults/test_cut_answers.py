"""An answer cut at any of its bytes: the call says so, and the next one is well."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.fakes.faulty_provider import EVENTS, Fault, Peer, chunked, until_close, with_length
from tests.faults.fault_run import Played, World, survived, world
from tests.faults.provider_faults import End, Row

ANSWER = (
    b'{"id":"a","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1,'
    b'"completion_tokens":1}}'
)
STREAM = (
    b'data: {"choices":[{"delta":{}}]}\n\n',
    b'data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)
WIRES = {
    "length": (with_length(ANSWER), "chat"),
    "chunked": (chunked(*STREAM), "stream"),
    "close": (until_close(b"".join(STREAM), EVENTS), "stream"),
}
CLOSED = End(502, "provider_bad_response", False, "provider_error", "connection_error")
CUT = End(200, None, True, "provider_error", "stream_interrupted", "interrupted")


def cut(wire: bytes, *, is_reset: bool) -> Fault:
    def play(peer: Peer) -> None:
        peer.say(wire)
        (Peer.reset if is_reset else Peer.hang_up)(peer)

    return play


def rows_of(kind: str, *, is_reset: bool) -> Iterator[Row]:
    wire, ask = WIRES[kind]
    begun = wire.index(b"\r\n\r\n") + 4
    for at in range(len(wire)):
        end = CLOSED if at < begun else CUT
        name = f"{kind}-{'reset' if is_reset else 'closed'}-{at}"
        yield Row(name, "", end, cut(wire[:at], is_reset=is_reset), ask)


KINDS = {
    "length-closed": tuple(rows_of("length", is_reset=False)),
    "length-reset": tuple(rows_of("length", is_reset=True)),
    "chunked-closed": tuple(rows_of("chunked", is_reset=False)),
    "chunked-reset": tuple(rows_of("chunked", is_reset=True)),
    "close-reset": tuple(rows_of("close", is_reset=True)),
}
ALL = [row for rows in KINDS.values() for row in rows]


@pytest.fixture(scope="module")
def cutting() -> Iterator[World]:
    with world((), {row.name: row.play for row in ALL}) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_an_answer_is_cut_it_is_one_failed_call(
    cutting: World, fault_counts: dict[str, tuple[int, int]], kind: str
) -> None:
    rows = KINDS[kind]

    played = cutting.play_all(rows)

    # Without a byte of answer a kept connection looks stale, and the call is tried once more.
    first = rows[0].name
    played[first] = replace(played[first], end=replace(played[first].end, retries=0))
    fault_counts[f"cut at every byte, {kind}"] = len(rows), survived(rows, played)
    assert played == {row.name: Played(row.end, is_next_well=True, receipts=1) for row in rows}
