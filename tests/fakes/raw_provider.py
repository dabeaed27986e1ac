"""A provider that is a function of each connection: for what no HTTP server would do."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, Self

Talk = Callable[[socket.socket], None]


class Tls(Protocol):
    """Secures connections: an `ssl.SSLContext`, or what stands in its place."""

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> Any:
        """Take the caller's handshake."""


class RawProvider:
    """Calls `talk(connection)` for each connection, in a thread of its own, and then closes it."""

    def __init__(self, talk: Talk, *, tls: Tls | None = None) -> None:
        self.connections = 0
        self._talk = talk
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._taking = threading.Thread(target=self._take, name="raw-provider")

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._taking.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Only a shutdown wakes a thread that waits in accept or recv.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._taking.join(10)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._tls is None:
                self._talk(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._open.add(secured)
                    self._talk(secured)
                    self._open.discard(secured)
        self._open.discard(connection)


def read_head(connection: socket.socket) -> bytes:
    """Read up to the end of a request's head, and what came with it; less at the end."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    return got


def saying(answer: bytes) -> Talk:
    """Make a provider that says this to a request."""

    def talk(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)

    return talk
