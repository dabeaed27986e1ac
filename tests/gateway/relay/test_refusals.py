"""What is no clear request: refused with the right status, once, and nobody else is harmed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.gateway.relay.doubles import Caller, World
from tests.smuggling.corpus import CHUNKS, Ambiguous, corpus, head

from spanmeter_gateway.board import Field

PLAIN = b'{"model":"gpt-4o","messages":[]}'
CHAT = b"POST /v1/chat/completions HTTP/1.1"
GOOD = head(b"content-length: %d" % len(PLAIN), start=CHAT) + b"\r\n" + PLAIN
MODELS = b"GET /v1/models HTTP/1.1"


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


def statuses(caller: Caller) -> list[int]:
    """List the statuses of all answers, interim ones left out."""
    found = [int(part[:3]) for part in caller.got.split(b"HTTP/1.1 ")[1:]]
    return [status for status in found if status >= 200]


async def told(world: World, pieces: list[bytes]) -> tuple[list[int], int, list[str]]:
    """Say it on a new connection: the answers, the requests that went on, and the ends."""
    requests, receipts = len(world.provider.requests), len(world.spool.receipts)
    caller, other = world.caller(), world.caller()
    await caller.say(pieces)
    caller.leave()
    ends = [end.outcome for end in world.spool.receipts[receipts:]]
    requests = len(world.provider.requests) - requests
    await other.say([GOOD])
    assert statuses(other) == [200]
    other.leave()
    return statuses(caller)[:1], requests, ends


def is_right(one: Ambiguous, found: tuple[list[int], int, list[str]]) -> bool:
    answers, requests, ends = found
    if one.body is not None:
        return (answers, requests, ends) == ([200], 1, ["ok"])
    return answers[0] >= 400 and requests == 0 and ends in ([], ["caller_error"])


def test_every_ambiguous_request_is_served_as_we_meant_it_or_refused_with_an_answer() -> None:
    async def check() -> None:
        world = World()
        found = {one.id: (one, await told(world, [one.wire])) for one in corpus()}

        assert [id for id, (one, what) in found.items() if not is_right(one, what)] == []

    run(check)


def test_no_splitting_of_an_ambiguous_request_changes_what_becomes_of_it() -> None:
    async def check() -> None:
        world, bytewise = World(), {}
        for one in corpus():
            pieces = [one.wire[at : at + 1] for at in range(len(one.wire))]
            bytewise[one.id] = (one, await told(world, pieces))

        assert [id for id, (one, what) in bytewise.items() if not is_right(one, what)] == []

    run(check)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (MODELS + b"\r\n\r\n", 400),
        (MODELS + b"\r\nhost: x\r\nhost: x\r\n\r\n", 400),
        (MODELS + b"\r\nhost: x, y\r\n\r\n", 400),
        (MODELS + b"\r\nhost: u@x\r\n\r\n", 400),
        (MODELS + b"\r\nhost: x/y\r\n\r\n", 400),
        (head(b"transfer-encoding: identity") + b"\r\n", 400),
        (head(b"transfer-encoding: gzip, chunked") + b"\r\n" + CHUNKS, 501),
        (b"GET /v1/models HTTP/2.0\r\nhost: x\r\n\r\n", 505),
        (b"GET /v1/models HTTP/0.9\r\nhost: x\r\n\r\n", 505),
        (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (head(*[b"x-a: b"] * 2001, start=MODELS) + b"\r\n", 431),
        (head(*[b"x-a: b"] * 2, b"x-b: " + b"b" * 70_000, start=MODELS) + b"\r\n", 431),
        (b"GET /v1/" + b"x" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
    ],
)
def test_a_refusal_outside_any_call_is_counted_and_ends_the_connection(
    wire: bytes, status: int
) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say([wire])

        assert statuses(caller) == [status]
        assert caller.pipe.is_closed
        assert world.spool.receipts == []
        assert world.column.totals == {Field.CONNECTIONS_REFUSED_MALFORMED: 1}

    run(check)


@pytest.mark.parametrize("host", [b"", b"x", b"x:80", b"[::1]:80", b"127.0.0.1", b"a_b.c", b"x:"])
def test_a_host_may_be_any_host(host: bytes) -> None:
    async def check() -> None:
        caller = World().caller()

        await caller.say([MODELS + b"\r\nhost: " + host + b"\r\n\r\n"])

        assert statuses(caller) == [200]

    run(check)


def test_http_1_0_needs_no_host_and_gets_no_interim_answer() -> None:
    async def check() -> None:
        caller = World().caller()
        old = CHAT.replace(b"1.1", b"1.0") + b"\r\nexpect: 100-continue\r\n"

        await caller.say([old + b"content-length: %d\r\n\r\n%b" % (len(PLAIN), PLAIN)])

        assert caller.got.startswith(b"HTTP/1.1 200 ")

    run(check)


@pytest.mark.parametrize(
    ("expectation", "interim"),
    [(b"100-continue", 1), (b"100-Continue", 1), (b"nothing", 0), (b"100-continue, x", 0)],
)
def test_only_a_continue_is_promised(expectation: bytes, interim: int) -> None:
    async def check() -> None:
        caller = World().caller()
        lines = head(b"content-length: 5", b"expect: " + expectation)

        await caller.say([lines + b"\r\nhello"])

        assert caller.got.count(b"HTTP/1.1 100 Continue\r\n\r\n") == interim
        assert statuses(caller) == [200]

    run(check)


@pytest.mark.parametrize("target", [b"/v1/files", b"/v1/chat/completions", b"/healthz"])
def test_a_body_that_breaks_its_framing_is_answered_once(target: bytes) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()
        start = b"POST " + target + b" HTTP/1.1"

        await caller.say(
            [head(b"transfer-encoding: chunked", start=start) + b"\r\n5\r\nhel", b"lo!!"]
        )

        assert statuses(caller) == [400]
        assert b'"code":"malformed_http"' in caller.got
        assert caller.pipe.is_closed
        assert [(end.outcome, end.error_type) for end in world.spool.receipts] == [
            ("caller_error", "malformed_http")
        ] * (target != b"/healthz")

    run(check)


def test_a_long_row_of_offers_to_upgrade_is_answered_one_by_one() -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()
        offer = head(b"connection: upgrade, x-hop", b"upgrade: h2c", b"x-hop: 1", start=MODELS)

        await caller.say([(offer + b"\r\n") * 1500])

        assert statuses(caller) == [200] * 1500
        assert not any(b"x-hop" in request for request in world.provider.requests)

    run(check)


def test_an_offer_to_upgrade_changes_nothing_else() -> None:
    async def check() -> None:
        caller = World().caller()
        old = b"GET /v1/models HTTP/1.0\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"

        await caller.say([old])

        assert statuses(caller) == [200]
        assert caller.pipe.is_closed

    run(check)


@pytest.mark.parametrize(
    ("start", "line"),
    [(CHAT, b"connection: close"), (CHAT.replace(b"1.1", b"1.0"), b"connection: keep-alive")],
)
def test_nothing_behind_the_last_request_of_a_connection_becomes_a_call(
    start: bytes, line: bytes
) -> None:
    async def check() -> None:
        world = World()
        caller = world.caller()

        await caller.say([head(b"content-length: 1", line, start=start) + b"\r\n{" + GOOD])

        assert statuses(caller) == [400]
        assert world.provider.requests == []
        assert len(world.spool.receipts) == 1

    run(check)


def test_noise_behind_waiting_requests_does_not_cost_their_answers() -> None:
    async def check() -> None:
        world = World(turns=5)
        caller = world.caller()

        await caller.say([GOOD * 3 + b"NOISE\r\n\r\n"])

        assert statuses(caller) == [200] * 3
        assert caller.pipe.is_closed

    run(check)


def test_all_lines_of_connection_name_what_stays_here() -> None:
    async def check() -> None:
        world = World()
        lines = (b"connection: keep-alive", b"connection: x-one", b"x-one: 1", b"x-two: 2")

        await world.caller().say([head(*lines, start=MODELS) + b"\r\n"])

        (request,) = world.provider.requests
        assert b"x-two: 2" in request
        assert b"x-one" not in request

    run(check)
