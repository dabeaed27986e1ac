"""`serve`: one process that holds the port and the data folder, and keeps relays and books alive.

It binds the relay's socket itself, so that a bad address is one clear error at the start and a
relay that crashes leaves the port open: calls wait in its queue until the next relay takes them.
At a stop relays end first and books last, because books enter what the relays wrote.
"""

import asyncio
import errno
import fcntl
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from spanmeter_gateway import compiled
from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.children import Child, stop
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.start import Start

BACKLOG = 2048
"""Connections that wait while all relays are busy or restarting; uvicorn's default too."""
BOOKS_PATIENCE_S = 30.0
"""Books enter what is left in the spool; what they do not reach waits there for the next start."""
RELAY_GRACE_S = 5.0
"""What a relay may need after its drain has ended, to write its last receipts."""
MAX_EARLY_ENDS = 5
"""A child that never comes up ends the start; once the gateway was ready it is tried for ever."""
READY_POLL_S = 0.05

log = logging.getLogger("spanmeter")


@dataclass(frozen=True, slots=True)
class Commands:
    """What runs as a relay and as books."""

    relay: Sequence[str] = (sys.executable, "-m", "spanmeter_gateway.relay.process")
    books: Sequence[str] = (sys.executable, "-m", "spanmeter_gateway.books.main")


def serve(config: Config, *, on_ready: Callable[[], None], commands: Commands | None = None) -> int:
    """Run the gateway until it is told to stop; the exit status.

    `on_ready` is called once, when the relay port answers. Raises `StartError` for what an
    operator must change: a port or a folder that is in use or not ours.
    """
    with ExitStack() as held:
        lock = held.enter_context(_locked(config.data_dir))
        check_free(config.books_host, config.books_port, "books.listen")
        listener = held.enter_context(bind(config.listen_host, config.listen_port, "listen"))
        listener.listen(BACKLOG)
        try:
            board = Board.create(config.data_dir / "board", config.workers)
        except OSError as error:
            raise _cannot_write(config.data_dir, error) from error
        supervisor = _Supervisor(config, commands or Commands(), listener=listener, lock_fd=lock)
        return asyncio.run(supervisor.run(board, on_ready))


class _Supervisor:
    def __init__(
        self, config: Config, commands: Commands, *, listener: socket.socket, lock_fd: int
    ) -> None:
        self._config = config
        self._commands = commands
        self._listener = listener
        self._fd = listener.fileno()
        self._lock_fd = lock_fd

    async def run(self, board: Board, on_ready: Callable[[], None]) -> int:
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        self._say_start()
        environ = compiled.environ(os.environ)
        relays = [self._relay(board, worker, environ) for worker in range(self._config.workers)]
        # Books inherit the lock: they may outlive us for a moment, and while they do nobody else
        # may enter the same spool.
        first_line = Start(self._config).to_line()
        books = Child("books", self._commands.books, first_line, fds=(self._lock_fd,))
        async with asyncio.TaskGroup() as group:
            for child in (books, *relays):
                group.create_task(child.keep_alive(self._stopping))
            started = await self._until_ready(relays)
            if started:
                on_ready()
                await self._stopping.wait()
            self._stopping.set()
            calls = board.total(Field.CALLS_IN_FLIGHT)
            log.info("stopping: calls in flight: %d, drain_s: %g", calls, self._config.drain_s)
            # Ours too must go: a socket that is open but served by nobody lets new calls hang.
            self._listener.close()
            await stop(relays, self._hurry, self._config.drain_s + RELAY_GRACE_S)
            await stop([books], self._hurry, BOOKS_PATIENCE_S)
        log.info("stopped")
        return 0 if started is not False else 1

    def _say_start(self) -> None:
        is_compiled = compiled.find() is not None
        log.info(
            "starting %s: relay %s, books %s, workers: %d, %s",
            version("spanmeter-gateway"),
            self._config.listen_url,
            self._config.books_listen_url,
            self._config.workers,
            "compiled" if is_compiled else "interpreted, at half the speed: spanmeter compile",
        )

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def _relay(self, board: Board, worker: int, environ: Mapping[str, str]) -> Child:
        return Child(
            name=f"relay {worker}",
            argv=self._commands.relay,
            first_line=Start(self._config, worker, self._fd).to_line(),
            fds=(self._fd,),
            environ=environ,
            on_end=lambda: board.clear_live(worker),
        )

    async def _until_ready(self, relays: Sequence[Child]) -> bool | None:
        """Wait until the port answers: true; false: it never will; `None`: told to stop."""
        while not self._stopping.is_set():
            if all(relay.ended_early >= MAX_EARLY_ENDS for relay in relays):
                log.error("no relay starts; the lines above say why")
                return False
            if await _is_ready(self._config):
                return True
            await asyncio.sleep(READY_POLL_S)
        return None


async def _is_ready(config: Config) -> bool:
    # The certificate is for the callers' name of us, not for the address that we ask.
    context = ssl._create_unverified_context() if config.tls else None
    host = config.url.split("//")[1].rsplit(":", 1)[0].strip("[]")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, config.listen_port, ssl=context)
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: spanmeter\r\nconnection: close\r\n\r\n")
            status_line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status_line


def bind(host: str, port: int, key: str) -> socket.socket:
    """Bind a listening address; `key` is where the operator wrote it. Raises `StartError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"{key}: cannot resolve {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartError(f"{key}: {_why_not(error, host, port)}") from error
    return listener


def check_free(host: str, port: int, key: str) -> None:
    """Raise `StartError` if an address that a child will bind cannot be bound."""
    bind(host, port, key).close()


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port} is in use by another program; stop it, or choose another port "
            "in the configuration"
        )
    if error.errno == errno.EACCES:
        return f"may not listen on port {port}; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine"
    return f"cannot listen on {host}:{port}: {error.strerror}"


def _cannot_write(folder: Path, error: OSError) -> StartError:
    return StartError(
        f"data_dir: cannot write to {folder}: {error.strerror}; the gateway keeps its receipts "
        "there and needs a folder of its own"
    )


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd
    except BlockingIOError as error:
        raise StartError(
            f"data_dir: {folder} is in use by another gateway; stop it, or give this one a "
            "data_dir of its own"
        ) from error
    finally:
        os.close(fd)
