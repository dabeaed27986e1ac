"""A tunnel through an HTTP proxy: CONNECT, and what the proxy says to it (RFC 9110 section 9.3.6).

`http` upstreams are tunnelled too. In the absolute form the proxy would speak HTTP in between: an
error of its own would pass for the provider's answer, and one connection would serve many hosts.
"""

import asyncio
import re
import socket
import ssl
from contextlib import ExitStack

from spanmeter_gateway.upstreams.proxy import Proxy

_HEAD_LIMIT_BYTES = 65_536
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")


class TunnelRefused(Exception):
    """The proxy made no tunnel; `status` is its answer, or `None` where it gave none of use."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


async def open_tunnel(
    opened: socket.socket, proxy: Proxy, *, target: str, tls: ssl.SSLContext | None
) -> asyncio.Transport:
    """Make a tunnel of a connection to the proxy; raises OSError and `TunnelRefused`."""
    with ExitStack() as undo:
        undo.callback(opened.close)
        _, request = await asyncio.get_running_loop().create_connection(
            TunnelRequest, sock=opened, ssl=tls, server_hostname=proxy.host if tls else None
        )
        undo.pop_all()
    return await request.ask(target, proxy)


class TunnelRequest(asyncio.Protocol):
    """A CONNECT under way: ends in the transport, from which the tunnel goes on."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._heard_bytes = 0

    async def ask(self, target: str, proxy: Proxy) -> asyncio.Transport:
        """Ask for a tunnel to `host:port`; raises `TunnelRefused`."""
        assert self._transport is not None
        lines = [b"CONNECT %b HTTP/1.1" % target.encode(), b"host: %b" % target.encode()]
        if proxy.authorization is not None:
            lines.append(b"proxy-authorization: %b" % proxy.authorization)
        self._transport.write(b"\r\n".join([*lines, b"", b""]))
        with ExitStack() as undo:
            undo.callback(self._transport.abort)
            await self._answer
            undo.pop_all()
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End without an answer."""
        self._end(TunnelRefused(None))

    def data_received(self, data: bytes) -> None:
        """Read the proxy's answer, interim ones aside; nothing may come behind it."""
        self._heard += data
        self._heard_bytes += len(data)
        while not self._answer.done():
            head, found, rest = self._heard.partition(b"\r\n\r\n")
            if not found:
                if self._heard_bytes > _HEAD_LIMIT_BYTES:
                    self._end(TunnelRefused(None))
                return
            said = _STATUS.match(head + b"\r\n")
            status = int(said[1]) if said else None
            if status is None or not 100 <= status < 200:
                # Who spoke behind a 2xx was not the provider: a server waits for its client.
                is_open = status is not None and 200 <= status < 300 and not rest
                is_2xx = status is not None and status < 300
                self._end(None if is_open else TunnelRefused(None if is_2xx else status))
            self._heard = rest

    def _end(self, refusal: TunnelRefused | None) -> None:
        if self._answer.done():
            return
        if refusal is None:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(refusal)
            self._answer.exception()  # seen: who asked may have been cancelled
