"""One HTTP/1.1 exchange as a pretend provider sees it: what came, and full control of what goes.

Hand-written on purpose: no HTTP library lets a test choose the bytes, their pieces and their end.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http.client import responses

from tests.fakes import wire

Headers = Sequence[tuple[str, str]]

HEAD_LIMIT_BYTES = 1 << 20


@dataclass(slots=True)
class Received:
    """One request as it came: the raw target, the headers in order, the body's bytes."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    """Counts the connections from 0: equal numbers came over one connection."""
    cut: threading.Event = field(default_factory=threading.Event)
    """Set when the peer left before the answer was complete."""

    def header(self, name: str, default: str = "") -> str:
        """Return the first value of a header; names ignore case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, framed as asked: `chunked`, `length` or `close`."""

    status: int
    headers: Headers
    pieces: Sequence[bytes] = ()
    framing: str = "length"
    is_aborted: bool = False
    """Drop the connection after the last piece instead of ending the answer."""


class PeerLeft(Exception):
    """The other side closed the connection."""


@dataclass(slots=True)
class Exchange:
    """A received request and the connection to answer it on."""

    received: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, answer: Answer) -> bool:
        """Send a whole answer; returns whether the connection may be used again."""
        has_body = self.received.method != "HEAD" and answer.status not in (204, 304)
        length = sum(map(len, answer.pieces))
        framing = {
            "chunked": [("transfer-encoding", "chunked")],
            "length": [("content-length", str(length))],
            "close": [("connection", "close")],
        }[answer.framing]
        if answer.status in (204, 304):
            framing = []
        elif answer.is_aborted and answer.framing == "length":
            framing = [("content-length", str(length + 1))]
        await self.send_head(answer.status, [*answer.headers, *framing])
        if has_body:
            await self.send_pieces(answer.pieces, chunked=answer.framing == "chunked")
        return await self._end(answer) if has_body else True

    async def _end(self, answer: Answer) -> bool:
        if answer.is_aborted:
            # Only a reset shows that a body which ends with its connection is incomplete.
            await (self.reset() if answer.framing == "close" else self.close())
        elif answer.framing == "chunked":
            await self.write(b"0\r\n\r\n")
        return not answer.is_aborted and answer.framing != "close"

    async def send_head(self, status: int, headers: Headers, *, version: str = "1.1") -> None:
        """Send a status line and header lines; the names and values exactly as given."""
        lines = [f"HTTP/{version} {status} {_reason(status)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send_pieces(self, pieces: Iterable[bytes], *, chunked: bool) -> None:
        """Send the pieces one write each, as HTTP chunks or bare."""
        for piece in wire.frame_chunked(pieces) if chunked else pieces:
            await self.write(piece)

    async def write(self, piece: bytes) -> None:
        """Hand bytes to the kernel, waiting for room; raises `PeerLeft`."""
        try:
            self.writer.write(piece)
            await self.writer.drain()
        except ConnectionError as error:
            raise PeerLeft from error

    async def gone(self) -> None:
        """Wait until the peer closes the connection."""
        try:
            while await self.reader.read(4096):
                pass
        except ConnectionError:
            return

    async def gone_within(self, seconds: float) -> bool:
        """Wait at most so long for the peer to leave, and say whether it did."""
        try:
            await asyncio.wait_for(self.gone(), seconds)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Close after everything written has gone out."""
        self.writer.close()

    async def reset(self) -> None:
        """End the connection with a TCP reset, after everything written has gone out."""
        tcp: socket.socket = self.writer.get_extra_info("socket")
        # A reset throws away what the peer has not acknowledged yet (tcp(7), SIOCOUTQ).
        while self.writer.transport.get_write_buffer_size() or unacknowledged_bytes(tcp):  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(0.001)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not `close`, which over TLS says good-bye first: an answer that ends so is complete.
        self.writer.transport.abort()


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
) -> Received | None:
    """Read one request; `None` at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    received = Received(method, target, headers, b"", connection)
    if received.header("expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    received.body = await _read_body(reader, received)
    return received


async def _read_body(reader: asyncio.StreamReader, received: Received) -> bytes:
    if received.header("transfer-encoding").lower() != "chunked":
        return await reader.readexactly(int(received.header("content-length", "0")))
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return bytes(body)


def unacknowledged_bytes(tcp: socket.socket) -> int:
    """Ask the kernel how much of what was sent the other side has not confirmed."""
    answer = fcntl.ioctl(tcp.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)


def _reason(status: int) -> str:
    # 529 is Anthropic's own and has no phrase; an empty one is legal (RFC 9112, 4).
    return responses.get(status, "")
