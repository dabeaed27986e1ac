"""Whole transfer chunks: what passes the parser by is what the parser would have taken."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmeter_gateway.upstreams.transfer_chunks import whole_chunks


@pytest.mark.parametrize(
    ("read", "pieces"),
    [
        (b"5\r\nhello\r\n", [b"hello"]),
        (b"005\r\nhello\r\n", [b"hello"]),
        (b"a\r\n0123456789\r\nA\r\n9876543210\r\n", [b"0123456789", b"9876543210"]),
        (b"10\r\n" + b"x" * 16 + b"\r\n", [b"x" * 16]),
        (b"ffff\r\n" + b"x" * 65_535 + b"\r\n", [b"x" * 65_535]),
        (b"2\r\n\r\n\r\n", [b"\r\n"]),
    ],
)
def test_the_data_of_whole_chunks_is_found(read: bytes, pieces: list[bytes]) -> None:
    assert whole_chunks(read) == pieces


@pytest.mark.parametrize(
    "read",
    [
        b"",
        b"5",
        b"5\r\n",
        b"5\r\nhell",
        b"5\r\nhello",
        b"5\r\nhello\r",
        b"5\r\nhello\n\n",
        b"5\nhello\r\n",
        b"5\r\rhello\r\n",
        b"5\r\nhello\r\r",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\r\n6",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"\r\n\r\n",
        b"5;a=b\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"1_0\r\n" + b"x" * 16 + b"\r\n",
        b"0000005\r\nhello\r\n",
        b"ffffffffffffffff\r\nhello\r\n",
        b"g\r\nhello\r\n",
    ],
)
def test_anything_else_is_left_to_the_parser(read: bytes) -> None:
    assert whole_chunks(read) == []


class Parsed:
    """What httptools makes of a body."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.begun = self.whole = 0

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_chunk_header(self) -> None:
        self.begun += 1

    def on_chunk_complete(self) -> None:
        self.whole += 1


PARTS = st.sampled_from(
    [b"5", b"2", b"A", b"00", b"0", b"\r\n", b"\r", b"\n", b"hello", b"ab", b";", b"0123456789"]
)
CHUNKS = st.binary(min_size=1, max_size=20).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))


@settings(max_examples=400)
@given(read=st.lists(st.one_of(CHUNKS, PARTS), max_size=6).map(b"".join))
def test_chunks_are_whole_only_where_the_parser_takes_them_so(read: bytes) -> None:
    heard = Parsed()
    parser = httptools.HttpResponseParser(heard)
    parser.feed_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    found = whole_chunks(read)
    parser.feed_data(read if found else b"")

    assert (heard.pieces, heard.begun, heard.whole) == (found, len(found), len(found))
