"""`serve`: one process that holds the port and the data folder, and keeps relays and books alive.

It binds the relay's socket itself, so that a bad address is one clear error at the start and a
relay that crashes leaves the port open: calls wait in its queue until the next relay takes them.
At a stop relays end first and books last, because books enter what the relays wrote.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

from spanmeter_gateway import compiled, listening, takeover
from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.children import Child, stop
from spanmeter_gateway.config import Config
from spanmeter_gateway.crew import Crew, Outfit
from spanmeter_gateway.folder_lock import FolderLock, cannot_write, check_spool
from spanmeter_gateway.reload import POLL_S, Reload, Source
from spanmeter_gateway.start import Start
from spanmeter_gateway.upstreams.secret import environ_without

BOOKS_PATIENCE_S = 30.0
"""Books enter what is left in the spool; what they do not reach waits there for the next start."""
HANDED_OVER_S = BOOKS_PATIENCE_S + 10.0
"""What a gateway may need to end its books for the one that takes its place."""
MAX_EARLY_ENDS = 5
"""A child that never comes up ends the start; once the gateway was ready it is tried for ever."""
READY_POLL_S = 0.05
LOCK_POLL_S = 0.1

log = logging.getLogger("spanmeter")


@dataclass(frozen=True, slots=True)
class Commands:
    """What runs as a relay and as books."""

    relay: Sequence[str] = (sys.executable, "-m", "spanmeter_gateway.relay.process")
    books: Sequence[str] = (sys.executable, "-m", "spanmeter_gateway.books.main")


def serve(
    config: Config,
    *,
    on_ready: Callable[[], None],
    commands: Commands | None = None,
    source: Source | None = None,
    take_over: bool = False,
) -> int:
    """Run the gateway until it is told to stop; the exit status.

    `on_ready` is called once, when the relay port answers. With a `source` the configuration is
    read again on SIGHUP and when its files change; without, SIGHUP is a stop. `take_over`: take the
    place of the gateway that runs in the same data folder, if there is one. Raises `StartError` for
    what an operator must change: a port or a folder that is in use or not ours.
    """
    with ExitStack() as held:
        lock = held.enter_context(FolderLock(config.data_dir))
        check_spool(config.data_dir)
        predecessor = takeover.ask(config.data_dir) if take_over else None
        if predecessor is None:
            lock.take()
        else:
            held.enter_context(predecessor.connection)
            held.enter_context(predecessor.listener)
        if predecessor is None or predecessor.place.books != (config.books_host, config.books_port):
            listening.check_free(config.books_host, config.books_port, "books.listen")
        listener = held.enter_context(_listener(config, predecessor))
        try:
            path = config.data_dir / "board"
            board = Board.create(path, config.workers)
            board_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise cannot_write(config.data_dir, error) from error
        held.callback(os.close, board_fd)
        outfit = Outfit(
            command=(commands or Commands()).relay,
            environ=_relay_environ(config),
            listener_fd=listener.fileno(),
            board=board,
            board_fd=board_fd,
        )
        supervisor = _Supervisor(
            config,
            Crew(config, outfit),
            books=_books(config, (commands or Commands()).books, fds=(lock.fd, board_fd)),
            listener=listener,
            lock=lock,
        )
        return asyncio.run(supervisor.run(on_ready, source=source, predecessor=predecessor))


def _relay_environ(config: Config) -> dict[str, str]:
    return compiled.environ(
        environ_without(os.environ, config.books_secrets, own=config.relay_secrets)
    )


def _books(config: Config, command: Sequence[str], *, fds: Sequence[int]) -> Child:
    environ = environ_without(os.environ, config.relay_secrets, own=config.books_secrets)
    return Child("books", command, b"", fds=fds, environ=environ)


def _listener(config: Config, predecessor: takeover.Predecessor | None) -> socket.socket:
    address = config.listen_host, config.listen_port
    if predecessor is not None and predecessor.place.listen == address:
        return predecessor.listener
    return listening.listen(*address, os.environ)


class _Supervisor:
    def __init__(
        self,
        config: Config,
        crew: Crew,
        *,
        books: Child,
        listener: socket.socket,
        lock: FolderLock,
    ) -> None:
        self._config = config
        self._crew = crew
        self._listener = listener
        self._lock = lock
        # Books inherit the lock: they may outlive us for a moment, and while they do nobody else
        # may enter the same spool.
        self._books = books
        self._is_handed_over = False

    async def run(
        self,
        on_ready: Callable[[], None],
        *,
        source: Source | None,
        predecessor: takeover.Predecessor | None,
    ) -> int:
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        self._asked_to_reload, self._released = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        on_hangup = self._signalled if source is None else self._asked_to_reload.set
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        self._say_start()
        self._books.first_line = self._books_line()
        async with asyncio.TaskGroup() as group:
            if predecessor is None:
                group.create_task(self._books.keep_alive())
            self._crew.start(group, self._hurry)
            started = await self._until_ready(is_alone=predecessor is None)
            if started and predecessor is not None:
                started = await self._take_over(predecessor, group)
            if started:
                on_ready()
                await self._serve_until_told(source)
            self._stopping.set()
            await self._end()
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

    def _books_line(self) -> bytes:
        board_fd = self._crew.outfit.board_fd
        return Start(self._config, board_fd=board_fd, generation=self._crew.generation).to_line()

    # the beginning

    async def _until_ready(self, *, is_alone: bool) -> bool | None:
        """Wait until the port answers: true; false: it never will; `None`: told to stop.

        Where another gateway serves on the same port, its answer says nothing of ours: every relay
        of ours must have said that it serves.
        """
        while not self._stopping.is_set():
            failed = [relay.ended_early >= MAX_EARLY_ENDS for relay in self._crew.relays]
            if all(failed) or (any(failed) and not is_alone):
                log.error("no relay starts; the lines above say why")
                return False
            if (is_alone or self._crew.is_serving()) and await _is_ready(self._config):
                return True
            await asyncio.sleep(READY_POLL_S)
        return None

    async def _take_over(
        self, predecessor: takeover.Predecessor, group: asyncio.TaskGroup
    ) -> bool | None:
        """Have the predecessor hand over, and start books when the data folder is free."""
        log.info("taking over: our relays serve, the others drain")
        if not await predecessor.hand_over(HANDED_OVER_S):
            log.warning("the gateway before did not say that it handed over; waiting for its books")
        while not self._lock.is_taken():
            if self._stopping.is_set():
                return None
            await asyncio.sleep(LOCK_POLL_S)
        group.create_task(self._books.keep_alive())
        return True

    # the middle

    async def _serve_until_told(self, source: Source | None) -> None:
        """Serve until told to stop or another gateway has taken over."""
        place = takeover.Place(
            (self._config.listen_host, self._config.listen_port),
            (self._config.books_host, self._config.books_port),
        )
        door = takeover.Door(self._config.data_dir, place, self._listener)
        self._attending = asyncio.create_task(door.attend(self._hand_over))
        reloading = asyncio.create_task(self._reload_forever(source))
        await self._stopping.wait()
        reloading.cancel()
        if not self._is_handed_over:
            self._attending.cancel()

    async def _hand_over(self) -> None:
        log.info("handing over to another gateway")
        self._is_handed_over = True
        self._stopping.set()
        await self._released.wait()

    async def _reload_forever(self, source: Source | None) -> None:
        if source is None:
            return
        reload = Reload(source, self._config)
        while True:
            is_asked = await _is_set(self._asked_to_reload, POLL_S)
            self._asked_to_reload.clear()
            if not is_asked and not self._config.reload_on_change:
                continue
            attempt = reload.attempt(is_asked=is_asked)
            if attempt is None:
                continue
            problems = attempt.problems or await self._crew.publish(attempt.config)
            if problems:
                reload.refused()
                self._crew.note_refused(problems)
                continue
            reload.published(attempt.config)
            self._config = attempt.config
            self._books.first_line = self._books_line()
            if attempt.renews_books:
                self._books.renew(BOOKS_PATIENCE_S)

    # the end

    async def _end(self) -> None:
        calls = self._crew.outfit.board.total(Field.CALLS_IN_FLIGHT)
        log.info("stopping: calls in flight: %d, drain_s: %g", calls, self._config.drain_s)
        # Ours too must go: a socket that is open but served by nobody lets new calls hang.
        self._listener.close()
        draining = self._crew.stop()
        if self._is_handed_over:
            await asyncio.gather(draining, self._release())
        else:
            await draining
            await self._end_books()

    async def _release(self) -> None:
        await self._end_books()
        self._lock.release()
        self._released.set()
        await self._attending

    async def _end_books(self) -> None:
        if self._books.has_begun:
            await stop([self._books], self._hurry, BOOKS_PATIENCE_S)


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False


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
