"""The upstream half of a call: connect, send, one more try where the connection was stale, listen.

It keeps the provider's clock and knows how an exchange can fail; what a failure means to the
caller is the call's to say.
"""

import asyncio

from spanmeter.outcome import INTERRUPTED, TIMED_OUT, Verdict
from spanmeter_gateway.errors import GatewayError, UpstreamBroken, UpstreamTimeout
from spanmeter_gateway.relay.account import OpenAttempt
from spanmeter_gateway.relay.endpoint import Connection, Endpoint
from spanmeter_gateway.relay.outcome import STALLED
from spanmeter_gateway.relay.unreachable import unreachable
from spanmeter_gateway.relay.upload import Upload
from spanmeter_gateway.upstreams.connection import AnswerHead, AnswerSink
from spanmeter_gateway.upstreams.pool import ConnectFailed

STALE_S = 0.5
"""A close that was under way when we wrote arrives within a round trip; models think for longer."""


class Asker:
    """The call, as its exchange sees it; derived from for the same reason as `AnswerSink`."""

    __slots__ = ()

    def answer(
        self, head: AnswerHead | None, pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        """Take what one read brought."""

    def refuse(self, error: GatewayError, error_type: str) -> None:
        """Know that no answer will come."""

    def break_off(self, verdict: Verdict) -> None:
        """Know that an answer which began will not end."""

    def pause_caller(self) -> None:
        """Stop taking the caller's body."""

    def resume_caller(self) -> None:
        """Take the caller's body again."""


class Exchange(AnswerSink):
    """One request on its way to one upstream, and the answer to it."""

    __slots__ = (
        "_asker",
        "_attempt",
        "_connecting",
        "_connection",
        "_has_begun",
        "_has_retried",
        "_heard_s",
        "_is_heard",
        "_loop",
        "_request",
        "_stalled_s",
        "_untaken_s",
        "endpoint",
        "upload",
    )

    def __init__(
        self,
        asker: Asker,
        endpoint: Endpoint,
        *,
        request: bytes,
        attempt: OpenAttempt,
        upload: Upload | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.endpoint = endpoint
        self.upload = upload
        self._asker = asker
        self._request = request
        self._attempt = attempt
        self._loop = loop
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._has_begun = False
        self._has_retried = False
        self._heard_s = 0.0
        self._is_heard = False
        """Since the last look at the clock: an answer's piece costs no look of its own."""
        self._stalled_s: float | None = None
        self._untaken_s: float | None = None

    # what the call asks

    def start(self) -> None:
        """Send over an idle connection if there is one, else connect first."""
        connection = self.endpoint.pool.take() if self._is_repeatable else None
        if connection is not None:
            self._send(connection)
        else:
            self._connecting = self._loop.create_task(self._connect())

    def add(self, piece: bytes) -> None:
        """Send a piece of a body that comes in parts."""
        assert self.upload is not None
        self.upload.add(piece, connection=self._connection)
        if self.upload.is_full and self._connection is None:
            self._asker.pause_caller()

    def end_upload(self) -> None:
        """Know that the body is whole; the provider's time begins to run."""
        assert self.upload is not None
        self.upload.end(connection=self._connection)
        self._heard_s = self._loop.time()

    def pause(self) -> None:
        """Stop reading the answer while the caller's connection is full."""
        self._stalled_s = self._loop.time()
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Read the answer again."""
        self._stalled_s = None
        self._heard_s = self._loop.time()
        if self._connection is not None:
            self._connection.resume()

    def cancel(self) -> None:
        """Give the exchange up at once, wherever it is."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.cancel()
            self._connection = None

    def look_at_clock(self, now_s: float) -> None:
        """End the call if the provider, or a caller who does not read, exceeded its time."""
        if self._connection is None:
            return
        if self._is_heard:
            self._is_heard, self._heard_s = False, now_s
        patience = self.endpoint.upstream.timeouts
        if self._stalled_s is not None:
            if now_s - self._stalled_s > patience.idle_s:
                self._asker.break_off(STALLED)
        elif self._has_begun:
            if now_s - self._heard_s > patience.idle_s:
                self._asker.break_off(TIMED_OUT)
        elif self.upload is not None and not self.upload.is_whole:
            # The caller still sends, and its connection has a patience of its own.
            if self._untaken_s is not None and now_s - self._untaken_s > patience.idle_s:
                self._time_out(f"did not take the request for {patience.idle_s:g} s")
        elif now_s - self._heard_s > patience.first_byte_s:
            self._time_out(f"did not answer within {patience.first_byte_s:g} s")

    # what the connection tells (AnswerSink)

    def answer(
        self, head: AnswerHead | None, pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        """Pass on what one read brought."""
        self._is_heard = True
        if head is not None:
            self._has_begun = True
            self._request = b""  # no second try from here on
        if is_end:
            self._connection = None
        self._asker.answer(head, pieces, is_end=is_end, framed=framed)

    def answer_lost(self, *, garbled: bool) -> None:
        """Try once more where the connection was stale; else say what happened."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._has_begun:
            self._asker.break_off(INTERRUPTED)
        elif not garbled and self._is_stale(connection):
            self._has_retried = True
            self._attempt.retries += 1
            self._connecting = self._loop.create_task(self._connect())
        else:
            what = "sent something that is not HTTP" if garbled else "closed the connection"
            broken = UpstreamBroken(self._said(f"{what} instead of answering"), upstream=self._name)
            slug = "provider_bad_response" if garbled else "connection_error"
            self._asker.refuse(broken, slug)

    def upload_paused(self) -> None:
        """Stop reading the caller's body while the provider is slow to take it."""
        if self.upload is not None:
            self._untaken_s = self._loop.time()
            self._asker.pause_caller()

    def upload_resumed(self) -> None:
        """Read the caller's body again."""
        if self.upload is not None:
            self._untaken_s = None
            self._asker.resume_caller()

    # the steps

    @property
    def _is_repeatable(self) -> bool:
        """A body in parts cannot be sent twice, so it never goes over a connection used before."""
        return self.upload is None or self.upload.is_bodiless

    def _is_stale(self, connection: Connection) -> bool:
        """Tell whether the provider closed an idle connection just as we wrote to it.

        Then it never saw the request, which may be sent again (RFC 9112 section 9.5, RFC 9110
        section 9.2.2). A connection that was dropped later, or behind the first bytes of an answer,
        may have cost money already.
        """
        is_soon = self._loop.time() - self._heard_s < STALE_S
        is_unanswered = connection.has_served and not connection.head_bytes
        return is_unanswered and is_soon and not self._has_retried

    def _time_out(self, what: str) -> None:
        self._asker.refuse(UpstreamTimeout(self._said(what), upstream=self._name), "timeout")

    async def _connect(self) -> None:
        try:
            is_fresh = self._has_retried or not self._is_repeatable
            connection = await self.endpoint.pool.connect(fresh=is_fresh)
        except ConnectFailed as failure:
            self._connecting = None
            self._asker.refuse(*unreachable(failure, self.endpoint.upstream))
            return
        if self._connecting is None:  # cancelled while the connection was being made
            connection.close()
            return
        self._connecting = None
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        self._connection = connection
        self._heard_s = self._loop.time()
        upload = self.upload
        connection.send(
            self,
            self._request,
            is_whole=upload is None or upload.is_bodiless or upload.is_whole,
            is_head_request=self._request.startswith(b"HEAD "),
        )
        if self._stalled_s is not None:
            connection.pause()
        if upload is not None:
            upload.flush(connection)
            self._asker.resume_caller()

    @property
    def _name(self) -> str:
        return self.endpoint.upstream.name

    def _said(self, what: str) -> str:
        return f"upstream {self._name} {what}"
