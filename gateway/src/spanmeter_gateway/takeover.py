"""How one gateway takes another's place: over a Unix socket in the data folder.

The running one gives its listening socket to who asks, and goes on. Once the other's relays serve
on that socket it is told to hand over: its relays drain, its books end, and then it says that the
data folder is free. Until it is told nothing has changed for it: who fails before has done no harm.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spanmeter_gateway.errors import StartError

PROTOCOL = 1
_NAME = "take-over"
_HAND_OVER = b"hand over\n"
_RELEASED = b"released\n"
_ANSWER_S = 10.0
ASKED_S = 120.0
"""How long who asked may take to bring its relays up, before the next may ask."""
ALWAYS = frozenset({0})
"""Users who may ask beside our own: root may do anything to us anyway."""
_MOST_BYTES = 4096
_LONGEST_ADDRESS = 103
"""Bytes: `sun_path` has 108 on Linux (unix(7)) and 104 on macOS, the last one a zero."""

log = logging.getLogger("spanmeter")


class Place(msgspec.Struct, frozen=True):
    """What the running gateway says of itself, beside its socket."""

    listen: tuple[str, int]
    books: tuple[str, int]
    protocol: int = PROTOCOL


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The gateway whose place is to be taken, and its listening socket."""

    place: Place
    listener: socket.socket
    connection: socket.socket

    async def hand_over(self, patience_s: float) -> bool:
        """Tell it to hand over; true when it says that the data folder is free."""
        loop = asyncio.get_running_loop()
        self.connection.setblocking(False)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(patience_s):
                await loop.sock_sendall(self.connection, _HAND_OVER)
                return await loop.sock_recv(self.connection, _MOST_BYTES) == _RELEASED
        return False


def ask(folder: Path) -> Predecessor | None:
    """Ask the gateway that runs in a data folder for its place; `None`: none runs there.

    Raises `StartError` where one does and cannot be taken over.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_S)
    try:
        with _address(folder) as address:
            connection.connect(address)
        return _hear(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except (OSError, msgspec.DecodeError) as error:
        connection.close()
        raise StartError(
            "cannot take over the gateway of this data_dir: it is busy, of another version or of "
            "another user; it goes on"
        ) from error


def _hear(connection: socket.socket) -> Predecessor:
    said, fds, _, _ = socket.recv_fds(connection, _MOST_BYTES, 1)
    listeners = [socket.socket(fileno=fd) for fd in fds]
    try:
        place = msgspec.json.decode(said, type=Place)
        if place.protocol != PROTOCOL or not listeners:
            raise OSError("another protocol")
    except (OSError, msgspec.DecodeError):
        for listener in listeners:
            listener.close()
        raise
    return Predecessor(place, listeners[0], connection)


@dataclass(frozen=True, slots=True)
class Door:
    """Where the next gateway of this data folder asks."""

    folder: Path
    place: Place
    listener: socket.socket

    async def attend(self, hand_over: Callable[[], Awaitable[None]]) -> None:
        """Answer who asks, one after the other, until one has taken over or this is cancelled.

        `hand_over` returns when the data folder is free.
        """
        loop = asyncio.get_running_loop()
        try:
            door = self._open()
        except OSError as error:
            log.warning("this gateway cannot be taken over: %s", error.strerror or error)
            return
        with door:
            while True:
                connection, _ = await loop.sock_accept(door)
                with connection:
                    connection.setblocking(False)
                    if _is_ours(connection) and await self._is_told(connection):
                        # The next gateway opens a door of its own at this place.
                        (self.folder / _NAME).unlink(missing_ok=True)
                        await hand_over()
                        with suppress(OSError):
                            await loop.sock_sendall(connection, _RELEASED)
                        return

    def _open(self) -> socket.socket:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            (self.folder / _NAME).unlink(missing_ok=True)  # of a gateway that was killed
            with _address(self.folder) as address:
                door.bind(address)
            (self.folder / _NAME).chmod(0o600)
            door.listen()
            door.setblocking(False)
        except OSError:
            door.close()
            raise
        return door

    async def _is_told(self, connection: socket.socket) -> bool:
        """Give who asks the socket, and wait for its word; false when it gave up."""
        with suppress(OSError, TimeoutError):
            said = msgspec.json.encode(self.place)
            socket.send_fds(connection, [said], [self.listener.fileno()])
            async with asyncio.timeout(ASKED_S):
                word = await asyncio.get_running_loop().sock_recv(connection, _MOST_BYTES)
            return word == _HAND_OVER
        return False


def _is_ours(connection: socket.socket) -> bool:
    """Say whether who asks is the same user, or root; the socket's mode says so everywhere else."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")  # struct ucred: pid, uid, gid (unix(7))
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return uid in ALWAYS or uid == os.getuid()


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """Give the socket's address; of a folder with a long name, one by way of a descriptor."""
    path = str(folder / _NAME)
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield path
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{_NAME}"
    finally:
        os.close(fd)
