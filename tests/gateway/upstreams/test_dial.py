"""Addresses of a host: raced, so that a dead one costs no call; looked up by one thread a host."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvloop

from spanmeter_gateway.upstreams import dial
from spanmeter_gateway.upstreams.dial import Address, Host, connect_first


@pytest.fixture
def alive() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address(socket.AF_INET, listener.getsockname())


@pytest.fixture
def dead() -> Iterator[Address]:
    """Listen with a full backlog: the kernel answers no further SYN."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield Address(socket.AF_INET, listener.getsockname())


REFUSED = Address(socket.AF_INET, ("127.0.0.1", 1))


async def reached(addresses: list[Address]) -> tuple[str, int]:
    opened = await asyncio.wait_for(connect_first(addresses), 10)
    with opened:
        return opened.getpeername()


def test_a_dead_first_address_does_not_keep_us_from_the_second(
    alive: Address, dead: Address
) -> None:
    assert uvloop.run(reached([dead, dead, REFUSED, alive])) == alive.place


def test_of_addresses_that_all_refuse_the_refusal_is_told() -> None:
    with pytest.raises(ConnectionRefusedError):
        uvloop.run(reached([REFUSED, REFUSED]))


def test_losing_the_race_leaves_no_socket_behind(alive: Address) -> None:
    async def race() -> int:
        opened = await connect_first([alive, alive, alive])
        opened.close()
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert uvloop.run(race()) == 1  # an open socket that nobody has would be a warning: an error


def test_a_name_that_hangs_holds_one_thread_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, alive: Address
) -> None:
    """The name server is what a test cannot bring along, so the resolver's call is replaced."""
    release = threading.Event()
    looked_up: list[str] = []

    def resolve(name: str, port: int, **_: object) -> list[tuple[object, ...]]:
        looked_up.append(name)
        if name == "hangs.example":
            release.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(dial.socket, "getaddrinfo", resolve)

    async def connect_all() -> list[str]:
        hanging = Host("hangs.example", alive.place[1])
        waiting = [asyncio.create_task(hanging.connect()) for _ in range(50)]
        await asyncio.sleep(0)
        with await asyncio.wait_for(Host("works.example", alive.place[1]).connect(), 10):
            before = list(looked_up)
        waiting[0].cancel()
        release.set()
        for opened in await asyncio.gather(*waiting[1:]):
            opened.close()
        return before

    assert sorted(uvloop.run(connect_all())) == ["hangs.example", "works.example"]
    assert len(looked_up) == 2
