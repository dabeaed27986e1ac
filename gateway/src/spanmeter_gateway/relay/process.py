"""One relay process: told its configuration on standard input, serves until told to stop.

The end of standard input means that the supervisor is gone: the relay drains and ends, as on
SIGTERM. A second SIGTERM ends what is still open.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys

import uvicorn
import uvloop

from spanmeter_gateway.board import DROPPED_FIELDS, Column
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.privacy import begin_process
from spanmeter_gateway.relay.accept import Acceptor, Turns, allow_connections
from spanmeter_gateway.relay.front import RelayProtocol
from spanmeter_gateway.relay.instructions import Instructions
from spanmeter_gateway.relay.opening import Opened, open_configuration
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.trace import Sampler
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.start import Lines, Start

IDLE_DRAIN_S = 2.0
"""How long a request may take to arrive that a caller sent before it could know of the drain."""

log = logging.getLogger("spanmeter.relay")


def main() -> None:
    """Run a relay; the process's entry point."""
    begin_process(logging.WARNING)
    lines = Lines(sys.stdin.fileno())
    start = Start.read(lines)
    assert start.fd is not None
    listener = socket.socket(fileno=start.fd)
    try:
        uvloop.run(_serve(start, listener, lines))
    except StartError as error:
        # One line, because the supervisor tries again and again: what to do is in it.
        log.error("cannot start: %s", error)
        sys.exit(1)


async def _serve(start: Start, listener: socket.socket, lines: Lines) -> None:
    config = start.config
    board = start.open_board()
    column = board.column(start.worker)
    spool = SpoolWriter(
        config.data_dir / "spool",
        worker=start.worker,
        on_drop=lambda reason, receipts: column.add(DROPPED_FIELDS[reason], receipts),
        max_bytes=config.spool.max_bytes,
        generation=start.generation,
        flush_interval_s=config.spool.flush_interval_s,
    )
    spool.start()
    opened = open_configuration(config, start.generation)
    relay = _relay(opened, spool=spool, column=column)
    turns = Turns(board, start.worker, relay.connections)
    server = _Server(_uvicorn_config(config, relay), relay, turns)
    server.instructions = Instructions(
        lines,
        opened,
        column,
        commit=lambda opened: _commit(opened, relay=relay, server=server, spool=spool),
        end=lambda: server.handle_exit(signal.SIGTERM, None),
    )
    allow_connections(config.limits.max_connections)
    _spare_the_collector()
    sweeping = asyncio.create_task(relay.sweep_forever())
    try:
        await server.serve(sockets=[listener])
    finally:
        sweeping.cancel()
        relay.close()
        spool.close()


def _relay(opened: Opened, *, spool: SpoolWriter, column: Column) -> Relay:
    config = opened.config
    return Relay(
        endpoints=opened.endpoints,
        rules=opened.rules,
        sampler=Sampler(os.environ),
        spool=spool,
        column=column,
        limits=config.limits,
        listen=(config.listen_host, config.listen_port),
    )


def _commit(opened: Opened, *, relay: Relay, server: "_Server", spool: SpoolWriter) -> None:
    """Serve by a configuration that was opened beside the one before."""
    config = opened.config
    relay.reconfigure(endpoints=opened.endpoints, rules=opened.rules, limits=config.limits)
    spool.generation = opened.generation
    spool.limit(max_bytes=config.spool.max_bytes, flush_interval_s=config.spool.flush_interval_s)
    allow_connections(config.limits.max_connections)
    server.config.timeout_graceful_shutdown = _drain_s(config)
    if config.tls is not None and server.config.ssl is not None:
        try:
            # New handshakes use it; connections that are open have theirs.
            server.config.ssl.load_cert_chain(config.tls.cert_file, config.tls.key_file)
        except OSError as error:  # the files were good a moment ago, and will be seen to change
            log.error("cannot use the new certificate: %s", error)


def _uvicorn_config(config: Config, relay: Relay) -> uvicorn.Config:
    tls = config.tls
    return uvicorn.Config(
        relay,  # type: ignore[arg-type]  # the protocol takes it from here; no ASGI cycle runs
        interface="asgi3",
        http=RelayProtocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_drain_s(config),
        ssl_certfile=tls.cert_file if tls else None,
        ssl_keyfile=tls.key_file if tls else None,
    )


def _drain_s(config: Config) -> int:
    return max(1, round(config.drain_s))


class _Server(uvicorn.Server):
    """uvicorn's server, which tells the relay that it drains and ends on a second signal."""

    def __init__(self, config: uvicorn.Config, relay: Relay, turns: Turns) -> None:
        super().__init__(config)
        self._relay = relay
        self._turns = turns
        self.instructions: Instructions | None = None
        """Followed from the moment it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept from the one socket in turns with the other workers."""
        assert sockets is not None
        acceptor = Acceptor(sockets[0], self._new_protocol, turns=self._turns, tls=self.config.ssl)
        self.servers = [acceptor]  # type: ignore[list-item]  # closes like an asyncio server
        self._acceptor = acceptor
        self.started = True
        if self.instructions is not None:
            self.instructions.start()

    def _new_protocol(self) -> RelayProtocol:
        return RelayProtocol(config=self.config, server_state=self.server_state, app_state={})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: no new connections, answers under way may end."""
        drain_s = self.config.timeout_graceful_shutdown or 0
        self._relay.idle_drain_s = min(IDLE_DRAIN_S, drain_s / 2)
        self._relay.is_draining = True
        self._acceptor.close()
        await self._acceptor.wait_opened(self._relay.idle_drain_s)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Drain at the first signal; end what is open at the second."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def _spare_the_collector() -> None:
    """Look for garbage cycles rarely: a call leaves none, and looking costs each call its share."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


if __name__ == "__main__":
    main()
