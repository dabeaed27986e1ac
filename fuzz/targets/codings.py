"""Content codings: any bytes, in any pieces, under a bound that a bomb cannot break.

Properties: nothing but `Undecodable` is raised; pieces do not matter; what the coding's own library
reads in one go is read the same here; no more comes out than the bound and a slice.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import brotli
import zstandard

from fuzz.draw import WHOLE, Draw
from fuzz.seeds import small_recordings
from fuzz.target import Target
from spanmeter import decoding
from spanmeter.decoding import Undecodable, decoder_for

CODINGS = (b"gzip", b"deflate", b"br", b"zstd", b" X-GZIP ", b"identity", b"gzip, br", b"\xff")
BOUND_BYTES = 1 << 20
"""The product's own, of 64 MB, would make a fuzzer slow."""
READERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.decompress,
    b"deflate": zlib.decompress,
    b"br": brotli.decompress,
    b"zstd": zstandard.ZstdDecompressor().decompress,
}


def check(raw: bytes) -> None:
    """Decode one body whole and in pieces."""
    draw = Draw(raw)
    coding, compresses, split = draw.one_of(CODINGS), bool(draw.number(1)), draw.split()
    body = draw.rest
    if compresses and coding in WRITERS:
        plain, body = body, WRITERS[coding](body)
        assert _decoded(coding, split.cut(body)) == plain
    usual, decoding.LIMIT_BYTES = decoding.LIMIT_BYTES, BOUND_BYTES
    try:
        whole = _decoded(coding, [body])
        assert _decoded(coding, split.cut(body)) == whole, "the pieces matter"
    finally:
        decoding.LIMIT_BYTES = usual
    if whole is not None:
        assert len(whole) <= BOUND_BYTES
        _check_against_library(coding, body, whole)


def _decoded(coding: bytes, pieces: list[bytes]) -> bytes | None:
    try:
        decoder = decoder_for(coding)
        if decoder is None:
            return b"".join(pieces)
        return b"".join([decoder.decode(piece) for piece in pieces])
    except Undecodable as error:
        assert str(error) in ("too_large", "malformed", "unknown_coding")
        return None


def _check_against_library(coding: bytes, body: bytes, whole: bytes) -> None:
    reader = READERS.get(coding)
    if reader is None:
        return
    with suppress(OSError, EOFError, zlib.error, brotli.error, zstandard.ZstdError):
        plain = reader(body)
        assert whole.startswith(plain), "the coding's own library reads something else"


WRITERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.ZstdCompressor().compress,
}


def _seeds() -> Iterator[bytes]:
    for place, coding in enumerate(CODINGS[:4]):
        yield bytes([place, 1]) + WHOLE + b"some text, some text"
        write = WRITERS[coding]
        for plain in (b"", b"data: {}\n\n" * 9, bytes(3_000_000)):
            yield bytes([place, 0]) + WHOLE + write(plain)
        yield bytes([place, 0]) + WHOLE + write(b"one") + write(b"two")
    for each in small_recordings():
        if each.wire_body is not None and each.content_encoding is not None:
            place = CODINGS.index(each.content_encoding.encode())
            yield bytes([place, 0]) + WHOLE + each.wire_body


TARGET = Target(
    name="codings",
    check=check,
    seeds=_seeds,
    words=(b"\x1f\x8b\x08", b"\x78\x9c", b"\x28\xb5\x2f\xfd", b"\x00\x00\xff\xff", b"\x03\x00"),
    max_bytes=4096,
)
