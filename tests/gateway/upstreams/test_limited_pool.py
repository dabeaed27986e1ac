"""A pool with a limit: over it calls wait in order, and every room that is lent comes back."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from tests.fakes.raw_provider import RawProvider, read_head

from spanmeter_gateway.upstreams.connection import AnswerHead, AnswerSink, UpstreamConnection
from spanmeter_gateway.upstreams.limited_pool import LimitedPool
from spanmeter_gateway.upstreams.pool import ConnectFailed
from spanmeter_gateway.upstreams.way import Way


class Waiter(AnswerSink):
    """A sink that knows when its exchange is over."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def answer(
        self, head: AnswerHead | None, pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        if is_end:
            self.over.set()

    def answer_lost(self, *, garbled: bool) -> None:
        self.over.set()

    def upload_paused(self) -> None:
        """The request is short."""

    def upload_resumed(self) -> None:
        """The request is short."""


class Busy:
    """A provider that counts how many connections are open at once."""

    def __init__(self) -> None:
        self.most = 0
        self._open = 0
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        with self._lock:
            self._open -= 1


async def exchange(connection: UpstreamConnection) -> None:
    waiter = Waiter()
    connection.send(waiter, b"GET / HTTP/1.1\r\n\r\n")
    await waiter.over.wait()


async def obtain(pool: LimitedPool) -> UpstreamConnection:
    return pool.take() or await pool.connect()


def run(
    talk: Callable[[socket.socket], None],
    scenario: Callable[[LimitedPool], Awaitable[None]],
    *,
    connect_s: float = 20,
) -> int:
    """Play a scenario on a pool of two, and return how many connections the provider had taken."""
    with RawProvider(talk) as provider:

        async def play() -> None:
            way = Way("127.0.0.1", provider.port, tls=None, connect_s=connect_s)
            pool = LimitedPool(way, max_connections=2)
            await scenario(pool)
            pool.close()
            async with asyncio.timeout(10):
                while pool._room < 2:  # noqa: ASYNC110 - a pool tells nobody that it is empty
                    await asyncio.sleep(0)
            assert pool._room == 2  # every room that was lent came back, once

        uvloop.run(play())
        return provider.connections


def test_many_calls_share_few_connections() -> None:
    busy = Busy()

    async def scenario(pool: LimitedPool) -> None:
        async def call() -> None:
            await exchange(await obtain(pool))

        await asyncio.gather(*(call() for _ in range(100)))

    assert (run(busy, scenario), busy.most) == (2, 2)


def test_who_waits_too_long_is_told_so_and_the_others_go_on() -> None:
    async def scenario(pool: LimitedPool) -> None:
        held = [await obtain(pool), await obtain(pool)]
        with pytest.raises(ConnectFailed, match="connections_exhausted"):
            await obtain(pool)
        for each in held:
            await exchange(each)
        await exchange(await obtain(pool))

    assert run(Busy(), scenario, connect_s=0.2) == 2


def test_a_free_connection_goes_to_who_came_first() -> None:
    order: list[int] = []

    async def scenario(pool: LimitedPool) -> None:
        held = [await obtain(pool), await obtain(pool)]

        async def call(number: int) -> None:
            connection = await obtain(pool)
            order.append(number)
            await exchange(connection)

        calls = [asyncio.create_task(call(number)) for number in range(20)]
        await asyncio.sleep(0)
        for each in held:
            await exchange(each)
        await asyncio.gather(*calls)

    run(Busy(), scenario)
    assert order == list(range(20))


def test_who_needs_a_fresh_connection_gets_one_in_place_of_an_idle_one() -> None:
    async def scenario(pool: LimitedPool) -> None:
        for connection in [await obtain(pool), await obtain(pool)]:
            await exchange(connection)
        fresh = await pool.connect(fresh=True)
        assert not fresh.has_served
        await exchange(fresh)

    assert run(Busy(), scenario) == 3


def test_those_who_give_up_and_connections_that_break_leave_their_room() -> None:
    def drop(connection: socket.socket) -> None:
        read_head(connection)

    async def scenario(pool: LimitedPool) -> None:
        held = [await obtain(pool), await obtain(pool)]
        leaving = [asyncio.create_task(obtain(pool)) for _ in range(5)]
        await asyncio.sleep(0)
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for each in held:
            await exchange(each)
        for _ in range(5):
            await exchange(await obtain(pool))

    assert run(drop, scenario) == 7


def test_connects_that_fail_leave_their_room() -> None:
    async def play() -> int:
        pool = LimitedPool(Way("127.0.0.1", 1, tls=None, connect_s=5), max_connections=2)
        slugs = [
            str(each)
            for each in await asyncio.gather(
                *(pool.connect() for _ in range(50)), return_exceptions=True
            )
        ]
        assert set(slugs) == {"connection_refused"}
        return pool._room

    assert uvloop.run(play()) == 2
