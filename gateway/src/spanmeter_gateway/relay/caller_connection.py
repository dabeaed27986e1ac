"""The caller's connection: what arrives becomes calls, one after the other.

Told by the event loop through `front`, and by the parser.
"""

import asyncio
import logging
from collections import deque
from itertools import chain

import httptools
from mypy_extensions import mypyc_attr

from spanmeter_gateway.errors import MalformedRequest, RequestTimeout
from spanmeter_gateway.relay.caller import Caller, Flow, Inbound
from spanmeter_gateway.relay.head import RefusedRequest, RequestHead, check_version
from spanmeter_gateway.relay.inbound import open_request
from spanmeter_gateway.relay.progress import Progress
from spanmeter_gateway.relay.refusal import refused_request
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.waiting import Waiting, without_offer

KEEP_ALIVE_S = 75.0
"""An idle caller's connection is kept this long: longer than the pools of the common clients."""
CLOSE_S = 10.0
"""A connection that is to close, but whose last bytes the caller does not take, is given up."""
LINGER_S = 2.0
"""After an early answer the rest of the request is read and thrown away for this long, so that the
caller gets to read the answer instead of a reset (RFC 9112 section 9.6)."""

_TOO_LARGE = RefusedRequest(431, b"the request's headers are too large")

log = logging.getLogger("spanmeter.relay")


def _nowhere(_answer: bytes) -> None:
    """Stand in for a connection that is gone."""


@mypyc_attr(allow_interpreted_subclasses=True)
class CallerConnection(Caller):
    """One caller's connection."""

    def __init__(
        self, relay: Relay, transport: asyncio.Transport, *, flow: Flow, address: str
    ) -> None:
        """Count the connection, or cut it off where there are too many."""
        self._relay = relay
        self._loop = relay.loop
        self._transport = transport
        self._flow = flow
        self.send = transport.write
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._inbound: Inbound | None = None
        self._queue: deque[Waiting] = deque()
        self._is_in_message = False
        self._is_stopping = False
        self._is_lost = False
        self._content_length: bytes | None = None
        self._seen_headers: list[tuple[bytes, bytes]] | None = None
        self._seen_head = RequestHead([])
        self._offers_upgrade = False
        self._is_in_head = False
        self._idle_bytes = 0
        self._read_bytes = 0
        self._has_progress = False
        self._is_deaf = False
        self._is_full = False
        self._address: str | None = None
        self._progress = Progress()
        self._since_s = self._loop.time()
        """When it last became idle, or began to close."""
        self._linger_until_s: float | None = None
        """From here on no further request begins a call."""
        if relay.admission.admit(relay.limits, address, connections=len(relay.connections) + 1):
            self._address = address
            relay.connections.add(self)
        else:
            self._is_deaf = True
            transport.abort()
        if relay.is_draining:  # it was accepted before, and its handshake took until now
            self.shutdown()

    # the event loop

    def connection_lost(self) -> None:
        """End the call that the caller left."""
        self._is_lost = True
        self.send = _nowhere
        self._relay.connections.discard(self)
        if self._address is not None:
            self._relay.admission.leave(self._address)
        self._queue.clear()
        self._parser = None  # type: ignore[assignment]  # it knows us: no cycle is left behind
        if self._inbound is not None:
            self._inbound.caller_left()

    def data_received(self, data: bytes) -> None:
        """Parse what the caller sent."""
        if self._is_lost or self._is_deaf:
            return
        self._read_bytes = len(data)
        self._has_progress = False
        found: Exception | None = None
        try:
            self._parser.feed_data(data)
            if self._is_in_message and not self._has_progress:
                self._count_idle()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, RefusedRequest) as error:
            found = error
        if found is not None:  # out here: a fault found behind an upgrade must not name it as cause
            self._refuse_or_read_on(found, memoryview(data))

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
            self._loop.call_soon(self._begin_next)

    def shutdown(self) -> None:
        """Stop gracefully: the answer under way may end, or one more request may be answered.

        A request may be on its way on an idle connection, and a caller whose connection closes then
        cannot know whether it was served (RFC 9112 section 9.5). So it gets a moment to arrive, and
        an answer that says `connection: close`.
        """
        self._is_stopping = True
        if self._inbound is not None:
            self._inbound.end_keep_alive()
        elif not self._is_in_message:
            self._since_s = self._loop.time()

    def look_at_clock(self, now_s: float) -> None:
        """Close a connection that is idle, late with its request, or done lingering."""
        if self._linger_until_s is not None:
            if now_s > self._linger_until_s:
                self._transport.abort()
        elif self._transport.is_closing():
            if now_s - self._since_s > CLOSE_S:
                self._transport.abort()  # the caller does not read what is left for it
        elif self._is_in_message:
            self._look_at_request(now_s)
        elif self._inbound is None and now_s - self._since_s > self._patience_s():
            self._transport.close()

    def _patience_s(self) -> float:
        """How long the connection may be idle."""
        if self._is_stopping:
            return self._relay.idle_drain_s
        return KEEP_ALIVE_S if self._seen_headers is not None else self._relay.limits.head_s

    def _look_at_request(self, now_s: float) -> None:
        inbound, limits = self._inbound, self._relay.limits
        if inbound is None:
            if self._is_in_head and self._progress.is_head_late(
                self._headers, now_s, within_s=limits.head_s
            ):
                self._refuse_connection("slow", 408, b"the request's headers did not come in time")
        elif not self._is_in_head and self._progress.is_body_late(
            inbound,
            now_s,
            received=inbound.received_bytes,
            within_s=limits.body_s,
            is_paused=self._flow.read_paused,
        ):
            self._relay.admission.note("slow")
            self._is_deaf = True
            late = "the request's body did not come in time: see limits.body_s"
            inbound.body_broken(RequestTimeout(late))

    # the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._content_length = None
        self._idle_bytes = 0
        self._is_in_message = self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header as it came."""
        if not self._is_in_head:  # a trailer is no header (RFC 9110 section 6.5.1)
            return
        if len(name) == 14 and name.lower() == b"content-length":
            self._content_length = value  # apart: the other headers of a caller seldom change
        else:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the call, or queue it behind the one under way."""
        self._is_in_head = False
        self._has_progress = True
        if self._idle_bytes or self._read_bytes > self._relay.limits.header_bytes:
            self._count_head()
        self._offers_upgrade = self._parser.should_upgrade()
        if self._offers_upgrade:
            return
        if self._linger_until_s is not None:
            return
        if self._inbound is not None or self._queue or self._is_full:
            self._queue.append(self._read_request())
            self._flow.pause_reading()
        else:
            self._begin(self._read_request())

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
            self._transport.close()

    # the call

    def _read_head(self) -> RequestHead:
        """Sort the headers, unless they are those of the request before."""
        if self._headers != self._seen_headers:
            head = RequestHead(self._headers)
            check_version(head, self._parser.get_http_version())
            self._seen_headers, self._seen_head = self._headers, head
        return self._seen_head

    def _read_request(self) -> Waiting:
        return Waiting(
            self._parser, self._read_head(), target=self._url, content_length=self._content_length
        )

    def cut(self) -> None:
        """Reset the connection."""
        if not self._is_lost:
            self._transport.abort()

    def pause_caller(self) -> None:
        """Stop reading from the caller."""
        self._flow.pause_reading()

    def resume_caller(self) -> None:
        """Read from the caller again."""
        if not self._is_lost and not self._queue:
            self._flow.resume_reading()

    def call_ended(self, *, keep_alive: bool) -> None:
        """Go on to the next call, or close."""
        self._inbound = None
        self._since_s = self._loop.time()
        if self._is_lost or self._transport.is_closing():
            return
        may_go_on = keep_alive and not (self._is_deaf and not self._queue)
        if may_go_on and self._queue:
            # Not from inside this callback: a row of quick answers must not nest.
            self._loop.call_soon(self._begin_next)
            return
        self._flow.resume_reading()
        if may_go_on and self._is_before_request():
            return
        self._queue.clear()
        if self._is_in_message and not self._is_deaf:
            self._linger_until_s = self._since_s + LINGER_S
        else:
            # What the same read brought of a next request must not become a call any more.
            self._linger_until_s = self._since_s + CLOSE_S
            self._transport.close()

    def _begin_next(self) -> None:
        if self._is_lost or self._transport.is_closing() or self._inbound is not None:
            return
        if self._is_full or not self._queue:
            return
        request = self._queue.popleft()
        self._begin(request)
        self._hand_over_body(request)
        if not self._queue:
            self._flow.resume_reading()

    def _hand_over_body(self, request: Waiting) -> None:
        # A function of its own: compiled code holds on to what it knew of `_inbound` before.
        for piece in request.pieces:
            if self._inbound is not None:
                self._inbound.body(piece)
        if request.is_whole and self._inbound is not None:
            self._inbound.body_end()

    def _begin(self, request: Waiting) -> None:
        self._inbound = open_request(self._relay, self, request)
        if self._is_stopping and not self._queue:
            self._inbound.end_keep_alive()
        if self._is_full:
            self._inbound.caller_paused()
        self._inbound.open()

    # what is not HTTP, or not only

    def _refuse_or_read_on(self, error: Exception, data: memoryview) -> None:
        """Refuse what the parser did not like; read past any upgrade that is offered.

        A loop, because a caller may offer one with each of a long row of requests.
        """
        found: BaseException | None = error
        while isinstance(found, httptools.HttpParserUpgrade):
            if self._parser.get_method() == b"CONNECT":  # a tunnel is demanded, not offered
                self._refuse_connection("malformed", 405, b"this gateway makes no tunnels")
                return
            data = data[found.args[0] :]
            found = self._decline_upgrade(data)
        if isinstance(found, httptools.HttpParserCallbackError):
            found = found.__context__
            if not isinstance(found, RefusedRequest):
                log.error("a request could not be begun: %s", type(found).__name__)
                found = RefusedRequest(500, b"the gateway failed on this request")
        if isinstance(found, RefusedRequest):
            self._refuse_connection("malformed", found.status, found.message)
        elif found is not None:
            self._refuse_connection("malformed", 400, b"this is not a valid HTTP request")

    def _decline_upgrade(self, rest: memoryview) -> Exception | None:
        """Read a request that offers an upgrade as if it did not (RFC 9110 section 7.8 allows it).

        The parser takes such a request to have no body, so it is read again without the offer;
        Java's HTTP client offers h2c on every first request.
        """
        self._offers_upgrade = False
        head = without_offer(
            self._parser, self._headers, target=self._url, content_length=self._content_length
        )
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
            self._parser.feed_data(rest)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return error
        return None

    def _count_head(self) -> None:
        """Hold a head to its limit; looked at when it came in parts or in a large read."""
        head_bytes = len(self._url) + sum(map(len, chain.from_iterable(self._headers)))
        self._idle_bytes = 0
        if head_bytes > self._relay.limits.header_bytes:
            raise _TOO_LARGE

    def _count_idle(self) -> None:
        """Bound what is read without getting on: a head, a trailer or chunk framing without end.

        The parser keeps an unfinished header to itself, so reads are counted.
        """
        self._idle_bytes += self._read_bytes
        if self._idle_bytes > self._relay.limits.header_bytes:
            raise _TOO_LARGE

    def _is_before_request(self) -> bool:
        """Nothing but a next request's head can be under way: the one before is whole."""
        return self._is_in_head or not self._is_in_message

    def _refuse_connection(self, reason: str, status: int, message: bytes) -> None:
        """Answer what is no call, and close. Calls whose requests are whole are answered first."""
        if self._transport.is_closing():
            return
        self._relay.admission.note(reason)
        self._is_deaf = True
        self._since_s = self._loop.time()
        inbound = self._inbound
        if self._queue and not self._queue[-1].is_whole:
            self._queue.pop()
        if self._queue or (inbound is not None and self._is_before_request()):
            return
        if inbound is not None:
            inbound.body_broken(MalformedRequest("the request's body breaks HTTP's framing"))
            return
        self._transport.write(refused_request(status, message))
        self._transport.close()
