"""One HTTP/1.1 connection to an upstream: sends a request, hands the answer over as it arrives.

Callbacks on an asyncio protocol, because a task and two awaits for each piece would cost more than
the relay itself. It knows HTTP framing and nothing of calls, dialects or providers.
"""

import asyncio
import re
from typing import Protocol

import httptools
from mypy_extensions import mypyc_attr

from spanmeter_gateway.upstreams.transfer_chunks import whole_chunks

_NOTED = frozenset(
    (
        *(b"connection", b"content-encoding", b"content-length", b"content-type"),
        b"transfer-encoding",
    )
)
_NOTED_LENGTHS = frozenset(map(len, _NOTED))
_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9112 section 4; the parser lets NUL and other control characters through."""

_HEAD_LIMIT_BYTES = 256 * 1024
"""Of an answer's head with all interim answers before it; real ones have a few kilobytes."""


class NotHttp(Exception):
    """The answer breaks HTTP where the parser does not mind."""


@mypyc_attr(allow_interpreted_subclasses=True)
class AnswerSink:
    """Who asked: is told what each read brought, and of the one end.

    A class to be derived from, because compiled code calls its methods without a look-up by name.
    """

    __slots__ = ()

    def answer(
        self, head: "AnswerHead | None", pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        """Take what one read brought: the head (once, first), body pieces (transfer coding
        removed), and whether the answer is complete.

        `framed`: the pieces as they came, where the read was whole transfer chunks; else nothing.
        """

    def answer_lost(self, *, garbled: bool) -> None:
        """Know that the connection ended before the answer did; `garbled`: it was not HTTP."""

    def upload_paused(self) -> None:
        """Stop sending the request's body for now."""

    def upload_resumed(self) -> None:
        """Go on sending the request's body."""


class AnswerHead:
    """Status line and headers as they came: raw names, order and duplicates kept."""

    __slots__ = ("content_length", "headers", "is_chunked", "noted", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.content_length: int | None = None
        self.is_chunked = False
        self.noted: dict[bytes, bytes] = {}
        """Values that the relay must know, by lower-case name; the first of each."""


class UpstreamConnection(asyncio.Protocol):
    """A pooled connection. Between two exchanges `sink` is `None`."""

    __slots__ = (
        "_close_after",
        "_has_junk",
        "_head",
        "_is_between_chunks",
        "_is_complete",
        "_is_head_request",
        "_new_head",
        "_on_free",
        "_on_lost",
        "_parser",
        "_pieces",
        "answer_began",
        "has_served",
        "head_bytes",
        "idle_since",
        "is_closed",
        "is_request_whole",
        "sink",
        "transport",
    )

    def __init__(self) -> None:
        self.sink: AnswerSink | None = None
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set when connected
        self.is_closed = False
        self.has_served = False
        self.idle_since = 0.0
        self.answer_began = False
        self.is_request_whole = True
        """An answer may come early; the rest of its request makes the connection unfit for more."""
        self._parser = httptools.HttpResponseParser(self)
        self._head = AnswerHead()
        self._pieces: list[bytes] = []
        self._new_head: AnswerHead | None = None
        self._is_complete = False
        self._has_junk = False
        self._is_between_chunks = False
        """The parser waits for a chunk's size line and has nothing of it: chunks may pass it by."""
        self.head_bytes = 0
        """Read of the answer before its head was whole."""
        self._is_head_request = False
        self._close_after = False
        self._on_free = _forget
        self._on_lost = _forget

    def pooled_by(self, on_free: "ConnectionEvent", on_lost: "ConnectionEvent") -> None:
        """Name who takes the connection back and who must know that it is gone."""
        self._on_free = on_free
        self._on_lost = on_lost

    # what the caller's side asks

    def send(
        self,
        sink: AnswerSink,
        request: bytes,
        *,
        is_whole: bool = True,
        is_head_request: bool = False,
    ) -> None:
        """Start an exchange: write the request head, with the body unless that follows."""
        self.sink = sink
        self.answer_began = False
        self.head_bytes = 0
        self._is_head_request = is_head_request
        self._close_after = False
        self.is_request_whole = is_whole
        self.transport.write(request)

    def send_more(self, piece: bytes) -> None:
        """Write a further part of the request's body, framed already."""
        if not self.is_closed:
            self.transport.write(piece)

    def pause(self) -> None:
        """Stop reading the answer: the caller is slower than the provider."""
        if not self.is_closed:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read the answer again."""
        if not self.is_closed:
            self.transport.resume_reading()

    def cancel(self) -> None:
        """Give the exchange up at once; the provider sees the connection close."""
        self.sink = None
        self.is_closed = True
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        self.is_closed = True
        self.transport.close()

    # what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # a stream transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was under way: a body that only the close delimits is complete by it."""
        self.is_closed = True
        self._parser = None  # type: ignore[assignment]  # it knows us: no cycle is left behind
        self._on_lost(self)
        sink, self.sink = self.sink, None
        if sink is None:
            return
        head = self._head
        until_close = self.answer_began and not head.is_chunked and head.content_length is None
        if until_close and exc is None:
            sink.answer(None, [], is_end=True)
        else:
            sink.answer_lost(garbled=False)

    def eof_received(self) -> bool:
        """Close our side too; `connection_lost` tells the sink."""
        return False

    def pause_writing(self) -> None:
        """Tell the sink that the provider reads slower than the caller sends."""
        if self.sink is not None:
            self.sink.upload_paused()

    def resume_writing(self) -> None:
        """Tell the sink that there is room again."""
        if self.sink is not None:
            self.sink.upload_resumed()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived and hand it over in one call."""
        if self.sink is None:
            self.cancel()  # bytes without a request: not a peer to be reused
            return
        if self._is_between_chunks and (chunks := whole_chunks(data)):
            self.sink.answer(None, chunks, is_end=False, framed=data)
            return
        garbled = self._parse(data)
        sink, head, pieces = self.sink, self._new_head, self._pieces
        self._new_head = None
        if pieces:
            self._pieces = []
        is_end = self._is_complete
        if is_end:
            self._free()
        if head is not None or pieces or is_end:
            sink.answer(head, pieces, is_end=is_end)
        if garbled and self.sink is sink:
            self.cancel()
            sink.answer_lost(garbled=True)

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; tells whether what it was given is garbled."""
        try:
            self._parser.feed_data(data)
            if not self.answer_began:
                self._count_head(len(data))
        except NotHttp:
            return True
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # an upgrade unasked
            return not self._is_complete
        if self._is_between_chunks and not data.endswith(b"\r\n"):
            self._is_between_chunks = False  # the parser has part of a size line
        return False

    def _count_head(self, read_bytes: int) -> None:
        self.head_bytes += read_bytes
        if self.head_bytes > _HEAD_LIMIT_BYTES:
            raise NotHttp

    def _free(self) -> None:
        self.sink = None
        self._is_complete = False
        if self._close_after or self._has_junk or not self.is_request_whole:
            self.close()
        else:
            self.has_served = True
            self._on_free(self)

    # what the parser tells

    def on_message_begin(self) -> None:
        """Begin a fresh head: a 1xx answer may precede the real one."""
        if self._is_complete:
            self._has_junk = True  # more than was asked for: never give that to the next call
            return
        self._head = AnswerHead()

    def on_status(self, status: bytes) -> None:
        """Collect the reason phrase."""
        if not self._has_junk:
            self._head.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the header as it came."""
        if not (self._has_junk or self.answer_began):  # a trailer is no header (RFC 9110 6.5.1)
            self._head.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Keep the head for the sink, unless it is an interim answer."""
        if self._has_junk:
            return
        head = self._head
        head.status = self._parser.get_status_code()
        if head.status < 100 or (head.reason != b"OK" and not _REASON.fullmatch(head.reason)):
            raise NotHttp
        if head.status < 200:  # interim: consumed here (RFC 9110 section 15.2)
            return
        self._close_after = not self._parser.should_keep_alive()
        noted = head.noted
        for name, value in head.headers:
            if len(name) in _NOTED_LENGTHS:
                lower = name.lower()
                if lower in _NOTED:
                    noted.setdefault(lower, value)
        if b"content-length" in noted:
            head.content_length = int(noted[b"content-length"])
        head.is_chunked = _is_chunked(noted)
        self.answer_began = True
        self._new_head = head
        if self._is_head_request:
            # The parser cannot be told that no body follows, so the connection is not reused.
            self._close_after = True
            self._is_complete = True

    def on_body(self, piece: bytes) -> None:
        """Collect; one read may hold many transfer chunks."""
        if self._is_complete:
            return
        if not self.answer_began:  # the parser gives a body to interim answers from 104 on
            raise NotHttp
        self._pieces.append(piece)

    def on_chunk_header(self) -> None:
        """Know that a chunk has begun, or the trailer behind the last one."""
        self._is_between_chunks = False

    def on_chunk_complete(self) -> None:
        """Know that a chunk is whole."""
        self._is_between_chunks = True

    def on_message_complete(self) -> None:
        """Note the end; it is told after the read's pieces."""
        self._is_between_chunks = False
        if self._head.status >= 200:
            self._is_complete = True


def _is_chunked(noted: dict[bytes, bytes]) -> bool:
    coding = noted.get(b"transfer-encoding")
    # Another coding would reach the caller as if it were the body: its header does not.
    if coding is not None and coding.strip().lower() != b"chunked":
        raise NotHttp
    return coding is not None


class ConnectionEvent(Protocol):
    """Something happened to a connection."""

    def __call__(self, connection: UpstreamConnection) -> None: ...


def _forget(connection: UpstreamConnection) -> None:
    """Stand in until a pool is named."""
