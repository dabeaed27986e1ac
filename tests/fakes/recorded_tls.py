"""The server's end of a TLS connection whose records are made here, so that they can be cut."""

import socket
import ssl
from typing import Self


class RecordedTls:
    """Stands where an `SSLContext` stands: secures connections whose records can be had."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> "RecordedConnection":
        """Take the caller's handshake."""
        return RecordedConnection(connection, self._context, server_side=server_side)


class RecordedConnection:
    """Reads and writes like a socket; `plain` is the connection below."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        self.plain = plain
        self._came, self._made = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._made, server_side=server_side)
        self._handshake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
            else:
                self._flush()
                return

    def recv(self, size: int) -> bytes:
        """Read what the caller sent; empty when it has left."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._fetch()
            except ssl.SSLZeroReturnError:
                return b""

    def records(self, *pieces: bytes) -> bytes:
        """Encrypt each piece as a record of its own."""
        for piece in pieces:
            self._tls.write(piece)
        return self._made.read()

    def sendall(self, piece: bytes) -> None:
        """Send a piece."""
        self.plain.sendall(self.records(piece))

    def fileno(self) -> int:
        """Name the descriptor below."""
        return self.plain.fileno()

    def shutdown(self, how: int) -> None:
        """Shut the connection below down."""
        self.plain.shutdown(how)

    def close(self) -> None:
        """End without a close_notify."""
        self.plain.close()

    def _flush(self) -> None:
        self.plain.sendall(self._made.read())

    def _fetch(self) -> None:
        piece = self.plain.recv(65536)
        if not piece:
            raise ConnectionResetError
        self._came.write(piece)
