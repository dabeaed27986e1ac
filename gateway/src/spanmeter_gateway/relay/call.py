"""One call under way: driven by the caller's connection on one side, the upstream's on the other.

The life of a call, each line a callback:

    open            the head is read: a metered call waits for its body, any other starts now
    body, body_end  the request's body; then `journey.decide` and the request goes upstream
    answer          the provider's head and pieces go on as they come, a copy to the meter
    _end            exactly once, whatever happened: the receipt

Every way out leads through `_end`; nothing after it has an effect.
"""

import logging
import time

from spanmeter.outcome import CANCELLED, Verdict, judge_early_end
from spanmeter_gateway.errors import GatewayBusy, GatewayError, InvalidGatewayKey
from spanmeter_gateway.receipt import OpenCall
from spanmeter_gateway.relay import journey
from spanmeter_gateway.relay.account import NO_FACTS, Account, OpenAttempt
from spanmeter_gateway.relay.answer import Answer
from spanmeter_gateway.relay.caller import Caller
from spanmeter_gateway.relay.chunk_times import ChunkTimes
from spanmeter_gateway.relay.exchange import Asker, Exchange
from spanmeter_gateway.relay.head import RequestHead, named_by_connection
from spanmeter_gateway.relay.outcome import BROKE, SHUTDOWN, STALLED, judge_error
from spanmeter_gateway.relay.plan import Plan
from spanmeter_gateway.relay.refusal import error_body, plain_answer
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.request import write_request, write_trace_headers
from spanmeter_gateway.relay.response import Framing
from spanmeter_gateway.relay.trace import begin_trace, new_ids
from spanmeter_gateway.relay.upload import Upload
from spanmeter_gateway.upstreams.connection import AnswerHead

log = logging.getLogger("spanmeter.relay")


class Call(Asker):
    """A call to a metered dialect, or any other request that passes through."""

    __slots__ = (
        "_account",
        "_address",
        "_answer",
        "_body",
        "_declared",
        "_endpoints",
        "_exchange",
        "_front",
        "_head",
        "_held_bytes",
        "_hides_usage",
        "_is_caller_full",
        "_is_over",
        "_keep_alive",
        "_named_hop",
        "_relay",
        "_rules",
        "has_left_open",
        "is_noted_open",
        "opened_s",
    )

    def __init__(
        self,
        relay: Relay,
        front: Caller,
        *,
        method: bytes,
        target: bytes,
        head: RequestHead,
        content_length: bytes | None,
        http_version: str,
        keep_alive: bool,
    ) -> None:
        noted = head.noted
        ids = new_ids()
        trace = begin_trace(
            ids,
            relay.sampler,
            traceparent=noted.get(b"traceparent"),
            tracestate=noted.get(b"tracestate"),
        )
        account = Account(
            ids, method=method.decode("ascii"), http_version=http_version, trace=trace
        )
        self._relay = relay
        # Those of its beginning: a reload in the middle is for the calls after it.
        self._rules, self._endpoints = relay.rules, relay.endpoints
        self._front = front
        self._head = head
        self._declared = content_length
        self._account = account
        self._named_hop = named_by_connection(noted.get(b"connection"))
        self._keep_alive = keep_alive
        self._address = journey.find_address(
            account, self._rules, head=head, target=target.decode("latin-1")
        )
        self._body: bytes | bytearray = b""
        self._held_bytes = 0
        self._hides_usage = False
        self._exchange: Exchange | None = None
        self._answer: Answer | None = None
        self._is_caller_full = False
        self._is_over = False
        self.opened_s = relay.loop.time()
        self.is_noted_open = False
        self.has_left_open = False
        relay.begin(self)

    # the caller's side

    def open(self) -> None:
        """Start: the head is read, the body may follow."""
        noted, declared = self._head.noted, self._declared
        keys = self._rules.keys
        if keys is not None:
            try:
                journey.identify(self._account, keys, head=self._head)
            except InvalidGatewayKey as error:
                self._refuse(error, is_read=False)
                return
        if self._relay.is_full:
            self._refuse(
                GatewayBusy("this gateway has too many connections: try again soon"), is_read=False
            )
        elif self._account.dialect is None:
            self._pass_through(Upload(declared, is_chunked=b"transfer-encoding" in noted))
        elif declared is not None and (refusal := self._relay.judge_length(int(declared))):
            self._refuse(refusal, is_read=False)
        if b"expect" in noted and not self._is_over:
            self._front.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def body(self, piece: bytes) -> None:
        """Take a piece of the request's body."""
        if self._is_over:
            return
        if self._exchange is not None:
            self._account.request_bytes += len(piece)
            self._exchange.add(piece)
            return
        size = len(piece)
        refusal = self._relay.hold_piece(size, of_bytes=self._held_bytes + size)
        if refusal is not None:
            self._refuse(refusal, is_read=False)
            return
        self._held_bytes += size
        if not self._body:
            self._body = piece  # most bodies come in one read
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body) + piece

    def body_end(self) -> None:
        """Know that the request is whole."""
        if self._is_over:
            return
        if self._exchange is not None:
            self._exchange.end_upload()
            return
        account, began_ns = self._account, time.monotonic_ns()
        body, self._body = bytes(self._body), b""
        try:
            plan = journey.decide(
                account, self._rules, head=self._head, address=self._address, body=body
            )
            self.is_noted_open = False
            self._forward(plan, upload=None)
            account.relay_ns = time.monotonic_ns() - began_ns
        except GatewayError as error:
            self._refuse(error, is_read=True)
        except Exception as fault:  # noqa: BLE001 - our fault must end in an answer and a receipt
            log.error("a call could not be decided: %s", type(fault).__name__)
            self._refuse(GatewayError("the gateway failed on this call"), is_read=True)

    @property
    def received_bytes(self) -> int:
        """How much of the request's body has come."""
        return self._held_bytes or self._account.request_bytes

    def body_broken(self, error: GatewayError) -> None:
        """End the call: the rest of its body is not to be had, and no answer has begun."""
        if self._answer is None:
            self._refuse(error, is_read=False)
        else:
            self._end(CANCELLED)

    def caller_left(self) -> None:
        """End the call, and cancel it upstream at once: nobody waits for the answer."""
        self._end(CANCELLED)

    def caller_paused(self) -> None:
        """Stop reading the answer while the caller's connection is full."""
        self._is_caller_full = True
        if self._exchange is not None:
            self._exchange.pause()

    def caller_resumed(self) -> None:
        """Read the answer again."""
        self._is_caller_full = False
        if self._exchange is not None:
            self._exchange.resume()

    def end_keep_alive(self) -> None:
        """Close the caller's connection after this call, unless its answer has said otherwise."""
        if self._answer is None:
            self._keep_alive = False

    # the way upstream

    def _pass_through(self, upload: Upload) -> None:
        try:
            plan = journey.decide_passthrough(
                self._account, self._rules, head=self._head, address=self._address
            )
        except GatewayError as error:
            self._refuse(error, is_read=upload.is_bodiless)
            return
        self._forward(plan, upload=upload)

    def _forward(self, plan: Plan, *, upload: Upload | None) -> None:
        endpoint = self._endpoints[plan.upstream.name]
        account = self._account
        attempt = OpenAttempt(
            account.ids.attempt_span_id,
            upstream=plan.upstream,
            host=endpoint.host,
            port=endpoint.port,
            model=account.request_model,
        )
        if self._rules.times_chunks and account.facts is not None and account.facts.stream:
            attempt.chunk_times = ChunkTimes()
        account.attempt = attempt
        self._hides_usage = plan.hides_usage
        trace_headers = b""
        if plan.upstream.forward_trace:
            trace_headers = write_trace_headers(account.trace, attempt.span_id)
        request = write_request(
            plan,
            endpoint,
            method=account.method.encode(),
            head=self._head,
            address=self._address,
            named_hop=self._named_hop,
            body_framing=upload.framing if upload is not None else None,
            trace_headers=trace_headers,
        )
        self._exchange = Exchange(
            self, endpoint, request=request, attempt=attempt, upload=upload, loop=self._relay.loop
        )
        self._exchange.start()
        if self._is_caller_full:
            self._exchange.pause()

    # the upstream's side (Asker)

    def answer(
        self, head: AnswerHead | None, pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        """Pass on what one read brought."""
        if self._is_over:
            return
        try:
            out = [] if head is None else [self._begin_answer(head)]
            answer = self._answer
            assert answer is not None
            if pieces:
                answer.pass_on(pieces, framed, out)
            if is_end:
                answer.finish(out)
            if out:
                self._front.send(b"".join(out))
        except Exception as error:  # noqa: BLE001 - our fault must end in a receipt
            log.error("an answer could not be passed on: %s", type(error).__name__)
            self.break_off(BROKE)
            return
        if is_end:
            self._complete()

    def refuse(self, error: GatewayError, error_type: str) -> None:
        """Say that no answer will come."""
        self._refuse(error, error_type=error_type)

    def pause_caller(self) -> None:
        """Stop reading the caller's body."""
        self._front.pause_caller()

    def resume_caller(self) -> None:
        """Read the caller's body again."""
        self._front.resume_caller()

    def _begin_answer(self, head: AnswerHead) -> bytes:
        self._release()
        self._answer = Answer(head, self._account, hides_usage=self._hides_usage)
        if self._answer.framing is Framing.CLOSE:
            self._keep_alive = False
        return self._answer.begin(keep_alive=self._keep_alive)

    # the ends

    def look_at_clock(self, now_s: float) -> None:
        """End the call if somebody exceeded its time."""
        if self._exchange is not None and not self._is_over:
            self._exchange.look_at_clock(now_s)

    def as_open(self) -> OpenCall | None:
        """Write the `open` line: what books enter should this relay die."""
        if self._is_over:
            return None
        self._note_undecided()
        return self._account.as_open(self._relay.listen)

    def abandon(self) -> None:
        """Break the call off because the relay stops."""
        if self._answer is None:
            stopping = GatewayBusy("this gateway stops: try again, another may answer")
            self._refuse(stopping, is_read=False, error_type=SHUTDOWN.error_type)
        self.break_off(SHUTDOWN)

    def _refuse(
        self, error: GatewayError, *, is_read: bool = True, error_type: str | None = None
    ) -> None:
        """Answer with an error of ours, in the caller's dialect, and end the call."""
        if self._is_over:
            return
        account = self._account
        if not is_read:
            self._keep_alive = False
        family = account.dialect.family if account.dialect is not None else "openai"
        account.http_status = error.status
        body = error_body(error, family)
        account.response_bytes = len(body)
        if account.method == "HEAD":
            body = b""
        self._front.send(plain_answer(error.status, body, keep_alive=self._keep_alive))
        self._end(judge_error(error, error_type))

    def break_off(self, verdict: Verdict) -> None:
        """End an answer that cannot be completed; the caller sees the connection end early."""
        if self._is_over:
            return
        self._keep_alive = False
        is_unframed = self._answer is not None and self._answer.framing is Framing.CLOSE
        if is_unframed or verdict is STALLED:
            self._front.cut()
        self._end(verdict)

    def _complete(self) -> None:
        assert self._answer is not None
        assert self._exchange is not None
        is_held = self._exchange.endpoint.held is not None
        self._end(self._answer.verdict(is_credential_held=is_held))

    def _end(self, verdict: Verdict) -> None:
        """Write the receipt: the one end of every call."""
        if self._is_over:
            return
        self._is_over = True
        if self._exchange is not None:
            self._exchange.cancel()
            self._exchange = None  # it knows us: a cycle left behind waits for the collector
        self._release()
        account, answer = self._account, self._answer
        if account.upstream is None:
            self._note_undecided()
        facts = answer.facts() if answer is not None else NO_FACTS
        if facts.is_error and answer is not None:
            verdict = judge_early_end(verdict, answer.status, facts)
        if account.attempt is not None:
            account.attempt.ended_ns = time.monotonic_ns()
            account.attempt.error_type = verdict.error_type
        receipt = account.receipt(
            verdict,
            facts=facts,
            unmetered=answer.unmetered(verdict) if answer is not None else None,
            listen=self._relay.listen,
        )
        self._relay.end(self, receipt)
        self._front.call_ended(keep_alive=self._keep_alive)

    def _note_undecided(self) -> None:
        journey.note_undecided(self._account, self._rules, head=self._head, address=self._address)

    def _release(self) -> None:
        if self._held_bytes:
            self._relay.release(self._held_bytes)
            self._held_bytes, self._body = 0, b""
