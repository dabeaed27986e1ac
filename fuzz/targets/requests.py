"""The bytes of a caller's connection, in any pieces, through the real relay to a good provider.

Properties: nothing escapes; every call that was begun has one receipt; what goes upstream and what
comes back is well-formed; no request is seen that another reader of the same bytes does not see at
its place; a caller who leaves at any byte leaves nothing behind.
"""

from collections.abc import Iterator

import h11

from fuzz.draw import IN_SEVENS, WHOLE, Draw
from fuzz.reading import answers_in, requests_in
from fuzz.seeds import small_recordings
from fuzz.target import Target
from fuzz.world import LIMITS, Stage, Upstream, play, settle

BODY = b'{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":2}}'


def check(raw: bytes) -> None:
    """Play one connection."""
    draw = Draw(raw)
    full_at = draw.number(7)
    pieces = draw.split().cut(draw.rest)

    async def act(stage: Stage) -> None:
        caller = stage.caller()
        await caller.say(pieces[:full_at])
        if full_at:
            caller.front.pause_writing()
            await caller.say(pieces[full_at : full_at + 1])
            caller.front.resume_writing()
            await settle()
        await caller.say(pieces[full_at + bool(full_at) :])
        _check_answers(stage, caller.got, caller.begun, is_closed=caller.wire.is_closed)
        caller.wire.lose()
        await settle()
        stage.check(caller)
        seen = requests_in(b"".join(pieces))
        together = min(len(seen), len(caller.begun))
        assert caller.begun[:together] == seen[:together], "another reader sees other requests"

    play(_answer, act)


def _check_answers(
    stage: Stage, got: bytes, begun: list[tuple[bytes, bytes]], *, is_closed: bool
) -> None:
    answers = answers_in(got, [method for method, _ in begun], is_ended=is_closed)
    assert len(answers) <= len(begun) + 1
    assert all(answer.is_complete for answer in answers[:-1])
    if not is_closed:
        open_calls = len(stage.world.relay.calls)
        assert open_calls <= 1, "two calls of one connection at a time"
        complete = sum(answer.is_complete for answer in answers)
        is_health = bool(begun) and begun[-1][1].startswith((b"/healthz", b"/readyz"))
        assert complete + open_calls >= len(begun) - is_health, "a call is not answered"


def _answer(wire: Upstream, reader: h11.Connection) -> None:
    head = h11.Response(status_code=200, headers=[("content-length", str(len(BODY)))])
    answer = reader.send(head) or b""
    if not wire.heads[-1].startswith(b"HEAD "):
        answer += reader.send(h11.Data(BODY)) or b""
    answer += reader.send(h11.EndOfMessage()) or b""
    wire.call_soon_received(answer)


def _seeds() -> Iterator[bytes]:
    host = b" HTTP/1.1\r\nhost: x\r\n"
    chat = b'{"model":"gpt-4o","messages":[]}'
    post = b"POST /v1/chat/completions" + host
    length = b"content-length: %d\r\n" % len(chat)
    chunked = b'transfer-encoding: chunked\r\n\r\n5\r\n{"mod\r\n%x;a=b\r\n%b\r\n0\r\nx: y\r\n\r\n'
    wires = [
        post + length + b"\r\n" + chat,
        post
        + b"x-tags: env:prod\r\nx-feature: f\r\nexpect: 100-continue\r\n"
        + length
        + b"\r\n"
        + chat,
        post + chunked % (len(chat) - 5, chat[5:]),
        b"GET /v1/models" + host + b"\r\n" + b"GET /healthz" + host + b"\r\n",
        b"HEAD /v1/models" + host + b"\r\n" + post + length + b"\r\n" + chat,
        b"PUT /v1/files"
        + host
        + b"content-length: 5\r\n\r\nhello"
        + b"DELETE /v1/x"
        + host
        + b"\r\n",
        b"POST /v1/files" + host + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        post + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n" + length + b"\r\n" + chat,
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"CONNECT x:443" + host + b"\r\n",
        b"GET http://other.example/v1/models" + host + b"\r\n",
        post
        + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/x"
        + host
        + b"\r\n",
        post + b"content-length: %d\r\n\r\n" % (LIMITS.body_bytes + 1),
        post
        + b"traceparent: 00-"
        + b"1" * 32
        + b"-"
        + b"2" * 16
        + b"-01\r\n"
        + length
        + b"\r\n"
        + chat,
        post + length + b"content-encoding: gzip\r\n\r\n" + chat,
    ]
    for wire in wires:
        yield b"\0" + WHOLE + wire
        yield b"\2\x05" + bytes(range(40, 50)) + wire + wires[3]
        yield b"\0" + IN_SEVENS + wire
    for each in small_recordings():
        if len(each.request_body) < LIMITS.body_bytes // 4:
            line = f"{each.method} {each.path}".encode()
            length = b"content-length: %d\r\n\r\n" % len(each.request_body)
            yield b"\0" + WHOLE + line + host + length + each.request_body


TARGET = Target(
    name="requests",
    check=check,
    seeds=_seeds,
    words=(
        *(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", b"GET /v1/models HTTP/1.1\r\n"),
        *(b"\r\n\r\n", b"\r\n", b"\n", b"\r", b" HTTP/1.0\r\n", b"host: x\r\n", b"\r\n ", b"\t"),
        *(b"content-length: 5\r\n", b"content-length: 0\r\n", b"transfer-encoding: chunked\r\n"),
        *(
            b"transfer-encoding: gzip, chunked\r\n",
            b"connection: close\r\n",
            b"0\r\n\r\n",
            b"5\r\n",
        ),
        *(b"connection: keep-alive, x-a\r\n", b"expect: 100-continue\r\n", b"upgrade: h2c\r\n"),
        *(b"content-encoding: gzip\r\n", b"x-provider: groq\r\n", b"x-tags: a:b\r\n", b"HEAD /"),
        *(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"CONNECT ", b"OPTIONS * ", b"\0", b"\xff"),
        *(b'{"model":"gpt-4o","stream":true}', b'"tags":["a:b"]', b"ffffffffffffffff\r\n"),
    ),
)
