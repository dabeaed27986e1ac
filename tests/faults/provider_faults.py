"""The faults of a provider and of the network to it, one row each, and what must become of them.

A row is all there is of a fault: what the provider does, what is asked, and the end that caller and
receipt must agree on. `docs/faults.md` is printed from it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.faulty_provider import (
    EVENTS,
    JSON,
    Fault,
    Peer,
    answer_well,
    chunked,
    completion,
    events,
    until_close,
    well,
    with_length,
)


@dataclass(frozen=True, slots=True)
class End:
    """How a call ends: for its caller, and in its receipt."""

    status: int
    code: str | None = None
    """Of the gateway's own error."""
    is_cut: bool = False
    outcome: str = "ok"
    error_type: str | None = None
    unmetered: str | None = None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    name: str
    what: str
    end: End
    play: Fault = answer_well
    ask: str = "chat"
    """`chat`; `stream`; `big`, a long request; `files`, one that passes through in parts; `kept`,
    over a connection that has served; `fresh`, over a new one."""
    upstream: str = ""
    """The first segment of the path; none: the provider's own."""


def status_of(status: str) -> End:
    """Name the end of a call whose provider answers with a status that is no success."""
    return End(int(status), None, False, "provider_error", status)


WELL = End(200)
UNREAD = End(200, unmetered="unreadable")
BROKEN = End(502, "provider_bad_response", False, "provider_error", "provider_bad_response")
CLOSED = End(502, "provider_bad_response", False, "provider_error", "connection_error")
RETRIED_AND_CLOSED = End(
    502, "provider_bad_response", False, "provider_error", "connection_error", retries=1
)
CUT = End(200, None, True, "provider_error", "stream_interrupted", "interrupted")
METERED_CUT = End(200, None, True, "provider_error", "stream_interrupted")
QUIETLY_CUT = End(200, None, False, "provider_error", "stream_interrupted", "interrupted")
STALLED = End(200, None, True, "provider_error", "timeout", "interrupted")
SILENT = End(504, "provider_timeout", False, "provider_error", "timeout")
UNREACHABLE = End(503, "provider_unreachable", False, "provider_error", "connection_error")
LATE = End(503, "provider_unreachable", False, "provider_error", "timeout")
HEAD = b"HTTP/1.1 200 OK\r\n"
SMUGGLED = with_length(b'{"smuggled":true}')


def says(*pieces: bytes) -> Fault:
    """Say this and wait for what the other side does."""

    def play(peer: Peer) -> None:
        peer.say(*pieces)
        peer.silence()

    return play


def says_well(answer: bytes) -> Fault:
    """Say a whole answer and take the next request."""
    return lambda peer: peer.say(answer)


def says_and(ending: Callable[[Peer], None], *pieces: bytes) -> Fault:
    """Say this, and end so."""

    def play(peer: Peer) -> None:
        peer.say(*pieces)
        ending(peer)

    return play


def around(before: bytes, after: bytes = b"") -> Fault:
    """Answer well, with something before and behind it in the same write."""
    return lambda peer: peer.say(before + well(peer.asked) + after)


def drips(peer: Peer) -> None:
    peer.drip(well(peer.asked))


def closes_at_reuse(peer: Peer) -> None:
    """Close without a word where the connection has served before; answer the second try."""
    if peer.asked.times == 1:
        peer.hang_up()
    else:
        answer_well(peer)


def begins_at_reuse(peer: Peer) -> None:
    """Break off behind the first bytes of an answer: the request was seen."""
    peer.say(b"HTTP/1.1 2")
    peer.hang_up()


def answers_and_closes(peer: Peer) -> None:
    answer_well(peer)
    peer.hang_up()


def answers_and_shuts(peer: Peer) -> None:
    """Answer and close the sending half alone."""
    answer_well(peer)
    peer.connection.shutdown(1)
    peer.silence()


def shuts_within(peer: Peer) -> None:
    peer.say(well(peer.asked)[:-20])
    peer.connection.shutdown(1)
    peer.silence()


def takes_the_rest(peer: Peer) -> None:
    """Read the request's body in small parts, and nothing of what comes behind it."""
    left = int(peer.asked.lines["content-length"]) - len(peer.asked.body)
    while left > 0 and (piece := peer.connection.recv(min(left, 8192))):
        left -= len(piece)


def takes_slowly(peer: Peer) -> None:
    takes_the_rest(peer)
    answer_well(peer)


def answers_early(peer: Peer) -> None:
    """Answer before the request is whole."""
    peer.say(with_length(b"{}", b"413 Too Large"))
    takes_the_rest(peer)


def unframed(ending: Callable[[Peer], None], cut_bytes: int = 0) -> Fault:
    """Frame a good stream by the close alone; `cut_bytes` are missing at its end."""

    def play(peer: Peer) -> None:
        body = b"".join(events(peer.asked.nonce))
        peer.say(until_close(body[: len(body) - cut_bytes], EVENTS))
        ending(peer)

    return play


def half_document(peer: Peer) -> None:
    peer.say(until_close(completion(peer.asked.nonce)[:-30]))
    peer.hang_up()


def chunks_without_end(peer: Peer) -> None:
    """End a chunked stream in order, but within an event."""
    peer.say(chunked(events(peer.asked.nonce)[0][:-9]))


def chunks_without_reason(peer: Peer) -> None:
    """End a chunked stream in order between two events, without the dialect's end."""
    peer.say(chunked(events(peer.asked.nonce)[0]))


def long_head(size: int) -> bytes:
    return HEAD + b"".join(b"x-%d: %b\r\n" % (at, b"v" * 4000) for at in range(size // 4000))


def bad_chunk(wire: bytes, end: Callable[[Peer], None] = Peer.silence) -> Fault:
    return says_and(end, chunked(b"data: {}\n\n", end=wire))


def length(value: bytes) -> Fault:
    return says(HEAD + JSON + b"content-length: " + value + b"\r\n\r\n{}")


def head(*lines: bytes, body: bytes = b"{}") -> Fault:
    return says(HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)


CONNECTING = (
    Row("refused", "nobody listens", UNREACHABLE, upstream="refused"),
    Row("no-address", "the host name has no address", UNREACHABLE, upstream="no-address"),
    Row("black-hole", "SYN is never answered", LATE, upstream="black-hole"),
    Row("expired", "the certificate is out of date", UNREACHABLE, upstream="expired"),
    Row("wrong-host", "the certificate is another host's", UNREACHABLE, upstream="wrong-host"),
    Row("stranger", "the certificate is signed by nobody known", UNREACHABLE, upstream="stranger"),
    Row("private-ca", "a private CA that `ca_file` names", WELL, upstream="tls"),
    Row("no-tls", "a port that does not speak TLS", UNREACHABLE, upstream="no-tls"),
    Row("tls-silence", "the TLS handshake is never answered", LATE, upstream="tls-silence"),
    Row("tls-reset", "reset within the TLS handshake", UNREACHABLE, upstream="tls-reset"),
)
# fmt: off
ENDING = (
    Row("silence", "the request is taken and never answered", SILENT, says(), upstream="impatient"),
    Row("head-stops", "silence within the head", SILENT, says(HEAD + b"x-slow: "),
        upstream="impatient"),
    Row("body-stops", "silence within the body", STALLED,
        says(with_length(b"{}" * 50)[:-20]), upstream="impatient"),
    Row("stream-stops", "silence within a stream", STALLED,
        says(chunked(b"data: {}\n\n", end=b"")), "stream", "impatient"),
    Row("drip", "the answer comes byte by byte", WELL, drips),
    Row("drip-stream", "a stream comes byte by byte", WELL, drips, "stream"),
    Row("slow-reader", "the request is read slowly", WELL, takes_slowly, "big"),
    Row("closed-at-reuse", "a kept connection is closed as it is used again",
        End(200, retries=1), closes_at_reuse, "kept"),
    Row("begun-at-reuse", "a kept connection breaks behind the answer's first bytes",
        CLOSED, begins_at_reuse, "kept"),
    Row("closed-twice", "a kept connection is closed, and the next one too",
        RETRIED_AND_CLOSED, says_and(Peer.hang_up), "kept"),
    Row("closed", "closed instead of an answer", CLOSED, says_and(Peer.hang_up), "fresh"),
    Row("reset", "reset instead of an answer", CLOSED, says_and(Peer.reset), "fresh"),
    Row("closed-behind", "a whole answer, then closed unsaid", WELL, answers_and_closes),
    Row("half-close-behind", "a whole answer, then half-closed", WELL, answers_and_shuts),
    Row("half-close-within", "half-closed within the answer", CUT, shuts_within),
    Row("close-framed", "a stream that the close ends", WELL, unframed(Peer.hang_up), "stream"),
    Row("close-framed-cut", "the same, closed within an event",
        QUIETLY_CUT, unframed(Peer.hang_up, 300), "stream"),
    Row("close-framed-reset", "the same, reset", CUT, unframed(Peer.reset, 300), "stream"),
    Row("close-framed-half", "half a JSON document that the close ends",
        QUIETLY_CUT, half_document),
    Row("chunks-end-within", "a stream that ends in order within an event",
        QUIETLY_CUT, chunks_without_end, "stream"),
    Row("chunks-end-between", "a stream that ends in order, without its dialect's end",
        End(200, unmetered="not_reported"), chunks_without_reason, "stream"),
    Row("early-answer", "an answer before the request is whole",
        End(413, None, False, "caller_error", "413"), answers_early, "files"),
)
FRAMING = (
    Row("short-length", "`content-length` over the body", CUT, says_and(
        Peer.hang_up, HEAD + JSON + b"content-length: 99\r\n\r\n{}")),
    Row("garbage-length", "`content-length: abc`", BROKEN, length(b"abc")),
    Row("hex-length", "`content-length: 0x2`", BROKEN, length(b"0x2")),
    Row("plus-length", "`content-length: +2`", BROKEN, length(b"+2")),
    Row("negative-length", "`content-length: -2`", BROKEN, length(b"-2")),
    Row("huge-length", "`content-length` over 64 bits", BROKEN, length(b"9" * 30)),
    Row("empty-length", "`content-length` without a value", BROKEN, length(b"")),
    Row("list-length", "`content-length: 2, 2`", BROKEN, length(b"2, 2")),
    Row("two-lengths", "two `content-length`, equal", BROKEN, head(
        b"content-length: 2", b"content-length: 2")),
    Row("two-unequal-lengths", "two `content-length`, unequal", BROKEN, head(
        b"content-length: 2", b"content-length: 3")),
    Row("length-and-chunked", "`content-length` and `transfer-encoding`", BROKEN, head(
        b"content-length: 2", b"transfer-encoding: chunked")),
    Row("chunked-and-length", "the same, the other way round", BROKEN, head(
        b"transfer-encoding: chunked", b"content-length: 2")),
    Row("coding-gzip", "`transfer-encoding: gzip`", BROKEN, head(b"transfer-encoding: gzip")),
    Row("coding-gzip-chunked", "`transfer-encoding: gzip, chunked`", BROKEN, head(
        b"transfer-encoding: gzip, chunked")),
    Row("coding-chunked-gzip", "`transfer-encoding: chunked, gzip`", BROKEN, head(
        b"transfer-encoding: chunked, gzip")),
    Row("coding-unknown", "`transfer-encoding: xchunked`", BROKEN, head(
        b"transfer-encoding: xchunked")),
    Row("chunk-garbage", "a chunk size that is no number", CUT, bad_chunk(b"zz\r\n"), "stream"),
    Row("chunk-negative", "a negative chunk size", CUT, bad_chunk(b"-1\r\n"), "stream"),
    Row("chunk-overflow", "a chunk size over 64 bits", CUT,
        bad_chunk(b"f" * 20 + b"\r\n"), "stream"),
    Row("chunk-prefix", "a chunk size `0x2`", CUT, bad_chunk(b"0x2\r\n{}\r\n"), "stream"),
    Row("chunk-no-crlf", "no CRLF behind a chunk", CUT,
        bad_chunk(b"2\r\n{}2\r\n{}\r\n0\r\n\r\n"), "stream"),
    Row("chunk-bare-lf", "LF alone behind a chunk size", CUT,
        bad_chunk(b"2\n{}\n0\n\n"), "stream"),
    Row("chunk-extension", "chunk extensions", WELL, lambda peer: peer.say(
        chunked(*events(peer.asked.nonce), end=b'0;a=b;c="d"\r\n\r\n')), "stream"),
    Row("trailers", "trailers, one of them a framing header's name", WELL, lambda peer: peer.say(
        chunked(*events(peer.asked.nonce), end=b"0\r\nset-cookie: a=1\r\nx-late: 1\r\n\r\n")),
        "stream"),
    Row("no-last-chunk", "a chunked stream closed without its last chunk", METERED_CUT,
        lambda peer: (peer.say(chunked(*events(peer.asked.nonce), end=b"")), peer.hang_up())[0],
        "stream"),
    Row("junk-behind", "an answer that nobody asked for, behind the right one", WELL,
        around(b"", SMUGGLED)),
    Row("junk-behind-stream", "the same behind a stream", WELL, around(b"", SMUGGLED), "stream"),
    Row("noise-behind", "bytes that are no HTTP behind the answer", WELL, around(b"", b"\0" * 99)),
    Row("body-of-204", "204 with a body", End(204, unmetered="unreadable"),
        says(b"HTTP/1.1 204 No Content\r\ncontent-length: 17\r\n\r\n{\"smuggled\":true}")),
    Row("body-of-304", "304 with a body", status_of("304"),
        says(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 17\r\n\r\n{\"smuggled\":true}")),
    Row("interim", "100 and 103 before the answer", WELL,
        around(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\n")),
    Row("many-interim", "1,000 interim answers", WELL,
        around(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)),
    Row("endless-interim", "interim answers without end", BROKEN,
        says_and(Peer.silence, *[b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 20)),
    Row("interim-with-body", "103 with a body", BROKEN,
        says(b"HTTP/1.1 103 Hints\r\ncontent-length: 5\r\n\r\nhello")),
    Row("upgrade", "101 that nobody asked for", BROKEN,
        says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx")),
)
HEADS = (
    Row("noise", "bytes that are no HTTP", BROKEN, says(b"\0" * 5000)),
    Row("tls-instead", "TLS instead of HTTP", BROKEN, says(b"\x16\x03\x01\x02\x00\x01")),
    Row("http2", "HTTP/2 instead of HTTP/1.1", BROKEN, says(
        b"\0\0\x12\x04\0\0\0\0\0" + b"\0" * 18)),
    Row("http-0.9", "a body without a head", BROKEN, says(b'{"choices":[]}')),
    Row("http-9.9", "a version that does not exist", BROKEN, says(
        b"HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\n{}")),
    Row("status-zero", "status 000", BROKEN, says(b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n")),
    Row("status-short", "a status of two digits", BROKEN, says(
        b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n")),
    Row("status-999", "status 999", status_of("999"), says_well(
        with_length(b"{}", b"999 X"))),
    Row("folded", "an obsolete line folding", BROKEN, head(
        b"x: 1", b" y", b"content-length: 2")),
    Row("bare-cr", "CR alone within a header", BROKEN, head(
        b"x: 1\rx-in: 2", b"content-length: 2")),
    Row("bare-lf", "LF alone as line ends", BROKEN, says(
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}")),
    Row("space-in-name", "a blank in a header's name", BROKEN, head(
        b"x y: 1", b"content-length: 2")),
    Row("nul-in-reason", "NUL in the reason phrase", BROKEN, says(
        b"HTTP/1.1 200 O\0K\r\ncontent-length: 2\r\n\r\n{}")),
    Row("nul-in-value", "NUL in a header's value", BROKEN, head(b"x: a\0b", b"content-length: 2")),
    Row("head-100k", "a head of 100 KB", End(200, unmetered="not_reported"), lambda peer: peer.say(
        long_head(100_000) + b"content-length: 2\r\n\r\n{}")),
    Row("head-1m", "a head of 1 MB", BROKEN, says(long_head(1_000_000))),
    Row("line-1m", "one header line of 1 MB", BROKEN, says(HEAD + b"x: " + b"v" * 1_000_000)),
    Row("redirect", "302 to another host", status_of("302"), says_well(
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/steal\r\ncontent-length: 0\r\n\r\n")),
    Row("redirect-307", "307, which repeats a POST", status_of("307"),
        says_well(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\n"
             b"content-length: 0\r\n\r\n")),
    Row("not-json", "200 with a page of HTML", UNREAD, lambda peer: peer.say(
        with_length(b"<html>busy</html>", lines=b"content-type: text/html\r\n"))),
    Row("false-gzip", "`content-encoding: gzip` on what is not", UNREAD, lambda peer: peer.say(
        with_length(b"\x1f\x8bnot gzip", lines=JSON + b"content-encoding: gzip\r\n"))),
)
TLS_ENDING = (
    Row("tls-cut", "TLS closed within the answer", CUT, shuts_within, upstream="tls"),
    Row("tls-reset-within", "TLS reset within the answer", CUT,
        lambda peer: (peer.say(well(peer.asked)[:-20]), peer.reset())[0], upstream="tls"),
    Row("tls-no-goodbye", "a whole answer, then closed without close_notify", WELL,
        answers_and_closes, upstream="tls"),
    Row("tls-cut-at-reuse", "a kept TLS connection is closed as it is used again",
        End(200, retries=1), closes_at_reuse, "kept", upstream="tls"),
)
# fmt: on
ROWS = (*CONNECTING, *ENDING, *FRAMING, *HEADS, *TLS_ENDING)
FAULTS = {row.name: row.play for row in ROWS}
