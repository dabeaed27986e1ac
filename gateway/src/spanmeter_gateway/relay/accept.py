"""New connections, shared evenly between the workers that listen on one socket.

The event loop's own server accepts until nothing waits, so in a burst the worker that wakes first
takes all. Here a worker that has more of them than another leaves the socket to that one for a
moment. What each has stands on the board. The socket itself is the supervisor's: a worker that
dies takes none of the waiting connections with it.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Callable, Sized

from spanmeter_gateway.board import Board, Field

BEAT_S = 0.25
SILENT_MS = 1000
"""A worker that has not said for so long that it accepts is not waited for: it hangs or is gone."""
SLACK_DIVISOR = 8
"""An eighth more than another worker is even enough: waiting costs the caller time."""
PAUSE_S = 0.001
"""What a connection waits at most for each one that this worker has too many."""
LONGEST_PAUSE_S = 0.01
BATCH = 64
"""Connections taken at one wake-up; then open calls have their turn. A busy loop turns slowly."""
RETRY_S = 1.0
"""After an accept that failed for want of file descriptors or memory; asyncio waits so long too."""
_OUT_OF_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_OTHER_FILES = 256
"""Beside the connections: the spool, the board, libraries, pools that keep a few idle."""

log = logging.getLogger("spanmeter.relay")


def allow_connections(connections: int) -> None:
    """Raise this process's limit of open files as far as it may and as so many connections need.

    Each call has two: the caller's and the upstream's. The usual soft limit is 1024, kept for
    programs that call select(2); we do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Turns:
    """Whose turn it is to take a connection: that of the worker with the fewest."""

    def __init__(self, board: Board, worker: int, connections: Sized) -> None:
        self._board = board
        self._worker = worker
        self._own = board.column(worker)
        self._connections = connections

    def note(self, opening: int) -> int:
        """Tell the others what this worker has, `opening` ones included; returns it."""
        connections = len(self._connections) + opening
        self._own.set(Field.CONNECTIONS, connections)
        return connections

    def say_accepting(self, *, is_accepting: bool) -> None:
        """Tell the others whether this worker takes connections; to be said again and again."""
        self._own.set(Field.ACCEPTING_AT_MS, _now_ms() if is_accepting else 0)

    def too_many(self, connections: int) -> int:
        """Count what this worker has above the one with the fewest; at 0 it is its turn."""
        since_ms = _now_ms() - SILENT_MS
        fewest = connections
        for worker in range(self._board.workers):  # looked at anew: a reload may add some
            column = self._board.column(worker)
            if worker != self._worker and column.get(Field.ACCEPTING_AT_MS) > since_ms:
                fewest = min(fewest, column.get(Field.CONNECTIONS))
        return max(0, connections - fewest - fewest // SLACK_DIVISOR)


class Acceptor:
    """Takes connections from a listening socket; to uvicorn it looks like an asyncio server."""

    def __init__(
        self,
        listener: socket.socket,
        new_protocol: Callable[[], asyncio.Protocol],
        *,
        turns: Turns,
        tls: ssl.SSLContext | None,
    ) -> None:
        listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._new_protocol = new_protocol
        self._turns = turns
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._has_waited = False
        self._waiting: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._take)
        self._beat()

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""
        self._loop.remove_reader(self._listener)
        self._beating.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        self._turns.say_accepting(is_accepting=False)

    async def wait_opened(self, timeout_s: float) -> None:
        """Wait for the connections that were accepted and are in their TLS handshake."""
        if self._opening:
            await asyncio.wait(self._opening, timeout=timeout_s)

    async def wait_closed(self) -> None:
        """Return at once: `close` has done everything."""

    def _beat(self) -> None:
        self._turns.say_accepting(is_accepting=True)
        self._beating = self._loop.call_later(BEAT_S, self._beat)

    def _take(self) -> None:
        """Take what waits, as long as it is this worker's turn."""
        for _ in range(BATCH):
            too_many = self._turns.too_many(self._turns.note(len(self._opening)))
            if too_many and not self._has_waited:
                self._wait(min(too_many * PAUSE_S, LONGEST_PAUSE_S))
                return
            self._has_waited = False
            if not self._take_one():
                return
        self._turns.note(len(self._opening))

    def _take_one(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # mostly: nothing waits, or another worker was quicker
            if error.errno in _OUT_OF_ROOM:
                log.error("cannot accept a connection: %s; raise `ulimit -n`", error.strerror)
                self._wait(RETRY_S)
            return False
        connection.setblocking(False)
        opening = self._loop.create_task(self._open(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    def _wait(self, pause_s: float) -> None:
        self._loop.remove_reader(self._listener)
        self._waiting = self._loop.call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        # The next is taken in any case: the others have had their time.
        self._has_waited = True
        self._loop.add_reader(self._listener, self._take)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._new_protocol, connection, ssl=self._tls)
        except OSError:  # the caller has left, or speaks no TLS; there is no call to account for
            connection.close()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
