"""Keep-alive connections to one upstream: take, connect, give back.

The newest idle connection is taken first, so that a pool shrinks by itself when traffic does.
"""

import asyncio
import ssl

import certifi

from spanmeter_gateway.upstreams.connection import UpstreamConnection

IDLE_S = 55.0
"""An idle connection is closed after this: just under the 60 s of common load balancers."""
WRITE_HIGH_WATER_BYTES = 256 * 1024


class ConnectFailed(Exception):
    """No connection could be made; `slug` is `connection_refused`, `dns_error`, `tls_error`,
    `connect_timeout` or `connection_error`."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


class Pool:
    """The connections of one upstream in one relay process."""

    def __init__(
        self, *, host: str, port: int, tls: ssl.SSLContext | None, connect_s: float
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_s = connect_s
        self._idle: list[UpstreamConnection] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self) -> UpstreamConnection | None:
        """Take the newest idle connection that is still open, or `None`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a connection; raises `ConnectFailed`."""
        loop = self._loop = asyncio.get_running_loop()
        opening = loop.create_connection(
            UpstreamConnection,
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        try:
            transport, connection = await asyncio.wait_for(opening, self._connect_s)
        except TimeoutError as late:
            raise ConnectFailed("connect_timeout") from late
        except OSError as error:
            raise ConnectFailed(_slug(error)) from error
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        connection.pooled_by(self._give_back, self._drop)
        return connection

    def sweep(self, now_s: float) -> None:
        """Close connections that were idle too long; `now_s` is the loop's time."""
        keep = []
        for connection in self._idle:
            if now_s - connection.idle_since > IDLE_S:
                connection.close()
            else:
                keep.append(connection)
        self._idle = keep

    def close(self) -> None:
        """Close all idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle = []

    def _give_back(self, connection: UpstreamConnection) -> None:
        assert self._loop is not None
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def _drop(self, connection: UpstreamConnection) -> None:
        if connection.sink is None and connection in self._idle:
            self._idle.remove(connection)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Make a context that checks certificates and host names.

    Trusts `ca_file` alone when given, else the system's store and Mozilla's (certifi), because slim
    images come without a store. Raises OSError or ssl.SSLError for an unusable file.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _slug(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_error"
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if type(error).__name__ == "gaierror":
        return "dns_error"
    return "connection_error"
