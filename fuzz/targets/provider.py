"""The bytes of a provider's connection, in any pieces, with the real relay and a call behind.

Properties: nothing escapes; the call has one receipt; the caller reads what another reader reads of
the provider's bytes, and never a whole answer where the provider's was cut; whatever was sent, the
next call over the same relay gets its own answer.
"""

from collections.abc import Iterator
from itertools import islice

import h11

from fuzz.draw import IN_SEVENS, WHOLE, Draw, Split
from fuzz.reading import Read, answers_in
from fuzz.seeds import small_recordings
from fuzz.target import Target
from fuzz.world import Spoken, Stage, Upstream, play, settle

_HOST = b" HTTP/1.1\r\nhost: x\r\n"
_STREAM = b'{"model":"gpt-4o","stream":true}'
_PLAIN = b'{"model":"gpt-4o"}'
CHAT = b"/v1/chat/completions"
HALF = b"POST /v1/files" + _HOST + b"content-length: 9\r\n\r\nhalf"
ASKED = (
    b"POST " + CHAT + _HOST + b"content-length: %d\r\n\r\n" % len(_STREAM) + _STREAM,
    b"POST " + CHAT + _HOST + b"content-length: %d\r\n\r\n" % len(_PLAIN) + _PLAIN,
    b"GET /v1/models" + _HOST + b"\r\n",
    b"HEAD /v1/models" + _HOST + b"\r\n",
    b"POST " + CHAT + b" HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(_PLAIN) + _PLAIN,
    b"POST /v1/messages" + _HOST + b"content-length: %d\r\n\r\n" % len(_STREAM) + _STREAM,
    HALF,
)
NEXT = b"GET /v1/models?next" + _HOST + b"\r\n"
OF_THE_NEXT = b"this is the answer to the next call"
OURS = (502, 503, 504)
LEAST_STATUS_OF_AN_ANSWER = 200


def check(raw: bytes) -> None:
    """Let a provider say anything once, and then answer well."""
    draw = Draw(raw)
    asked, end = draw.one_of(ASKED), draw.one_of(("close", "reset", "stay"))
    split = draw.split()
    wire = draw.rest

    def script(upstream: Upstream, reader: h11.Connection) -> None:
        if has_spoken:
            _answer_well(upstream, reader)

    has_spoken: list[bool] = []

    async def act(stage: Stage) -> None:
        caller = stage.caller()
        await caller.say([asked])
        await _say(stage, wire, split, end=end)
        first = caller.got
        is_closed = caller.wire.is_closed
        is_free = not (is_closed or stage.world.relay.calls or asked is HALF)
        is_cut = caller.wire.is_aborted
        has_spoken.append(True)
        follower = caller if is_free else stage.caller()
        before = len(follower.got)
        await follower.say([NEXT])
        _check_next(follower, before)
        for each in {id(one): one for one in (caller, follower)}.values():
            each.wire.lose()
        await settle()
        stage.check(*{id(one): one for one in (caller, follower)}.values())
        method = asked.partition(b" ")[0]
        _check_lines(first)
        sent = _first(wire, method, is_ended=end == "close")
        if (
            sent is not None
        ):  # else h11 is stricter about names and values, which go on as they came
            read = _first(first, method, is_ended=is_closed and not is_cut)
            assert read is not None, "the relay made nonsense of it"
            receipt = min(stage.receipts, key=lambda one: one.started_at_ns)
            assert receipt.outcome != "ok" or read.is_complete, "ok, and the caller waits for more"
            _compare(read, sent, hides=asked is ASKED[0])

    play(script, act)


async def _say(stage: Stage, wire: bytes, split: Split, *, end: str) -> None:
    upstream = stage.provider.wires[0]
    for piece in split.cut(wire):
        if upstream.is_closed:
            return
        upstream.connection.data_received(piece)
        await settle()
    if end != "stay" and not upstream.is_closed:
        upstream.lose(ConnectionResetError() if end == "reset" else None)
    await settle()


def _answer_well(upstream: Upstream, reader: h11.Connection) -> None:
    length = b"content-length: %d\r\n\r\n" % len(OF_THE_NEXT)
    upstream.call_soon_received(b"HTTP/1.1 200 OK\r\n" + length + OF_THE_NEXT)


def _check_next(follower: Spoken, before: int) -> None:
    answer = follower.got[before:]
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), "the next call did not get its answer"
    assert answer.partition(b"\r\n\r\n")[2] == OF_THE_NEXT, "the next call got something else"


def _check_lines(got: bytes) -> None:
    head = got.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        assert not any(byte in line for byte in (b"\r", b"\n")), "a line was put in"


def _compare(read: Read, sent: Read, *, hides: bool) -> None:
    """Hold what the caller read against what h11 makes of the provider's bytes."""
    if read.status in OURS and not (sent.is_complete and sent.status == read.status):
        return
    assert read.status in (0, sent.status), "another status"
    if read.is_complete:
        assert sent.is_complete, "a cut answer looks whole"
        assert read.body == sent.body or hides, "another body"
    assert sent.body.startswith(read.body) or hides, "other bytes"


def _first(wire: bytes, method: bytes, *, is_ended: bool) -> Read | None:
    try:
        answers = answers_in(wire, [method], is_ended=is_ended)
    except h11.RemoteProtocolError:
        return None
    return next((one for one in answers if one.status >= LEAST_STATUS_OF_AN_ANSWER), Read())


def _seeds() -> Iterator[bytes]:
    ok = b"HTTP/1.1 200 OK\r\n"
    wires = [
        ok + b"content-length: 2\r\n\r\n{}",
        ok + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok + b"connection: close\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
        ok + b"content-length: 2\r\n\r\n{}" + ok + b"content-length: 2\r\n\r\n[]",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 429 Too Many\r\ncontent-length: 2\r\nretry-after: 1\r\n\r\n{}",
        ok + b"content-length: 5\r\ncontent-encoding: gzip\r\n\r\nnogzi",
    ]
    for place in range(len(ASKED)):
        for wire in wires:
            yield bytes([place, place % 3]) + WHOLE + wire
            yield bytes([place, 0]) + IN_SEVENS + wire[:-3]
    streams = (each for each in small_recordings() if len(each.response_body) < 2500)
    for each in islice(streams, 40):
        kind = b"text/event-stream" if each.is_event_stream else b"application/json"
        head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n" % (each.status, kind)
        body = each.response_body
        yield b"\0\0" + WHOLE + head + b"content-length: %d\r\n\r\n" % len(body) + body
        yield (
            b"\0\0"
            + WHOLE
            + head
            + b"transfer-encoding: chunked\r\n\r\n"
            + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")
        )


TARGET = Target(
    name="provider",
    check=check,
    seeds=_seeds,
    words=(
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 ", b"\r\n\r\n"),
        *(b"content-length: 2\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n"),
        *(b"\r\n", b"\n", b"\r", b"0\r\n\r\n", b"2\r\n{}\r\n", b"204", b"304", b"101", b"999"),
        *(b"content-type: text/event-stream\r\n", b"content-encoding: gzip\r\n", b"upgrade: x\r\n"),
        *(b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n', b"data: [DONE]\n\n", b";a=b"),
        *(b"trailer: x\r\n", b"connection: keep-alive\r\n", b"ffffffffffffffff", b"\0", b"\xff"),
    ),
)
