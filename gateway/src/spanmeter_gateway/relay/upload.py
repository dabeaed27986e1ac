"""The body of a request that passes through unread: sent in the parts in which it arrives."""

from spanmeter_gateway.relay.endpoint import Connection

WAITING_LIMIT_BYTES = 65_536
"""How much waits for a connection before the caller is paused."""


class Upload:
    """A request body on its way, framed as the caller framed it."""

    __slots__ = (
        "_is_chunked",
        "_waiting",
        "_waiting_bytes",
        "framing",
        "is_bodiless",
        "is_full",
        "is_whole",
    )

    def __init__(self, content_length: bytes | None, *, is_chunked: bool) -> None:
        self._is_chunked = is_chunked
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        length = int(content_length) if content_length is not None else 0
        self.is_bodiless = not is_chunked and length == 0
        self.is_whole = False
        self.is_full = False
        self.framing = b""
        """The framing header line that goes upstream; empty where there is no body."""
        if is_chunked:
            self.framing = b"transfer-encoding: chunked\r\n"
        elif content_length is not None:
            self.framing = b"content-length: %d\r\n" % length  # ours: no zeros or blanks of theirs

    def add(self, piece: bytes, *, connection: Connection | None) -> None:
        """Send a piece, or keep it until there is a connection."""
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece
        if connection is not None:
            connection.send_more(framed)
            return
        self._waiting.append(framed)
        self._waiting_bytes += len(framed)
        self.is_full = self._waiting_bytes > WAITING_LIMIT_BYTES

    def end(self, *, connection: Connection | None) -> None:
        """Know that the body is whole."""
        self.is_whole = True
        if self._is_chunked:
            if connection is not None:
                connection.send_more(b"0\r\n\r\n")
            else:
                self._waiting.append(b"0\r\n\r\n")
        if connection is not None:
            connection.is_request_whole = True

    def flush(self, connection: Connection) -> None:
        """Send what waited for the connection."""
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        self.is_full = False
        if waiting:
            connection.send_more(b"".join(waiting))
