"""An answer on its way to the caller: head, framing, pieces, and what was read of it."""

import time
from functools import lru_cache
from typing import Final

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.outcome import INTERRUPTED, OK, Verdict, judge_answer
from spanmeter_gateway.relay.account import NO_FACTS, Account
from spanmeter_gateway.relay.meter import Meter
from spanmeter_gateway.relay.response import Framing, choose_framing, write_head
from spanmeter_gateway.upstreams.connection import AnswerHead

_SHORT_BYTES: Final = 2048
_SIZE_LINES: Final = [b"%x\r\n" % size for size in range(_SHORT_BYTES)]
"""Formatted once: most chunks of a stream are short."""


class Answer:
    """One answer that has begun."""

    __slots__ = (
        "_account",
        "_chunk_times",
        "_facts",
        "_has_begun",
        "_head",
        "_is_chunked",
        "_meter",
        "framing",
        "status",
    )

    def __init__(self, head: AnswerHead, account: Account, *, hides_usage: bool) -> None:
        self._account = account
        self._head = head
        self._has_begun = False
        self._facts: ResponseFacts | None = None
        self.status = account.http_status = head.status
        self._chunk_times = None
        if account.attempt is not None:
            account.attempt.status = head.status
            self._chunk_times = account.attempt.chunk_times
        self._meter = _open_meter(head, account, hides_usage=hides_usage)
        self.framing = choose_framing(
            head,
            method=account.method,
            http_version=account.http_version,
            is_rewritten=self._meter is not None and self._meter.rewrites,
        )
        self._is_chunked = self.framing is Framing.CHUNKED

    def begin(self, *, keep_alive: bool) -> bytes:
        """Write the head for the caller."""
        return write_head(self._head, self.framing, keep_alive=keep_alive)

    def pass_on(self, pieces: list[bytes], framed: bytes, out: list[bytes]) -> None:
        """Frame the pieces of one read for the caller, and read the copy.

        What is `framed` and shown whole goes on as it came.
        """
        if not self._has_begun:
            self._note_first_byte()
        if self._chunk_times is not None:
            self._chunk_times.note(time.monotonic_ns())
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        shown = piece if self._meter is None else self._meter.read(piece)
        if framed and shown is piece and self._is_chunked:
            self._account.response_bytes += len(piece)
            out.append(framed)
        else:
            self._frame(shown, out)

    def finish(self, out: list[bytes]) -> None:
        """Write what ends the body."""
        if self._meter is not None:
            self._frame(self._meter.rest(), out)
        if self._is_chunked:
            out.append(b"0\r\n\r\n")

    def facts(self) -> ResponseFacts:
        """Account for the answer as far as it came; the first call decides."""
        if self._facts is None:
            self._facts = self._meter.close() if self._meter is not None else NO_FACTS
        return self._facts

    def verdict(self, *, is_credential_held: bool) -> Verdict:
        """Judge the answer, now that its body has ended."""
        if self._account.dialect is None and 300 <= self.status < 400:
            return OK  # a redirect or a 304 is an answer like any other to what passes through
        if self._is_torn():
            return INTERRUPTED
        return judge_answer(self.status, self.facts(), is_credential_held=is_credential_held)

    def _is_torn(self) -> bool:
        """Tell a body that was cut although its framing does not say so.

        A stream that stops within an event was, however it was framed. Where only the connection's
        close ended the body, so was half a JSON document, or a stream without its dialect's end.
        """
        head = self._head
        if self.framing is Framing.NONE or self.status >= 300:
            return False
        facts = self.facts()
        if facts.ending == "torn":
            return True
        is_close_framed = head.content_length is None and not head.is_chunked
        return is_close_framed and (facts.ending == "open" or facts.unread == "malformed")

    def unmetered(self, verdict: Verdict) -> str | None:
        """Say why the answer has no usage; `None` where it has, or where none is owed."""
        if self._meter is None or self.facts().usage is not None:
            return None
        if verdict.outcome == "ok":
            return self._meter.unread or "not_reported"
        if verdict.outcome == "cancelled":
            return "cancelled"
        if verdict.error_type in ("stream_interrupted", "timeout", "shutdown"):
            return "interrupted"
        return None

    def _frame(self, piece: bytes, out: list[bytes]) -> None:
        if not piece:
            return
        self._account.response_bytes += len(piece)
        if self._is_chunked:
            size = len(piece)
            size_line = _SIZE_LINES[size] if size < _SHORT_BYTES else b"%x\r\n" % size
            out += (size_line, piece, b"\r\n")
        elif self.framing is not Framing.NONE:
            out.append(piece)

    def _note_first_byte(self) -> None:
        self._has_begun = True
        account, attempt = self._account, self._account.attempt
        now_ns = time.monotonic_ns()
        account.first_byte_ns = now_ns - account.started_ns
        if attempt is not None and account.facts is not None and account.facts.stream:
            attempt.first_chunk_ns = now_ns - attempt.started_ns


@lru_cache(maxsize=256)
def _content_type(value: bytes) -> str:
    return value[:256].decode("latin-1").lower()


def _open_meter(head: AnswerHead, account: Account, *, hides_usage: bool) -> Meter | None:
    if account.dialect is None:
        return None
    content_type = _content_type(head.noted.get(b"content-type", b""))
    is_sse = head.status == 200 and content_type.startswith("text/event-stream")
    return Meter(
        account.dialect,
        status=head.status,
        content_type=content_type,
        content_encoding=head.noted.get(b"content-encoding"),
        is_stream=account.facts is not None and account.facts.stream,
        hides_usage=hides_usage and is_sse,
    )
