"""Slow callers and too many of them: ended in time, counted, told in the log once a minute."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.gateway.relay.doubles import Caller, Column, World
from tests.smuggling.corpus import head

from spanmeter_gateway.board import Field
from spanmeter_gateway.config import Limits
from spanmeter_gateway.relay.admission import REPORT_S, Admission
from spanmeter_gateway.relay.progress import LEAST_BYTES_PER_S

LIMITS = Limits(head_s=10, body_s=20)
UPLOAD = b"POST /v1/files HTTP/1.1"
CHAT = b"POST /v1/chat/completions HTTP/1.1"


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


def pass_time(caller: Caller, seconds: float) -> None:
    """Let the sweep look every second, from now on."""
    now_s = caller.front.loop.time()
    for second in range(int(seconds) + 1):
        caller.front.connection.look_at_clock(now_s + second)


def test_a_head_that_comes_byte_by_byte_has_its_time_and_no_more() -> None:
    async def check() -> None:
        world = World(limits=LIMITS)
        caller = world.caller()
        now_s = caller.front.loop.time()

        for second, byte in enumerate(b"GET /v1/models HTTP"):
            caller.front.data_received(bytes((byte,)))
            caller.front.connection.look_at_clock(now_s + second)

        assert caller.got.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert caller.pipe.is_closed
        assert world.column.totals == {Field.CONNECTIONS_REFUSED_SLOW: 1}
        assert world.spool.receipts == []

    run(check)


def test_the_next_head_has_a_time_of_its_own() -> None:
    async def check() -> None:
        caller = World(limits=LIMITS).caller()
        now_s = caller.front.loop.time()

        for second in range(0, 50, 5):
            caller.front.data_received(b"GET /healthz ")
            caller.front.connection.look_at_clock(now_s + second)
            caller.front.data_received(b"HTTP/1.1\r\nhost: x\r\n\r\n")
            caller.front.connection.look_at_clock(now_s + second + 1)

        assert caller.got.count(b"HTTP/1.1 200 ") == 10
        assert not caller.pipe.is_closed

    run(check)


@pytest.mark.parametrize(("seconds", "is_closed"), [(9, False), (11, True)])
def test_a_connection_that_never_says_anything_ends(seconds: int, *, is_closed: bool) -> None:
    async def check() -> None:
        caller = World(limits=LIMITS).caller()

        pass_time(caller, seconds)

        assert (caller.got, caller.pipe.is_closed) == (b"", is_closed)

    run(check)


def test_empty_lines_do_not_keep_a_connection() -> None:
    async def check() -> None:
        caller = World(limits=LIMITS).caller()
        now_s = caller.front.loop.time()

        for second in range(12):
            caller.front.data_received(b"\r\n")
            caller.front.connection.look_at_clock(now_s + second)

        assert caller.pipe.is_closed

    run(check)


@pytest.mark.parametrize("start", [UPLOAD, CHAT])
@pytest.mark.parametrize(
    ("bytes_a_second", "ends"),
    [
        (0, [("caller_error", "request_timeout")]),
        (LEAST_BYTES_PER_S // 2, [("caller_error", "request_timeout")]),
        (LEAST_BYTES_PER_S * 2, []),
    ],
)
def test_a_body_must_come_at_a_rate(
    start: bytes, bytes_a_second: int, ends: list[tuple[str, str]]
) -> None:
    async def check() -> None:
        world = World(limits=LIMITS)
        caller = world.caller()
        now_s = caller.front.loop.time()
        caller.front.data_received(head(b"content-length: 1000000", start=start) + b"\r\n")

        for second in range(70):
            caller.front.data_received(b" " * bytes_a_second)
            caller.front.connection.look_at_clock(now_s + second)

        assert [(end.outcome, end.error_type) for end in world.spool.receipts] == ends
        assert (
            caller.got.count(b"HTTP/1.1 408 ") == len(ends) == caller.got.count(b"request_timeout")
        )
        assert caller.pipe.is_closed == bool(ends)

    run(check)


def test_a_body_that_began_fast_may_not_stand_still_for_ever() -> None:
    async def check() -> None:
        world = World(limits=LIMITS)
        caller = world.caller()
        caller.front.data_received(head(b"content-length: 1000000", start=CHAT) + b"\r\n")
        caller.front.data_received(b" " * 500_000)

        pass_time(caller, 70)

        assert [end.error_type for end in world.spool.receipts] == ["request_timeout"]

    run(check)


def test_time_that_the_upstream_takes_is_not_the_callers() -> None:
    async def check() -> None:
        world = World(limits=LIMITS)
        caller = world.caller()
        caller.front.data_received(head(b"content-length: 1000", start=UPLOAD) + b"\r\n")
        caller.front.connection.pause_caller()

        pass_time(caller, 300)

        assert (caller.got, world.spool.receipts) == (b"", [])

    run(check)


def test_a_little_over_the_limit_calls_are_told_and_beyond_it_connections_are_cut() -> None:
    async def check() -> None:
        world = World(limits=Limits(max_connections=20))
        callers = [world.caller() for _ in range(30)]

        await callers[22].say([b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"])

        assert callers[22].got.startswith(b"HTTP/1.1 503 ")
        assert [caller.pipe.is_aborted for caller in callers] == [False] * 23 + [True] * 7
        assert world.column.totals == {Field.CONNECTIONS_REFUSED_MAX_CONNECTIONS: 7}
        assert len(world.relay.connections) == 23

    run(check)


def test_of_one_address_so_many_and_again_when_one_has_left() -> None:
    column = Column()
    door = Admission(column)  # type: ignore[arg-type]  # a column in all but name
    limits = Limits(connections_per_address=2)

    found = [door.admit(limits, address, connections=1) for address in ("a", "a", "a", "b")]
    door.leave("a")
    found.append(door.admit(limits, "a", connections=1))

    assert found == [True, True, False, True, True]
    assert column.totals == {Field.CONNECTIONS_REFUSED_PER_ADDRESS: 1}


@pytest.mark.parametrize(
    ("first", "second", "is_let_in"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", False),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", True),
        ("fe80::1%eth0", "fe80::2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
        ("192.0.2.1", "192.0.2.2", True),
        ("192.0.2.1", "192.0.2.1", False),
        ("", "", False),
    ],
)
def test_an_ipv6_network_counts_as_one_address(first: str, second: str, *, is_let_in: bool) -> None:
    door = Admission(Column())  # type: ignore[arg-type]  # a column in all but name
    limits = Limits(connections_per_address=1)
    door.admit(limits, first, connections=1)

    found = door.admit(limits, second, connections=1)
    door.leave(first)

    assert found is is_let_in
    assert door.admit(limits, first, connections=1)


def test_addresses_that_have_left_are_forgotten() -> None:
    async def check() -> None:
        world = World(limits=Limits(connections_per_address=1))
        for _ in range(3):
            caller = world.caller()
            caller.leave()

        assert not caller.pipe.is_aborted
        assert world.relay.connections == set()

    run(check)


def test_the_log_is_told_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    door = Admission(Column())  # type: ignore[arg-type]  # a column in all but name
    with caplog.at_level(logging.WARNING, "spanmeter.relay"):
        for second in range(int(REPORT_S) + 2):
            door.note("slow")
            door.report(100.0 + second)
        door.report(1000.0)
        door.report(2000.0)

    assert [record.getMessage() for record in caplog.records] == [
        "connections refused: slow 1 (docs/operations.md)",
        "connections refused: slow 60 (docs/operations.md)",
        "connections refused: slow 1 (docs/operations.md)",
    ]
