"""A TCP connection to a host: its name looked up, its addresses tried side by side.

The event loop's own lookups share four threads (libuv), which a dead name server would hold against
every other upstream, and uvloop tries addresses one after the other. So each host has one lookup
under way at most, in a thread of its own, which all who wait for it share; and the addresses
are raced as RFC 8305 (Happy Eyeballs) asks.
"""

import asyncio
import ipaddress
import socket
from contextlib import ExitStack, suppress
from itertools import chain, zip_longest
from threading import Thread
from typing import Any, NamedTuple

NEXT_ADDRESS_S = 0.25
"""How long an address may keep us from trying the next: RFC 8305 section 5."""


class Address(NamedTuple):
    """One address of a host, as `socket.connect` takes it."""

    family: int
    place: tuple[Any, ...]


class Host:
    """A host and a port, and how to connect to it."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._port = port
        self._lookup: asyncio.Future[list[Address] | OSError] | None = None

    async def connect(self) -> socket.socket:
        """Connect; raises `OSError`. To be bounded in time by the caller."""
        addresses = await self._addresses()
        if len(addresses) == 1:
            return await _connect(addresses[0])
        return await connect_first(addresses)

    async def _addresses(self) -> list[Address]:
        with suppress(ValueError):
            is_v6 = ipaddress.ip_address(self._name).version == 6
            return [Address(socket.AF_INET6 if is_v6 else socket.AF_INET, (self._name, self._port))]
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.get_running_loop().create_future()
            # A daemon: a lookup that hangs must not keep the process from ending.
            arguments = (self._name, self._port, self._lookup)
            Thread(target=_look_up, args=arguments, name="lookup", daemon=True).start()
        found = await asyncio.shield(self._lookup)
        if isinstance(found, OSError):
            raise found
        return found


def _look_up(name: str, port: int, answer: asyncio.Future[list[Address] | OSError]) -> None:
    found: list[Address] | OSError
    try:
        rows = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        found = [Address(family, place) for family, _, _, _, place in rows]
    except OSError as error:
        found = error
    except UnicodeError:  # a name that no DNS label can hold
        found = socket.gaierror(socket.EAI_NONAME, "not a host name")
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answer.get_loop().call_soon_threadsafe(answer.set_result, found)


async def connect_first(addresses: list[Address]) -> socket.socket:
    """Connect to the first address that answers; raises the last `OSError` if none does."""
    waiting = _interleaved(addresses)
    racing: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError("the host has no address")
    try:
        while waiting or racing:
            if waiting:
                racing.add(asyncio.ensure_future(_connect(waiting.pop(0))))
            patience_s = NEXT_ADDRESS_S if waiting else None
            done, racing = await asyncio.wait(
                racing, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    done.remove(task)
                    racing |= done
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for task in racing:
            task.add_done_callback(_close_unused)
            task.cancel()


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Alternate between the families, the resolver's first one first: RFC 8305 section 4."""
    first = [each for each in addresses if each.family == addresses[0].family]
    others = [each for each in addresses if each.family != addresses[0].family]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]


async def _connect(address: Address) -> socket.socket:
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    with ExitStack() as undo:
        undo.callback(opened.close)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, address.place)
        undo.pop_all()
    return opened


def _close_unused(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
