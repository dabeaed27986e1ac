"""The caller's connection: uvicorn's HTTP protocol with the ASGI cycle taken out.

uvicorn keeps what it is good at: listening, TLS, connection counting, signals and the order of a
graceful stop. Parsing ends in a `Call` instead of an ASGI task. Pinned to a uvicorn release line,
because it leans on attributes of `HttpToolsProtocol`.
"""

import logging
import re
from collections import deque
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanmeter_gateway.relay.call import Call
from spanmeter_gateway.relay.caller import Inbound
from spanmeter_gateway.relay.head import RequestHead
from spanmeter_gateway.relay.health import HealthCheck
from spanmeter_gateway.relay.refusal import plain_answer
from spanmeter_gateway.relay.relay import Relay

KEEP_ALIVE_S = 75.0
"""An idle caller's connection is kept this long: longer than the pools of the common clients."""
REQUEST_STALL_S = 60.0
"""A request whose next byte does not come within this time is given up."""
CLOSE_S = 10.0
"""A connection that is to close, but whose last bytes the caller does not take, is given up."""
LINGER_S = 2.0
"""After an early answer the rest of the request is read and thrown away for this long, so that the
caller gets to read the answer instead of a reset (RFC 9112 section 9.6)."""
_HEALTH = re.compile(rb"/(healthz|readyz)(\?|$)")

log = logging.getLogger("spanmeter.relay")


class Waiting:
    """A pipelined request: read already, begun when the one before it has ended."""

    __slots__ = (
        "content_length",
        "head",
        "http_version",
        "is_whole",
        "keep_alive",
        "method",
        "pieces",
        "target",
    )

    def __init__(self, front: "RelayProtocol") -> None:
        self.method: bytes = front.parser.get_method()
        self.target: bytes = front.url
        self.head = front.read_head()
        self.content_length = front.content_length
        self.http_version: str = front.parser.get_http_version()
        self.keep_alive: bool = self.http_version == "1.1" and front.parser.should_keep_alive()
        self.pieces: list[bytes] = []
        self.is_whole = False


class HeadTooLarge(Exception):
    """The request line and headers are over the limit."""


class RelayProtocol(HttpToolsProtocol):
    """One caller's connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._relay: Relay = self.config.loaded_app
        self._inbound: Inbound | None = None
        self._queue: deque[Waiting] = deque()
        self._is_in_message = False
        self._is_stopping = False
        self._is_lost = False
        self.content_length: bytes | None = None
        self._seen_headers: list[tuple[bytes, bytes]] = []
        self._seen_head = RequestHead([])
        self._offers_upgrade = False
        self._is_in_head = False
        self._idle_bytes = 0
        self._read_bytes = 0
        self._has_progress = False
        self._is_deaf = False
        self._is_full = False
        self._heard_s = 0.0
        self._linger_until_s: float | None = None

    # the event loop

    def connection_made(self, transport: Any) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._heard_s = self.loop.time()
        self._relay.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call that the caller left."""
        self._is_lost = True
        self.connections.discard(self)
        self._relay.connections.discard(self)
        self._queue.clear()
        self.parser = None  # type: ignore[assignment]  # it knows us: no cycle is left behind
        if self._inbound is not None:
            self._inbound.caller_left()

    def data_received(self, data: bytes) -> None:
        """Parse what the caller sent."""
        self._heard_s = self.loop.time()
        if self._is_lost:
            return
        if self._is_deaf:
            return
        self._read_bytes = len(data)
        self._has_progress = False
        try:
            self.parser.feed_data(data)
            if self._is_in_message and not self._has_progress:
                self._count_idle()
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except HeadTooLarge:
            self._refuse_connection(431, b"the request's headers are too large")
        except httptools.HttpParserCallbackError as error:
            self._refuse_head(error)
        except httptools.HttpParserError:
            self._refuse_garbage()

    def pause_writing(self) -> None:
        """Hold the answer back: the caller's connection is full."""
        self._is_full = True
        if self._inbound is not None:
            self._inbound.caller_paused()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        self._is_full = False
        if self._inbound is not None:
            self._inbound.caller_resumed()
        elif self._queue:
            self.loop.call_soon(self._begin_next)

    def shutdown(self) -> None:
        """Stop gracefully: an answer under way may end, an idle connection closes now."""
        self._is_stopping = True
        if self._inbound is None and not self._is_in_message:
            self.transport.close()
        elif self._inbound is not None:
            self._inbound.end_keep_alive()

    def look_at_clock(self, now_s: float) -> None:
        """Close a connection that is idle, stalled in a request, or done lingering."""
        if self._linger_until_s is not None:
            if now_s > self._linger_until_s:
                self.transport.abort()
        elif self.transport.is_closing():
            if now_s - self._heard_s > CLOSE_S:
                self.transport.abort()  # the caller does not read what is left for it
        elif self._is_in_message:
            if now_s - self._heard_s > REQUEST_STALL_S and not self.flow.read_paused:
                self.transport.close()
        elif self._inbound is None and now_s - self._heard_s > KEEP_ALIVE_S:
            self.transport.close()

    # the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url = b""
        self.headers = []
        self.content_length = None
        self._idle_bytes = 0
        self._is_in_message = self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header as it came."""
        if not self._is_in_head:  # a trailer is no header (RFC 9110 section 6.5.1)
            return
        if len(name) == 14 and name.lower() == b"content-length":
            self.content_length = value  # apart: the other headers of a caller seldom change
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the call, or queue it behind the one under way."""
        self._is_in_head = False
        self._has_progress = True
        if self._idle_bytes or self._read_bytes > self._relay.limits.header_bytes:
            self._count_head()
        self._offers_upgrade = self.parser.should_upgrade()
        if self._offers_upgrade:
            return
        if self._inbound is not None or self._queue or self._is_full:
            self._queue.append(Waiting(self))
            self.flow.pause_reading()
        elif self._linger_until_s is None:
            self._begin(Waiting(self))

    def on_body(self, piece: bytes) -> None:
        """Give the piece to its call."""
        self._has_progress = True
        if self._queue:
            self._queue[-1].pieces.append(piece)
        elif self._inbound is not None:
            self._inbound.body(piece)

    def on_message_complete(self) -> None:
        """Tell the call that its request is whole."""
        self._has_progress = True
        if self._offers_upgrade:
            return
        self._is_in_message = False
        if self._queue:
            self._queue[-1].is_whole = True
        elif self._inbound is not None:
            self._inbound.body_end()
        elif self._linger_until_s is not None:
            self.transport.close()

    # the call

    def read_head(self) -> RequestHead:
        """Sort the headers, unless they are those of the request before."""
        if self.headers != self._seen_headers:
            self._seen_headers, self._seen_head = self.headers, RequestHead(self.headers)
        return self._seen_head

    def send(self, answer: bytes) -> None:
        """Write to the caller."""
        if not self._is_lost:
            self.transport.write(answer)

    def cut(self) -> None:
        """Reset the connection."""
        if not self._is_lost:
            self.transport.abort()

    def pause_caller(self) -> None:
        """Stop reading from the caller."""
        self.flow.pause_reading()

    def resume_caller(self) -> None:
        """Read from the caller again."""
        if not self._is_lost and not self._queue:
            self.flow.resume_reading()

    def call_ended(self, *, keep_alive: bool) -> None:
        """Go on to the next call, or close."""
        self._inbound = None
        self._heard_s = self.loop.time()
        self.server_state.total_requests += 1
        if self._is_lost or self.transport.is_closing():
            return
        may_go_on = keep_alive and not self._is_stopping and not (self._is_deaf and not self._queue)
        if may_go_on and self._queue:
            # Not from inside this callback: a row of quick answers must not nest.
            self.loop.call_soon(self._begin_next)
            return
        self.flow.resume_reading()
        if may_go_on and self._is_before_request():
            return
        self._queue.clear()
        if self._is_in_message and not self._is_deaf:
            self._linger_until_s = self.loop.time() + LINGER_S
        else:
            self.transport.close()

    def _begin_next(self) -> None:
        if self._is_lost or self.transport.is_closing() or self._inbound is not None:
            return
        if self._is_full or not self._queue:
            return
        request = self._queue.popleft()
        self._begin(request)
        for piece in request.pieces:
            if self._inbound is not None:
                self._inbound.body(piece)
        if request.is_whole and self._inbound is not None:
            self._inbound.body_end()
        if not self._queue:
            self.flow.resume_reading()

    def _begin(self, request: Waiting) -> None:
        health = _HEALTH.match(request.target)
        if health is not None:
            self._inbound = HealthCheck(
                self,
                is_ready=health[1] == b"healthz" or not self._relay.is_draining,
                keep_alive=request.keep_alive,
            )
        else:
            self._inbound = Call(
                self._relay,
                self,
                method=request.method,
                target=request.target,
                head=request.head,
                content_length=request.content_length,
                http_version=request.http_version,
                keep_alive=request.keep_alive,
            )
        if self._is_full:
            self._inbound.caller_paused()
        self._inbound.open()

    # what is not HTTP, or not only

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request that offers an upgrade as if it did not (RFC 9110 section 7.8 allows it).

        The parser takes such a request to have no body, so it is read again without the offer;
        Java's HTTP client offers h2c on every first request.
        """
        self._offers_upgrade = False
        if self.parser.get_method() == b"CONNECT":  # a tunnel is demanded, not offered
            self._refuse_connection(405, b"this gateway makes no tunnels")
            return
        head = [b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)]
        head += [
            b"%b: %b\r\n" % (name, value)
            for name, value in self.headers
            if name.lower() not in (b"upgrade", b"connection", b"http2-settings")
        ]
        if self.content_length is not None:
            head.append(b"content-length: %b\r\n" % self.content_length)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join((*head, b"\r\n", rest)))

    def _count_head(self) -> None:
        """Hold a head to its limit; looked at when it came in parts or in a large read."""
        head_bytes = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
        self._idle_bytes = 0
        if head_bytes > self._relay.limits.header_bytes:
            raise HeadTooLarge

    def _count_idle(self) -> None:
        """Bound what is read without getting on: a head, a trailer or chunk framing without end.

        The parser keeps an unfinished header to itself, so reads are counted.
        """
        self._idle_bytes += self._read_bytes
        if self._idle_bytes > self._relay.limits.header_bytes:
            raise HeadTooLarge

    def _refuse_head(self, error: httptools.HttpParserCallbackError) -> None:
        cause = error.__context__
        if isinstance(cause, HeadTooLarge):
            self._refuse_connection(431, b"the request's headers are too large")
        else:
            log.error("a request could not be begun: %s", type(cause).__name__)
            self._refuse_connection(500, b"the gateway failed on this request")

    def _is_before_request(self) -> bool:
        """Nothing but a next request's head can be under way: the one before is whole."""
        return self._is_in_head or not self._is_in_message

    def _refuse_garbage(self) -> None:
        self._refuse_connection(400, b"this is not a valid HTTP request")

    def _refuse_connection(self, status: int, message: bytes) -> None:
        """Answer outside any call, and close. Calls whose requests are whole are answered first."""
        inbound = self._inbound
        if inbound is not None and (self._queue or self._is_before_request()):
            self._is_deaf = True
            if self._queue and not self._queue[-1].is_whole:
                self._queue.pop()
            return
        if inbound is None and not self._queue:
            body = (
                b'{"error":{"message":"%b","type":"invalid_request_error","param":null,'
                b'"code":"malformed_http"}}' % message
            )
            self.transport.write(plain_answer(status, body, keep_alive=False))
        self.transport.close()
        if inbound is not None:
            inbound.caller_left()
