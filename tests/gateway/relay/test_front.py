"""The caller's connection: the same calls come of the same bytes, however they arrive."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.relay.doubles import Caller, World

from spanmeter_gateway.config import Limits
from spanmeter_gateway.receipt import Receipt

PLAIN = b'{"model":"gpt-4o","messages":[]}'
CHAT = b"/v1/chat/completions"
HEALTH = b'{"status":"ok"}'


class Asked(NamedTuple):
    """A request on the wire, what the provider must get of it, and what the caller of it."""

    wire: bytes
    upstream: bytes
    answer: bytes


def request(
    target: bytes, body: bytes | None, *lines: bytes, method: bytes = b"POST", is_ours: bool = False
) -> Asked:
    framing = [b"content-length: %d" % len(body)] if body is not None else []
    wire = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"host: x", *framing, *lines])
    wire += b"\r\n\r\n" + (body or b"")
    upstream = b"" if is_ours else b"%b %b|%b" % (method, target, body or b"")
    return Asked(wire, upstream, HEALTH if is_ours else target)


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    target = CHAT + b"?n=%d" % draw(st.integers(0, 999))
    model = draw(st.binary(max_size=90)).hex().encode()
    body = b'{"model":"gpt-4o","x":"%b"}' % model
    kind = draw(st.sampled_from(["length", "chunked", "upload", "get", "health", "offer"]))
    if kind == "length":
        return request(target, body, b"x-feature: f")
    if kind == "chunked":
        return Asked(
            b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%b"
            % (target, draw(chunks(body))),
            b"POST %b|%b" % (target, body),
            target,
        )
    if kind == "upload":
        return request(b"/v1/files?" + target[-9:], draw(st.binary(max_size=90)), method=b"PUT")
    if kind == "get":
        return request(b"/v1/models?" + target[-9:], None, method=b"GET")
    if kind == "offer":
        return request(target, body, b"connection: upgrade", b"upgrade: h2c")
    return request(b"/healthz", None, method=b"GET", is_ours=True)


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    wire = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b";a=b", b';a="c d"']))
        wire += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
        body = body[size:]
    trailer = draw(st.sampled_from([b"", b"x-feature: other\r\n", b"authorization: Bearer t\r\n"]))
    return wire + b"0\r\n" + trailer + b"\r\n"


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


def cut(wire: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(wire), *(place % (len(wire) + 1) for place in cuts)})
    # The parser ends a head at its last CR: a provider that answers before the LF has come gets
    # its answer through, and then the connection ends. No network splits there and waits so long.
    places = [place for place in places if wire[place - 3 : place + 1] != b"\r\n\r\n"]
    return [wire[start:end] for start, end in pairwise(places)]


def seen(world: World) -> list[bytes]:
    """Every request that the provider got: method, target and body."""
    found = []
    for each in world.provider.requests:
        head, _, body = bytes(each).partition(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        found.append(b"%b %b|%b" % (method, target, body))
    return found


def answers(caller: Caller) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2] for part in caller.got.split(b"HTTP/1.1 200 OK\r\n")[1:]]


@settings(max_examples=60)
@given(
    asked=st.lists(requests(), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 100_000), max_size=9),
    turns=st.integers(0, 40),
    waits=st.integers(0, 3),
)
def test_requests_in_a_row_become_the_same_calls_in_any_pieces(
    asked: list[Asked], cuts: list[int], *, turns: int, waits: int
) -> None:
    async def check() -> None:
        world = World(turns=turns)
        caller = world.caller()

        await caller.say(cut(b"".join(each.wire for each in asked), cuts), turns=waits)

        assert seen(world) == [each.upstream for each in asked if each.upstream]
        assert answers(caller) == [each.answer for each in asked]
        assert Counter(receipt.outcome for receipt in world.spool.receipts) == Counter(
            "ok" for each in asked if each.upstream
        )
        assert "other" not in {receipt.feature for receipt in world.spool.receipts}

    run(check)


@settings(max_examples=60)
@given(
    noise=st.one_of(
        st.binary(max_size=300),
        st.tuples(requests(), st.integers(0, 500), st.binary(min_size=1, max_size=6)).map(
            lambda drawn: drawn[0].wire[: drawn[1]] + drawn[2] + drawn[0].wire[drawn[1] :]
        ),
    ),
    cuts=st.lists(st.integers(0, 1000), max_size=9),
)
def test_noise_never_raises_and_every_call_that_began_ends_once(
    noise: bytes, cuts: list[int]
) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say(cut(noise, cuts))
        caller.leave()

        assert world.relay.calls == set()
        ids = [receipt.call_id for receipt in world.spool.receipts]
        assert len(ids) == len(set(ids)) >= len(world.provider.requests)

    run(check)


@pytest.mark.parametrize(
    "line",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked",
        b"content-length: 5\r\ncontent-length: 5",
        b"content-length: 5\r\ncontent-length: 6",
        b"content-length: 5, 5",
        b"content-length: +5",
        b"content-length : 5",
        b"content-length: 5\r\nx-a: b\r\n folded",
        b"content-length: 5\r\nx-a: b\rx-c: d",
        b"content-length: 5\r\nx-a: b\0c",
        b"content-length: 5\nx-a: b",
        b"x-\xe9: b",
        b"x a: b",
        b": b",
        b"no colon",
        b"transfer-encoding: chunked, gzip",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ],
)
def test_a_head_that_two_readers_could_read_differently_is_refused(line: bytes) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say([b"POST /v1/files HTTP/1.1\r\nhost: x\r\n%b\r\n\r\nhello" % line])

        assert (seen(world), world.spool.receipts) == ([], [])
        assert caller.got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert caller.pipe.is_closed

    run(check)


@pytest.mark.parametrize(
    "target",
    [b"/v1/\0", b"/v1/\x0c", b"/v1/\t", b"/v1/\xff", b"/v1/ x"],
)
def test_a_target_with_a_character_that_no_url_has_is_refused(target: bytes) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say([b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % target])

        assert seen(world) == []
        assert caller.got.startswith(b"HTTP/1.1 400 ")

    run(check)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n", b"405"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"FOO /v1/models HTTP/1.1\r\n\r\n", b"400"),
        (b"get /v1/models HTTP/1.1\r\n\r\n", b"400"),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        (b"GET http://example.com HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        (b"GET /v1/models?" + b"a" * 66_000 + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
def test_what_we_do_not_serve_is_refused_and_the_connection_ends(
    wire: bytes, status: bytes
) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say([wire])

        assert seen(world) == []
        assert caller.got.split(b" ")[1] == status
        assert caller.pipe.is_closed

    run(check)


def test_a_caller_who_leaves_cancels_the_call_under_way_and_begins_no_other() -> None:
    async def check() -> None:
        world = World(turns=1000)
        caller = world.caller()

        caller.front.data_received(request(CHAT, PLAIN).wire * 2)
        caller.leave()

        assert world.provider.cancelled == len(world.provider.requests) == 1
        assert ends(world.spool.receipts) == [("cancelled", "client_disconnected")]

    run(check)


def test_a_body_over_the_limit_is_refused_as_soon_as_it_is_known() -> None:
    async def check() -> None:
        world = World(limits=Limits(body_bytes=10))
        declared, sent = world.caller(), world.caller()
        chunked = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % CHAT

        await declared.say([b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n" % CHAT])
        await sent.say([chunked + b"8\r\n12345678\r\n", b"3\r\n123\r\n"])

        assert {caller.got.split(b" ")[1] for caller in (declared, sent)} == {b"413"}
        assert ends(world.spool.receipts) == [("caller_error", "request_too_large")] * 2

    run(check)


def test_bodies_over_the_memory_of_the_relay_are_refused_and_given_back() -> None:
    async def check() -> None:
        world = World(limits=Limits(held_body_bytes=100))
        first, second, third = world.caller(), world.caller(), world.caller()
        half = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n\r\n" % CHAT + b" " * 60

        await first.say([half])
        await second.say([half])
        first.leave()
        await third.say([request(CHAT, PLAIN + b" " * 50).wire])

        assert second.got.startswith(b"HTTP/1.1 503 ")
        assert third.got.startswith(b"HTTP/1.1 200 ")
        assert world.relay.hold(100)

    run(check)


@pytest.mark.parametrize("state", ["idle", "mid-head", "mid-call"])
def test_a_graceful_stop_answers_one_more_request_and_closes(state: str) -> None:
    async def check() -> None:
        world = World(turns=5)
        caller = world.caller()
        whole = request(CHAT, PLAIN).wire
        parts = {
            "idle": [b"", whole],
            "mid-head": [whole[:20], whole[20:]],
            "mid-call": [whole, b""],
        }

        caller.front.data_received(parts[state][0])
        caller.front.shutdown()
        await caller.say([parts[state][1]])

        assert b"\r\nconnection: close\r\n" in caller.got
        assert caller.pipe.is_closed
        assert answers(caller) == [CHAT]

    run(check)


def test_a_graceful_stop_closes_an_idle_connection_when_its_moment_is_over() -> None:
    async def check() -> None:
        world = World()
        world.relay.idle_drain_s = 2.0
        caller = world.caller()
        began_s = world.relay.loop.time()

        caller.front.shutdown()
        caller.front.connection.look_at_clock(began_s + 1.0)
        is_closed_early = caller.pipe.is_closed
        caller.front.connection.look_at_clock(began_s + 3.0)

        assert not is_closed_early
        assert caller.pipe.is_closed

    run(check)


def test_a_connection_that_comes_out_of_its_handshake_in_the_drain_gets_one_answer() -> None:
    async def check() -> None:
        world = World()
        world.relay.is_draining = True
        caller = world.caller()

        await caller.say([request(CHAT, PLAIN).wire])

        assert b"\r\nconnection: close\r\n" in caller.got
        assert caller.pipe.is_closed

    run(check)


def test_a_small_head_behind_a_large_body_is_not_too_large() -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()
        first = request(CHAT, PLAIN + b" " * 100_000).wire
        second = request(CHAT, PLAIN).wire

        await caller.say([first + second[:30], second[30:]])

        assert answers(caller) == [CHAT, CHAT]

    run(check)


def test_noise_behind_a_whole_request_does_not_cost_its_answer() -> None:
    async def check() -> None:
        world = World(turns=5)
        caller = world.caller()

        await caller.say([request(CHAT, PLAIN).wire + b"NOISE\r\n\r\n"])

        assert ends(world.spool.receipts) == [("ok", None)]
        assert answers(caller)[:1] == [CHAT]

    run(check)


def test_trailers_without_end_are_refused() -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()
        head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: " % CHAT

        await caller.say([head, *[b"v" * 1000] * 200])

        assert caller.pipe.is_closed

    run(check)


def test_a_caller_who_does_not_read_is_not_written_to_by_the_next_call_either() -> None:
    async def check() -> None:
        world = World(turns=2)
        caller = world.caller()

        caller.front.data_received(request(CHAT, PLAIN).wire * 50)
        caller.front.pause_writing()
        for _ in range(1000):
            await asyncio.sleep(0)

        assert len(world.provider.requests) < 5

    run(check)


def test_nothing_begins_behind_an_answer_that_closes_though_the_caller_is_slow() -> None:
    # The refused request was whole, but waited for its turn; the next one was not whole yet.
    async def check() -> None:
        world = World()
        caller = world.caller()
        whole, unknown = request(CHAT, PLAIN).wire, request(b"/nowhere", PLAIN).wire

        await caller.say([whole + unknown + whole[:20]])
        caller.front.pause_writing()
        await caller.say([whole[20:] + whole])
        caller.front.resume_writing()
        await caller.say([whole])

        assert len(world.provider.requests) == 1
        assert ends(world.spool.receipts) == [("ok", None), ("caller_error", "unknown_path")]
        assert caller.pipe.is_closed

    run(check)


def ends(receipts: list[Receipt]) -> list[tuple[str, str | None]]:
    return [(receipt.outcome, receipt.error_type) for receipt in receipts]
