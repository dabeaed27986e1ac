"""Content codings, undone on our copy only and within bounds: the caller gets the bytes as sent."""

import zlib
from typing import Protocol

import brotli
import zstandard

LIMIT_BYTES = 32 * 1024 * 1024
"""The most that one copy may decode to; beyond it the call is unmetered."""
FREE_BYTES = 1024 * 1024
MAX_RATIO = 200
"""What a copy may decode to whatever its size, and how many times that size beyond it: JSON of
templates shrinks to an 80th, a bomb to a thousandth (gzip) or less. So a few bytes cannot hold the
loop for longer than it takes to decode 1 MiB."""
_SLICE_BYTES = 1024
"""Input is fed in slices, because a few bytes of a bomb decode to megabytes at once."""
_ZSTD_SLICE_BYTES = 128
"""4 bytes of zstd are a block of up to 128 KiB (RFC 8878 section 3.1.1.2)."""
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""The most that an encoder may ask for in HTTP (RFC 9659); it is allocated at once."""


class Undecodable(Exception):
    """The bytes are not of the coding they claim, or decode to too much."""


class Decoder(Protocol):
    """Undo one content coding piece by piece."""

    def decode(self, piece: bytes) -> bytes:
        """Decode the next piece; raises `Undecodable`."""


class _Decompress(Protocol):
    def __call__(self, piece: bytes, most_bytes: int, /) -> bytes:
        """Decode a slice; more than `most_bytes` need not be decoded, for they are too many."""


class _Bounded:
    """Feed a decompressor in slices and count what comes out."""

    def __init__(self, decompress: _Decompress, slice_bytes: int = _SLICE_BYTES) -> None:
        self._decompress = decompress
        self._slice_bytes = slice_bytes
        self._room_bytes = FREE_BYTES
        self._left_bytes = LIMIT_BYTES

    def decode(self, piece: bytes) -> bytes:
        out = []
        try:
            for start in range(0, len(piece), self._slice_bytes):
                part = piece[start : start + self._slice_bytes]
                self._room_bytes += len(part) * MAX_RATIO
                most_bytes = min(self._room_bytes, self._left_bytes)
                decoded = self._decompress(part, most_bytes + 1)
                if len(decoded) > most_bytes:
                    raise Undecodable("too_large")
                self._room_bytes -= len(decoded)
                self._left_bytes -= len(decoded)
                out.append(decoded)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
            raise Undecodable("malformed") from error
        return b"".join(out)


class _Gzip:
    """Members may stand in a row (RFC 1952 section 2.2): servers flush a stream that way."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def __call__(self, piece: bytes, _most_bytes: int, /) -> bytes:
        out = b""
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            out += self._member.decompress(piece)
            piece = self._member.unused_data
        return out


class _Deflate:
    """`deflate` is zlib by RFC 9110, raw deflate in the wild: the first byte tells."""

    def __init__(self) -> None:
        self._inner: zlib._Decompress | None = None

    def __call__(self, piece: bytes, _most_bytes: int, /) -> bytes:
        if self._inner is None:
            if not piece:
                return b""
            is_zlib = piece[0] & 0x0F == 8
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._inner.decompress(piece)


def decoder_for(content_encoding: bytes | None) -> Decoder | None:
    """Choose by the `content-encoding` header; `None` for identity. Raises `Undecodable`."""
    coding = (content_encoding or b"").strip().lower()
    if coding in (b"", b"identity"):
        return None
    if coding in (b"gzip", b"x-gzip"):
        return _Bounded(_Gzip())
    if coding == b"deflate":
        return _Bounded(_Deflate())
    if coding == b"br":
        # A slice of brotli may decode to gigabytes at once, so it must be told to stop.
        process = brotli.Decompressor().process
        return _Bounded(lambda piece, most: process(piece, output_buffer_limit=most))
    if coding == b"zstd":
        unpack = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        return _Bounded(lambda piece, _: unpack.decompress(piece), _ZSTD_SLICE_BYTES)
    raise Undecodable("unknown_coding")


def decode_whole(body: bytes, content_encoding: bytes | None) -> bytes:
    """Decode a whole body; raises `Undecodable`."""
    decoder = decoder_for(content_encoding)
    return body if decoder is None else decoder.decode(body)
