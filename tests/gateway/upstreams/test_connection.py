"""One connection to an upstream: whatever arrives, in whatever pieces, is heard the same way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.upstreams.pipe import Pipe

from spanmeter_gateway.upstreams.connection import AnswerHead, AnswerSink, UpstreamConnection

Fields = Sequence[tuple[bytes, bytes]]

MANY = settings(max_examples=80)


@dataclass
class Heard(AnswerSink):
    """What a sink was told of one exchange."""

    head: tuple[int, bytes, list[tuple[bytes, bytes]]] | None = None
    body: bytes = b""
    ends: list[str] = field(default_factory=list)
    framed: list[bytes] = field(default_factory=list, compare=False)

    def answer(
        self, head: AnswerHead | None, pieces: list[bytes], *, is_end: bool, framed: bytes = b""
    ) -> None:
        assert not self.ends, "something came after the end"
        assert (head is None) == (self.head is not None), "not exactly one head, and first"
        if head is not None:
            self.head = (head.status, head.reason, list(head.headers))
        self.body += b"".join(pieces)
        self.framed.append(framed)
        if is_end:
            self.ends.append("complete")

    def answer_lost(self, *, garbled: bool) -> None:
        self.ends.append("garbled" if garbled else "lost")

    def upload_paused(self) -> None:
        self.ends.append("paused")

    def upload_resumed(self) -> None:
        self.ends.append("resumed")


class Peer:
    """A connection, the pipe that it writes to, and what its pool is told."""

    def __init__(self) -> None:
        self.connection = UpstreamConnection()
        self.pipe = Pipe()
        self.pooled: list[str] = []
        self.connection.connection_made(self.pipe)
        self.connection.pooled_by(
            lambda _: self.pooled.append("free"), lambda _: self.pooled.append("lost")
        )

    def ask(self, *, is_head: bool = False, is_whole: bool = True) -> Heard:
        heard = Heard()
        self.connection.send(heard, b"request", is_whole=is_whole, is_head_request=is_head)
        return heard

    def feed(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            if not self.pipe.is_closed:
                self.connection.data_received(piece)

    def end(self, error: Exception | None = None) -> None:
        self.connection.connection_lost(error)


@dataclass(frozen=True)
class Sent:
    """An answer on the wire, and what must be heard of it."""

    wire: bytes
    head: tuple[int, bytes, list[tuple[bytes, bytes]]]
    body: bytes
    needs_close: bool = False
    is_head: bool = False


TOKENS = st.text("abcXYZ019-_", min_size=1, max_size=9).map(lambda name: b"x-" + name.encode())
VALUES = st.binary(max_size=20).map(
    lambda raw: bytes(byte for byte in raw if byte >= 32 and byte != 127).strip(b" \t")
)
FIELDS = st.lists(st.tuples(TOKENS, VALUES), max_size=4)
BODIES = st.binary(max_size=200)


def lines(fields: Fields) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in fields)


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    wire = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="c d"', b";a=b;c=d"]))
        wire += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
        body = body[size:]
    return wire + b"0\r\n" + lines(draw(FIELDS)) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> Sent:
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\n%b\r\n" % (status, lines(draw(FIELDS)))
        for status in draw(st.lists(st.sampled_from([100, 102, 103, 104, 199]), max_size=3))
    )
    status = draw(st.sampled_from([200, 201, 400, 404, 429, 500, 529]))
    reason = draw(st.sampled_from([b"OK", b"", b"Not \xe9 phrase"]))
    fields, body = draw(FIELDS), draw(BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "close", "none", "head"]))
    is_head = framing == "head"
    if framing == "length":
        own, wire = [(b"Content-Length", b"%d" % len(body))], body
    elif framing == "chunked":
        own, wire = [(b"Transfer-Encoding", b"chunked")], draw(chunked(body))
    elif framing == "close":
        own, wire = [(b"Connection", b"close")], body
    else:
        own = draw(st.sampled_from([[], [(b"content-length", b"99")]]))
        status = status if is_head else draw(st.sampled_from([204, 304]))
        body = wire = b""
    at = draw(st.integers(0, len(fields)))
    fields = [*fields[:at], *own, *fields[at:]]
    head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines(fields))
    return Sent(
        interim + head + wire,
        (status, reason, fields),
        body,
        needs_close=framing == "close",
        is_head=is_head,
    )


def cut(wire: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = sorted({0, len(wire), *(place % (len(wire) + 1) for place in cuts)})
    return (wire[start:end] for start, end in pairwise(places))


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@MANY
@given(sent=answers(), cuts=CUTS)
def test_an_answer_is_heard_the_same_in_any_pieces(sent: Sent, cuts: list[int]) -> None:
    peer = Peer()
    heard = peer.ask(is_head=sent.is_head)

    peer.feed(cut(sent.wire, cuts))
    if sent.needs_close:
        assert heard.ends == []
        peer.end()

    assert heard == Heard(sent.head, sent.body, ["complete"])
    assert peer.pooled.count("free") == (not sent.needs_close and not sent.is_head)


@MANY
@given(sent=answers(), cuts=CUTS)
def test_an_answer_is_heard_the_same_byte_by_byte_and_on_a_used_connection(
    sent: Sent, cuts: list[int]
) -> None:
    peer = Peer()
    peer.ask()
    peer.feed(cut(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", cuts))
    heard = peer.ask(is_head=sent.is_head)

    peer.feed(bytes((byte,)) for byte in sent.wire)
    if sent.needs_close:
        peer.end()

    assert heard == Heard(sent.head, sent.body, ["complete"])


@MANY
@given(
    sent=answers().filter(lambda sent: not sent.needs_close),
    junk=st.one_of(
        st.binary(min_size=1, max_size=60),
        st.just(b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n"),
    ),
    cuts=CUTS,
)
def test_what_nobody_asked_for_is_nobodys_answer(sent: Sent, junk: bytes, cuts: list[int]) -> None:
    peer = Peer()
    heard = peer.ask(is_head=sent.is_head)

    peer.feed(cut(sent.wire + junk, cuts))

    assert heard == Heard(sent.head, sent.body, ["complete"])
    # Line ends between two messages are allowed (RFC 9112 section 2.2), and no answer to anybody.
    assert peer.connection.is_closed or not junk.strip(b"\r\n")


@MANY
@given(
    sent=answers().filter(lambda sent: not sent.needs_close),
    cuts=CUTS,
    missing=st.integers(0, 10_000),
)
def test_an_answer_that_is_cut_is_never_complete(sent: Sent, cuts: list[int], missing: int) -> None:
    peer = Peer()
    heard = peer.ask(is_head=sent.is_head)

    peer.feed(cut(sent.wire[: missing % len(sent.wire)], cuts))
    peer.end()

    assert heard.ends == ["lost"]
    assert sent.body.startswith(heard.body)


@MANY
@given(sent=answers(), cuts=CUTS, at=st.integers(0, 10_000), noise=st.binary(max_size=9))
def test_damage_never_raises_and_ends_once(
    sent: Sent, cuts: list[int], at: int, noise: bytes
) -> None:
    place = at % (len(sent.wire) + 1)
    damaged = sent.wire[:place] + noise + sent.wire[place + len(noise) // 2 :]
    peer = Peer()
    heard = peer.ask(is_head=sent.is_head)

    peer.feed(cut(damaged, cuts))
    peer.end()

    assert len(heard.ends) == 1


@MANY
@given(noise=st.binary(max_size=300), cuts=CUTS)
def test_noise_never_raises_and_ends_once(noise: bytes, cuts: list[int]) -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(cut(noise, cuts))
    peer.end()

    assert (heard.head, heard.body) == (None, b"")
    assert heard.ends in (["garbled"], ["lost"])


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reads", "framed"),
    [
        ([CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n"], [b"", b"1\r\nb\r\n"]),
        ([CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n2\r\ncd\r\n"], [b"", b"1\r\nb\r\n2\r\ncd\r\n"]),
        ([CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n"], [b"", b"", b"1\r\nb\r\n"]),
        ([CHUNKED + b"1\r\na\r\n8", b"\r\n1\r\nb\r\n\r\n\r\n"], [b"", b""]),
        ([CHUNKED + b"1\r\na\r\n6\r\n", b"1\r\nb\r\n\r\n"], [b"", b""]),
        ([CHUNKED + b"1\r\na\r\n8\r\nhe", b"1\r\nb\r\n\r\n"], [b"", b""]),
        ([CHUNKED + b"4\r\nab\r\n", b"\r\n1\r\nb\r\n"], [b"", b""]),
        ([CHUNKED + b"1;x\r\na\r\n", b"1;x\r\nb\r\n", b"1\r\nc\r\n"], [b"", b"", b"1\r\nc\r\n"]),
        ([CHUNKED + b"1\r\na\r\n", b"0\r\n\r\n"], [b"", b""]),
        (
            [b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", b"1\r\nb\r\n", b"1\r\nb\r\n"],
            [b"", b"", b""],
        ),
    ],
)
def test_only_whole_chunks_between_chunks_are_handed_on_as_they_came(
    reads: list[bytes], framed: list[bytes]
) -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter(reads))

    assert heard.framed == framed


def test_a_chunk_whose_data_ends_like_a_line_is_not_yet_whole() -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([CHUNKED + b"4\r\nab\r\n", b"1\r\nb\r\n"]))

    assert heard.ends == ["garbled"]


def test_the_next_answer_on_a_connection_begins_with_the_parser() -> None:
    peer = Peer()
    peer.ask()
    peer.feed(iter([CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"]))
    heard = peer.ask()

    peer.feed(iter([b"1\r\nb\r\n"]))

    assert heard == Heard(None, b"", ["garbled"])


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx",
        b"HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 104 Resumable\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
        b"HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_not_one_clear_answer_is_garbled(wire: bytes) -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([wire]))

    assert heard == Heard(None, b"", ["garbled"])
    assert peer.pipe.is_aborted


def test_a_status_below_100_is_garbled() -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([b"HTTP/1.1 000 Zero\r\ncontent-length: 2\r\n\r\n{}"]))

    assert heard == Heard(None, b"", ["garbled"])


CONTROLS = [byte for byte in (*range(32), 127) if byte not in b"\t\r\n"]


@pytest.mark.parametrize("status", [b"103", b"200", b"404"])
@pytest.mark.parametrize("byte", CONTROLS)
def test_a_control_character_in_the_reason_is_garbled(status: bytes, byte: int) -> None:
    peer = Peer()
    heard = peer.ask()

    wire = b"HTTP/1.1 %b O%cK\r\ncontent-length: 2\r\n\r\n{}" % (status, byte)
    peer.feed(iter([wire]))

    assert heard == Heard(None, b"", ["garbled"])


def test_every_other_byte_of_a_reason_comes_through() -> None:
    peer = Peer()
    heard = peer.ask()
    reason = bytes(byte for byte in range(256) if byte not in CONTROLS and byte not in b"\r\n")

    peer.feed(iter([b"HTTP/1.1 200 O%b\r\ncontent-length: 2\r\n\r\n{}" % reason]))

    assert heard == Heard((200, b"O" + reason, [(b"content-length", b"2")]), b"{}", ["complete"])


@pytest.mark.parametrize("line", [b"v" * 65_536, b"v\r\nx-again: " + b"v" * 50_000])
def test_a_head_without_end_is_garbled(line: bytes) -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([b"HTTP/1.1 200 OK\r\nx-long: ", *[line] * 64]))

    assert heard.ends == ["garbled"]


def test_an_offer_to_upgrade_in_a_200_is_nothing() -> None:
    peer = Peer()
    heard = peer.ask()
    offer = [(b"Upgrade", b"h2,h2c"), (b"Connection", b"Upgrade"), (b"content-length", b"2")]

    peer.feed(iter([b"HTTP/1.1 200 OK\r\n" + lines(offer) + b"\r\n{}"]))

    assert heard == Heard((200, b"OK", offer), b"{}", ["complete"])


def test_a_body_that_the_close_delimits_is_not_complete_after_a_reset() -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([b"HTTP/1.1 200 OK\r\n\r\nhalf"]))
    peer.end(ConnectionResetError())

    assert heard == Heard((200, b"OK", []), b"half", ["lost"])


@pytest.mark.parametrize(
    ("wire", "is_whole", "pooled"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True, ["free"]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", True, []),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", True, []),
        (
            b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n",
            True,
            ["free"],
        ),
        (b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n", False, []),
    ],
)
def test_a_connection_is_kept_only_if_it_can_take_another_request(
    wire: bytes, pooled: list[str], *, is_whole: bool
) -> None:
    peer = Peer()
    heard = peer.ask(is_whole=is_whole)

    peer.feed(iter([wire]))

    assert heard.ends == ["complete"]
    assert (peer.pooled, peer.pipe.is_closed) == (pooled, not pooled)


def test_cancelling_hangs_up_at_once_and_nothing_more_is_heard() -> None:
    peer = Peer()
    heard = peer.ask()

    peer.feed(iter([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"]))
    peer.connection.cancel()
    peer.end()

    assert peer.pipe.is_aborted
    assert heard == Heard((200, b"OK", [(b"content-length", b"9")]), b"half", [])


def test_bytes_on_an_idle_connection_end_it() -> None:
    peer = Peer()
    peer.ask()
    peer.feed(iter([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]))

    peer.feed(iter([b"H"]))

    assert peer.pipe.is_aborted
