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
from contextlib import suppress

import uvicorn
import uvloop

from spanmeter_gateway.access.keys import GatewayKeys
from spanmeter_gateway.board import DROPPED_FIELDS, Board, Column
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.relay.endpoint import open_endpoint, read_credential
from spanmeter_gateway.relay.front import RelayProtocol
from spanmeter_gateway.relay.journey import Rules
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.trace import Sampler
from spanmeter_gateway.routing.choice import Directory
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.start import LOG_FORMAT, Start

log = logging.getLogger("spanmeter.relay")


def main() -> None:
    """Run a relay; the process's entry point."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    start = Start.read(sys.stdin.buffer)
    assert start.fd is not None
    listener = socket.socket(fileno=start.fd)
    try:
        uvloop.run(_serve(start, listener))
    except StartError as error:
        # One line, because the supervisor tries again and again: what to do is in it.
        log.error("cannot start: %s", error)
        sys.exit(1)


async def _serve(start: Start, listener: socket.socket) -> None:
    config = start.config
    column = Board.open(config.data_dir / "board").column(start.worker)
    spool = SpoolWriter(
        config.data_dir / "spool",
        worker=start.worker,
        on_drop=lambda reason, receipts: column.add(DROPPED_FIELDS[reason], receipts),
        max_bytes=config.spool.max_bytes,
        flush_interval_s=config.spool.flush_interval_s,
    )
    spool.start()
    try:
        relay = _open_relay(config, spool=spool, column=column)
    except OSError as error:  # a file was there when the configuration was checked
        raise StartError(str(error)) from error
    server = _Server(_uvicorn_config(config, relay), relay)
    _spare_the_collector()
    sweeping = asyncio.create_task(relay.sweep_forever())
    parent = asyncio.create_task(_parent_gone(server))
    try:
        await server.serve(sockets=[listener])
    finally:
        parent.cancel()
        sweeping.cancel()
        relay.close()
        spool.close()


def _open_relay(config: Config, *, spool: SpoolWriter, column: Column) -> Relay:
    directory = Directory(
        config.upstreams,
        default=config.default_upstream,
        ignore_invalid_provider=config.invalid_provider_detect,
    )
    return Relay(
        endpoints={upstream.name: open_endpoint(upstream) for upstream in config.upstreams},
        rules=Rules(
            directory=directory,
            attribution=config.attribution,
            ask_for_usage=config.ask_for_usage,
            times_chunks=config.metrics.time_per_output_chunk,
            keys=_open_keys(config),
        ),
        sampler=Sampler(os.environ),
        spool=spool,
        column=column,
        limits=config.limits,
        listen=(config.listen_host, config.listen_port),
    )


def _open_keys(config: Config) -> GatewayKeys | None:
    if not config.gateway_keys:
        return None
    return GatewayKeys({key.name: read_credential(key.secret) or "" for key in config.gateway_keys})


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
        timeout_graceful_shutdown=max(1, round(config.drain_s)),
        ssl_certfile=tls.cert_file if tls else None,
        ssl_keyfile=tls.key_file if tls else None,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which tells the relay that it drains and ends on a second signal."""

    def __init__(self, config: uvicorn.Config, relay: Relay) -> None:
        super().__init__(config)
        self._relay = relay

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: no new connections, answers under way may end."""
        self._relay.is_draining = True
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


async def _parent_gone(server: _Server) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with suppress(OSError, ValueError):  # not a pipe: started by hand, without a supervisor
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        server.handle_exit(signal.SIGTERM, None)


if __name__ == "__main__":
    main()
