"""Keep-alive connections to one upstream: take, connect, give back.

The newest idle connection is taken first, so that a pool shrinks by itself when traffic does.
"""

import asyncio
import socket
import ssl
from contextlib import ExitStack

from spanmeter_gateway.upstreams.connection import UpstreamConnection
from spanmeter_gateway.upstreams.dial import Host
from spanmeter_gateway.upstreams.proxy import Proxy
from spanmeter_gateway.upstreams.tunnel import TunnelRefused, open_tunnel
from spanmeter_gateway.upstreams.way import Way

IDLE_S = 55.0
"""An idle connection is closed after this: just under the 60 s of common load balancers."""
WRITE_HIGH_WATER_BYTES = 256 * 1024


class ConnectFailed(Exception):
    """No connection could be made; `slug` says why (docs/errors.md lists all), `status` what a
    proxy answered."""

    def __init__(self, slug: str, status: int | None = None) -> None:
        super().__init__(slug)
        self.slug = slug
        self.status = status


class Pool:
    """The connections of one upstream in one relay process."""

    def __init__(self, way: Way) -> None:
        self._way = way
        hop = way.proxy or way
        self._next_hop = Host(hop.host, hop.port)
        self._idle: list[UpstreamConnection] = []
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self) -> UpstreamConnection | None:
        """Take the newest idle connection that is still open, or `None`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, *, fresh: bool = False) -> UpstreamConnection:
        """Open a connection; raises `ConnectFailed`.

        `fresh`: a used one, which may be stale, would not do where a pool makes callers wait.
        """
        self._loop = asyncio.get_running_loop()
        try:
            proxy = self._way.proxy
            opening = self._open() if proxy is None else self._open_through(proxy)
            connection = await asyncio.wait_for(opening, self._way.connect_s)
        except TimeoutError as late:
            raise ConnectFailed("connect_timeout") from late
        except OSError as error:
            raise ConnectFailed(_slug(error)) from error
        if connection.is_closed:  # lost before its opener woke: it would tell nobody of its end
            raise ConnectFailed("connection_error")
        connection.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        connection.pooled_by(self._give_back, self._drop)
        return connection

    async def _open(self) -> UpstreamConnection:
        opened = await self._next_hop.connect()
        with ExitStack() as undo:
            undo.callback(opened.close)
            _, connection = await asyncio.get_running_loop().create_connection(
                UpstreamConnection,
                sock=opened,
                ssl=self._way.tls,
                server_hostname=self._way.host if self._way.tls else None,
            )
            undo.pop_all()
        return connection

    async def _open_through(self, proxy: Proxy) -> UpstreamConnection:
        transport = await self._tunnel(proxy)
        with ExitStack() as undo:
            undo.callback(transport.abort)
            connection = await self._enter(transport)
            undo.pop_all()
        return connection

    async def _tunnel(self, proxy: Proxy) -> asyncio.Transport:
        try:
            opened = await self._next_hop.connect()
            return await open_tunnel(
                opened, proxy, target=self._way.address, tls=self._way.proxy_tls
            )
        except OSError as error:
            raise ConnectFailed("proxy_unreachable") from error
        except TunnelRefused as refusal:
            raise ConnectFailed(_proxy_slug(refusal.status), refusal.status) from refusal

    async def _enter(self, transport: asyncio.Transport) -> UpstreamConnection:
        """Go on through a tunnel: from here on it is the upstream that speaks."""
        connection = UpstreamConnection()
        if self._way.tls is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        secured = await asyncio.get_running_loop().start_tls(
            transport, connection, self._way.tls, server_hostname=self._way.host
        )
        assert secured is not None
        connection.connection_made(secured)
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
        """Close all idle connections, and busy ones when they become idle."""
        self._is_closed = True
        for connection in self._idle:
            connection.close()
        self._idle = []

    def _give_back(self, connection: UpstreamConnection) -> None:
        assert self._loop is not None
        if self._is_closed:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def _drop(self, connection: UpstreamConnection) -> None:
        if connection.sink is None and connection in self._idle:
            self._idle.remove(connection)


_CERTIFICATE_SLUGS = {
    9: "certificate_expired",  # not valid yet
    10: "certificate_expired",
    62: "certificate_wrong_host",
    64: "certificate_wrong_host",  # the same of an IP address
}
"""By OpenSSL's X509_V_ERR_... (openssl-verification-options(1)); others are not trusted."""


def _slug(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_SLUGS.get(error.verify_code, "certificate_untrusted")
    if isinstance(error, ssl.SSLError):
        return "tls_error"
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, socket.gaierror):
        return "dns_error"
    return "connection_error"


def _proxy_slug(status: int | None) -> str:
    if status is None:
        return "proxy_error"
    if status == 407:
        return "proxy_unauthorized"
    # RFC 9110 section 15.6: a gateway that cannot reach what is behind it
    return "proxy_cannot_reach" if status in (502, 503, 504) else "proxy_refused"
