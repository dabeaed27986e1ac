"""An answer over TLS cut within and between records: the call says so, and the next one is well."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import pytest
from tests.fakes.faulty_provider import Fault, Peer, chunked, reset, until_close, with_length
from tests.faults.fault_run import Played, World, survived, world
from tests.faults.provider_faults import Row
from tests.faults.test_cut_answers import ANSWER, CLOSED, CUT, STREAM

RECORD_BYTES = 22
"""What TLS 1.3 adds to a record: header, content type and tag (RFC 8446 section 5.2)."""
STEP = 8
"""Beside the edges of records, each so many bytes: others are like them, and cost handshakes."""
UNSAID = replace(CUT, is_cut=False)
"""A body that only the close ends goes to the caller as it came; that it is cut, its JSON tells."""


def in_pieces(wire: bytes) -> tuple[bytes, ...]:
    """Cut an answer into what goes into one record each: its head, and the body in two."""
    body = wire.index(b"\r\n\r\n") + 4
    half = (body + len(wire)) // 2
    return wire[:body], wire[body:half], wire[half:]


WIRES = {
    "length": (in_pieces(with_length(ANSWER)), "chat"),
    "chunked": (in_pieces(chunked(*STREAM)), "stream"),
    "close": (in_pieces(until_close(ANSWER)), "chat"),
}


def cut(pieces: tuple[bytes, ...], at: int, *, is_reset: bool) -> Fault:
    def play(peer: Peer) -> None:
        connection = peer.connection
        connection.plain.sendall(connection.records(*pieces)[:at])
        if is_reset:
            reset(connection.plain)
        else:
            connection.close()

    return play


def rows_of(kind: str, *, is_reset: bool) -> Iterator[Row]:
    pieces, ask = WIRES[kind]
    edges = list(accumulate(len(piece) + RECORD_BYTES for piece in pieces))
    cuts = {edge + beside for edge in (0, *edges) for beside in (-1, 0, 1)}
    for at in sorted(cuts.union(range(0, edges[-1], STEP)).intersection(range(edges[-1]))):
        begun = UNSAID if kind == "close" and not is_reset else CUT
        end = CLOSED if at < edges[0] else begun
        name = f"tls-{kind}-{'reset' if is_reset else 'closed'}-{at}"
        play = cut(pieces, at, is_reset=is_reset)
        yield Row(name, "", end, play, ask, upstream="tls-records")


KINDS = {
    f"{kind}-{'reset' if is_reset else 'closed'}": tuple(rows_of(kind, is_reset=is_reset))
    for kind in WIRES
    for is_reset in (False, True)
}
ALL = [row for rows in KINDS.values() for row in rows]


@pytest.fixture(scope="module")
def cutting() -> Iterator[World]:
    with world((), {row.name: row.play for row in ALL}) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_an_answer_over_tls_is_cut_it_is_one_failed_call(
    cutting: World, fault_counts: dict[str, tuple[int, int]], kind: str
) -> None:
    rows = KINDS[kind]

    played = cutting.play_all(rows)

    fault_counts[f"cut within its TLS records, {kind}"] = len(rows), survived(rows, played)
    assert played == {row.name: Played(row.end, is_next_well=True, receipts=1) for row in rows}
