"""Requests that two readers could read differently: a grammar of mutations, and what we must do.

Each is what one caller sends on one connection. `body` is what we take for the body of an accepted
one; `None`: it must be refused before anything goes upstream.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BODY = b"hello"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
INSIDE = b"GET /v1/inside HTTP/1.1\r\nhost: x\r\n\r\n"
"""What an attacker would have the upstream take for a request of its own."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A request, and the body that we take it to have."""

    id: str
    head: bytes
    sent: bytes
    body: bytes | None

    @property
    def wire(self) -> bytes:
        """All of it."""
        return self.head + b"\r\n" + self.sent


def head(*lines: bytes, start: bytes = b"POST /v1/files HTTP/1.1") -> bytes:
    """Write a head without its last line."""
    return b"".join(line + b"\r\n" for line in (start, b"host: x", *lines))


def corpus() -> list[Ambiguous]:
    """Make all of them; each id stands once."""
    made = [
        *_lengths(),
        *_codings(),
        *_both(),
        *_names(),
        *_line_ends(),
        *_chunked(),
        *_beginnings(),
        *_versions(),
        *_plain_ones(),
    ]
    return list({one.id: one for one in made}.values())


def _lengths() -> Iterator[Ambiguous]:
    accepted = (b"5", b" 5", b"5 ", b"\t5", b"5\t", b"05", b"0000000005")
    for value in accepted:
        yield Ambiguous(f"length {value!r}", head(b"content-length:" + value), BODY, BODY)
    for value in (
        *(
            b"+5",
            b"-5",
            b"5,5",
            b"5, 5",
            b"5;5",
            b"5 5",
            b"0x5",
            b"5.0",
            b"5e0",
            b"",
            b" ",
            b"five",
        ),
        *(b"\x0b5", b"5\x0c", b"5\0", b"'5'", b'"5"', b"5\xa0", b"\xb2", b"18446744073709551621"),
        b"99999999999999999999999999999",
    ):
        yield Ambiguous(f"length {value!r}", head(b"content-length:" + value), BODY + INSIDE, None)
    for first, second in ((b"5", b"5"), (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b"+5")):
        lines = head(b"content-length: " + first, b"content-length: " + second)
        yield Ambiguous(f"two lengths {first!r} {second!r}", lines, BODY + INSIDE, None)


def _codings() -> Iterator[Ambiguous]:
    for value in (b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"\tchunked", b"chunked "):
        yield Ambiguous(f"coding {value!r}", head(b"transfer-encoding:" + value), CHUNKS, BODY)
    for value in (
        *(b"identity", b"gzip", b"xchunked", b"chunkedx", b"chunke", b"cow", b'"chunked"'),
        *(b"chunked, identity", b"chunked,identity", b"chunked, chunked", b"chunked,"),
        *(b"identity, chunked", b"gzip, chunked", b"cow, chunked", b",chunked", b"x chunked"),
        *(
            b"chunked;q=1",
            b"chunked\t",
            b"\x0bchunked",
            b"\x0cchunked",
            b"chunked\0",
            b"chunked\xa0",
        ),
        *(b"chunked\x7f", b"", b" ", b"\xffchunked", b"ch\xfcnked", b"chunked identity"),
    ):
        lines = head(b"transfer-encoding: " + value)
        yield Ambiguous(f"coding {value!r}", lines, CHUNKS + INSIDE, None)
    for first, second in (
        *((b"chunked", b"chunked"), (b"chunked", b"identity"), (b"identity", b"chunked")),
        *((b"gzip", b"chunked"), (b"", b"chunked"), (b"chunked", b""), (b"cow", b"chunked")),
    ):
        lines = head(b"transfer-encoding: " + first, b"transfer-encoding: " + second)
        yield Ambiguous(f"two codings {first!r} {second!r}", lines, CHUNKS + INSIDE, None)


def _both() -> Iterator[Ambiguous]:
    for length in (b"0", b"4", b"5", b"15", b"99"):
        for coding in (b"chunked", b"Chunked", b" chunked", b"identity", b"xchunked"):
            one, other = b"content-length: " + length, b"transfer-encoding: " + coding
            yield Ambiguous(f"both {length!r} {coding!r}", head(one, other), CHUNKS + INSIDE, None)
            yield Ambiguous(f"both, {coding!r} {length!r}", head(other, one), CHUNKS + INSIDE, None)


def _names() -> Iterator[Ambiguous]:
    for value, sent in ((b"transfer-encoding", CHUNKS), (b"content-length", BODY)):
        tail = b": chunked" if sent is CHUNKS else b": 5"
        for before, after in (
            *((b"", b" "), (b"", b"\t"), (b"", b"\x0b"), (b"", b"\0"), (b"", b"\r"), (b"", b"\n")),
            *(
                (b" ", b""),
                (b"\t", b""),
                (b"\x0b", b""),
                (b"\xff", b""),
                (b"", b"\xa0"),
                (b"(", b""),
            ),
        ):
            name = before + value + after
            yield Ambiguous(f"name {name!r}", head(name + tail), sent + INSIDE, None)
        yield Ambiguous(f"upper {value!r}", head(value.upper() + tail), sent, BODY)
        under = value.replace(b"-", b"_")
        lines = head(b"content-length: 5", under + b": 99")
        yield Ambiguous(f"underscore {value!r}", lines, BODY, BODY)
    for lines in (
        (b"x-a: b\r\n content-length: 5",),
        (b"x-a: b\r\n\tc", b"content-length: 5"),
        (b"content-length:\r\n 5",),
        (b"transfer-encoding:\r\n chunked",),
        (b" x-a: b", b"content-length: 5"),
        (b"no colon", b"content-length: 5"),
        (b": nameless", b"content-length: 5"),
        (b"x y: z", b"content-length: 5"),
        (b"host: y", b"content-length: 5"),
        (b"Host: x", b"content-length: 5"),
    ):
        yield Ambiguous(f"lines {lines!r}", head(*lines), BODY + INSIDE, None)


def _line_ends() -> Iterator[Ambiguous]:
    whole = head(b"x-a: b", b"content-length: 5")
    yield Ambiguous("bare LF", whole.replace(b"\r\n", b"\n"), BODY + INSIDE, None)
    yield Ambiguous("bare CR", whole.replace(b"\r\n", b"\r"), BODY + INSIDE, None)
    yield Ambiguous("CR CR LF", whole.replace(b"\r\n", b"\r\r\n"), BODY + INSIDE, None)
    for name, value in (
        *(("CR", b"b\rcontent-length: 9"), ("LF", b"b\ncontent-length: 9"), ("NUL", b"b\0c")),
        *(("control", b"b\x01c"), ("DEL", b"b\x7f"), ("CR at the end", b"b\r"), ("VT", b"b\x0bc")),
        *(("LF LF", b"b\n\nGET /v1/inside HTTP/1.1"), ("CR LF CR", b"b\r\rc"), ("ESC", b"\x1b[2J")),
    ):
        lines = head(b"x-a: " + value, b"content-length: 5")
        yield Ambiguous(f"{name} in a value", lines, BODY + INSIDE, None)
    for name, end in (("LF", b"\n"), ("CR", b"\r"), ("LF CR", b"\n\r"), ("CR LF LF", b"\r\n\n")):
        one = Ambiguous(f"head ended by {name}", whole[:-2] + end, BODY + INSIDE, None)
        yield one


def _chunked() -> Iterator[Ambiguous]:
    lines = head(b"transfer-encoding: chunked")
    for sent in (
        *(CHUNKS, b"05\r\nhello\r\n0\r\n\r\n", b"0000000000005\r\nhello\r\n000\r\n\r\n"),
        *(b"5;a\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),
        *(b'5;a="b c"\r\nhello\r\n0\r\n\r\n', b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n"),
        *(b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n", b"5\r\nhello\r\n0\r\nhost: evil\r\n\r\n"),
        b"5\r\nhello\r\n0\r\nauthorization: Bearer evil\r\nx-feature: evil\r\n\r\n",
    ):
        yield Ambiguous(f"chunks {sent!r}", lines, sent, BODY)
    for sent in (
        *(b"5 \r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n"),
        *(b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n"),
        *(b"5;\r\nhello\r\n0\r\n\r\n", b"5 ;a\r\nhello\r\n0\r\n\r\n", b"5;a\nhello\r\n0\r\n\r\n"),
        *(b"5;a\rb\r\nhello\r\n0\r\n\r\n", b"5;\0\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n"),
        *(b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n"),
        *(b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\n\n", b"\r\n5\r\n"),
        *(b"g\r\nhello\r\n0\r\n\r\n", b"5g\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello\r\n0\r\n\r\n"),
        *(
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n-0\r\n\r\n",
            b"\xef\xbc\x95\r\n",
        ),
        *(b"5\r\nhello\r\n0\r\ncontent-length: 9\r\n\r\n", b"5\r\nhello\r\n0\r\nx a: b\r\n\r\n"),
        *(b"4\r\nhello\r\n0\r\n\r\n", b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n', b"\r\r\n", b"5\x0b\r\n"),
        b"5\r\nhello\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
    ):
        yield Ambiguous(f"bad chunks {sent!r}", lines, sent + INSIDE, None)


def _beginnings() -> Iterator[Ambiguous]:
    for name, before in (("empty line", b"\r\n"), ("empty lines", b"\r\n\r\n"), ("LF", b"\n")):
        yield Ambiguous(f"{name} first", before + head(b"content-length: 5"), BODY, BODY)
    for start in (
        *(b" POST /v1/files HTTP/1.1", b"\tPOST /v1/files HTTP/1.1", b"POST\t/v1/files HTTP/1.1"),
        *(b"POST /v1/files\tHTTP/1.1", b"POST /v1/files HTTP/1.1 ", b"POST /v1/fi les HTTP/1.1"),
        *(b"POST v1/files HTTP/1.1", b"POST evil:80 HTTP/1.1", b"CONNECT evil:80 HTTP/1.1"),
        *(b"POST /v1/\0 HTTP/1.1", b"POST /v1/\x7f HTTP/1.1", b"POST /v1/\xff HTTP/1.1"),
        *(b"post /v1/files HTTP/1.1", b"P\xd6ST /v1/files HTTP/1.1", b"POST HTTP/1.1", b"POST"),
        *(b"POST /v1/files", b"POST /v1/files#x HTTP/1.1", b"POST /v1/files?a#x HTTP/1.1"),
        *(b"POST /v1/../files HTTP/1.1", b"POST /v1/%2e%2e/files HTTP/1.1"),
        *(b"POST ftp://evil/v1/files HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE /v1/files HTTP/1.1"),
    ):
        lines = head(b"content-length: 5", start=start)
        yield Ambiguous(f"start {start!r}", lines, BODY + INSIDE, None)


def _versions() -> Iterator[Ambiguous]:
    for version in (b"0.9", b"2.0", b"1.2", b"1.10", b"01.1", b"1.", b"11", b"3", b"1,1", b"1.1x"):
        lines = head(b"content-length: 5", start=b"POST /v1/files HTTP/" + version)
        yield Ambiguous(f"version {version!r}", lines, BODY + INSIDE, None)
    old = head(b"transfer-encoding: chunked", start=b"POST /v1/files HTTP/1.0")
    yield Ambiguous("chunked of HTTP/1.0", old, CHUNKS + INSIDE, None)
    old = head(b"content-length: 5", start=b"POST /v1/files HTTP/1.0")
    yield Ambiguous("HTTP/1.0", old, BODY, BODY)
    yield Ambiguous("HTTP/2", b"PRI * HTTP/2.0\r\n", b"SM\r\n\r\n", None)
    yield Ambiguous("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 32, None)
    yield Ambiguous("no host", b"POST /v1/files HTTP/1.1\r\ncontent-length: 5\r\n", BODY, None)


def _plain_ones() -> Iterator[Ambiguous]:
    for method in (b"GET", b"DELETE", b"PUT", b"PATCH", b"OPTIONS"):
        start = method + b" /v1/files HTTP/1.1"
        lines = head(b"content-length: 5", start=start)
        yield Ambiguous(f"{method!r} with a length", lines, BODY, BODY)
        lines = head(b"transfer-encoding: chunked", start=start)
        yield Ambiguous(f"{method!r} with chunks", lines, CHUNKS, BODY)
    yield Ambiguous(
        "a request in the body", head(b"content-length: %d" % len(INSIDE)), INSIDE, INSIDE
    )
    for line in (
        *(b"connection: content-length", b"connection: close, host", b"connection: x, upgrade"),
        *(b"connection: transfer-encoding", b"expect: 100-continue", b"expect: nothing"),
        *(b"connection: upgrade\r\nupgrade: h2c", b"connection: upgrade\r\nupgrade: websocket"),
        *(b"te: trailers", b"trailer: content-length", b"keep-alive: timeout=1", b"x-a: \xff\xfe"),
        *(b"proxy-connection: keep-alive", b"x-http-method-override: DELETE", b"x-a:"),
    ):
        yield Ambiguous(f"{line!r}, length", head(b"content-length: 5", line), BODY, BODY)
        yield Ambiguous(
            f"{line!r}, chunks", head(b"transfer-encoding: chunked", line), CHUNKS, BODY
        )
