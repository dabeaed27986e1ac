"""An egress proxy that knows CONNECT alone, and remembers who asked for what."""

import asyncio
import base64
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Self

from tests.fakes.server_thread import ServerThread


@dataclass
class ConnectProxy:
    """The proxy in a thread of its own.

    `login` is the `user:password` that it demands. `answer` is said instead of making a tunnel;
    empty: nothing at all, until the other side leaves. `hangs_up` ends the connection behind it.
    """

    login: str | None = None
    answer: bytes | None = None
    hangs_up: bool = False
    tls: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    """The target of each CONNECT."""
    headers: list[str] = field(default_factory=list)
    """Every head as it came."""
    port: int = 0

    def __enter__(self) -> Self:
        self._server = ServerThread(self._take, name="connect-proxy", tls=self.tls)
        self.port = self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Its address, without a login."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.asked.append(head.split(" ")[1])
            self.headers.append(head)
            refusal = self.answer if self.answer is not None else self._denied(head)
            if refusal is None:
                await self._tunnel(self.asked[-1], reader, writer)
            else:
                writer.write(refusal)
                if not self.hangs_up:
                    await reader.read()
        writer.transport.abort() if self.hangs_up else writer.close()

    def _denied(self, head: str) -> bytes | None:
        if self.login is None:
            return None
        wanted = base64.b64encode(self.login.encode()).decode()
        if f"proxy-authorization: Basic {wanted}\r\n" in head:
            return None
        return b"HTTP/1.1 407 Authentication Required\r\ncontent-length: 0\r\n\r\n"

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.rpartition(":")
        there, on = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, on), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()
