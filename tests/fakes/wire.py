"""How a body travels: cut into pieces, compressed, framed.

Pure: bytes in, pieces out. The same arguments always give the same pieces.
"""

import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import brotli
import zstandard

EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")

LONGEST_RANDOM_PIECE = 4096
"""Random pieces grow with the body, so that a megabyte does not become ten thousand of them."""


class Compressor(Protocol):
    """What zlib, brotli and zstd have in common here."""

    def compress(self, piece: bytes, /) -> bytes: ...

    def flush_piece(self) -> bytes: ...

    def finish(self) -> bytes: ...


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._engine = zlib.compressobj(wbits=window_bits)

    def compress(self, piece: bytes, /) -> bytes:
        return self._engine.compress(piece)

    def flush_piece(self) -> bytes:
        return self._engine.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._engine.flush()


class _Brotli:
    def __init__(self) -> None:
        self._engine = brotli.Compressor(quality=4)

    def compress(self, piece: bytes, /) -> bytes:
        return bytes(self._engine.process(piece))

    def flush_piece(self) -> bytes:
        return bytes(self._engine.flush())

    def finish(self) -> bytes:
        return bytes(self._engine.finish())


class _Zstd:
    def __init__(self) -> None:
        self._engine = zstandard.ZstdCompressor().compressobj()

    def compress(self, piece: bytes, /) -> bytes:
        return bytes(self._engine.compress(piece))

    def flush_piece(self) -> bytes:
        return bytes(self._engine.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._engine.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH))


COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    # RFC 9110, 8.4.1.2: some senders leave the zlib wrapper away; the header still says deflate.
    "raw-deflate": lambda: _Zlib(-15),
    "br": _Brotli,
    "zstd": _Zstd,
}


def split(body: bytes, chunking: str, sizes: Sequence[int] = ()) -> list[bytes]:
    """Cut a body in pieces that add up to it.

    `whole`, `events` (after each server-sent event, else after each line), `random:<seed>`,
    `bytes` (one by one), `bytes:<n>` (the first and last n one by one, the middle whole),
    `recorded` (`sizes`; whole when there are none).
    """
    kind, _, argument = chunking.partition(":")
    match kind:
        case "whole":
            pieces = [body]
        case "events":
            pieces = _after_each(EVENT_END, body) or body.splitlines(keepends=True)
        case "random":
            pieces = list(_random_pieces(body, int(argument or 0)))
        case "bytes":
            pieces = _single_bytes(body, int(argument or len(body)))
        case "recorded":
            pieces = _sized(body, sizes)
        case _:
            raise ValueError(f"unknown chunking {chunking!r}")
    return [piece for piece in pieces if piece]


def compress(pieces: Iterable[bytes], encoding: str) -> list[bytes]:
    """Compress piece by piece, flushed after each as a streaming server does."""
    engine = COMPRESSORS[encoding]()
    compressed = [engine.compress(piece) + engine.flush_piece() for piece in pieces]
    compressed.append(engine.finish())
    return [piece for piece in compressed if piece]


def frame_chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Frame each piece as one HTTP chunk (RFC 9112, 7.1); the last chunk is left to the caller."""
    return (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def _after_each(boundary: re.Pattern[bytes], body: bytes) -> list[bytes]:
    ends = [match.end() for match in boundary.finditer(body)]
    starts = [0, *ends]
    pieces = [body[start:end] for start, end in zip(starts, [*ends, len(body)], strict=True)]
    return pieces if ends else []


def _random_pieces(body: bytes, seed: int) -> Iterator[bytes]:
    dice = random.Random(f"{seed}/{len(body)}")
    longest = min(LONGEST_RANDOM_PIECE, max(16, len(body) // 20))
    start = 0
    while start < len(body):
        end = start + dice.randint(1, longest)
        yield body[start:end]
        start = end


def _single_bytes(body: bytes, count: int) -> list[bytes]:
    head, middle, tail = body[:count], body[count:-count], b""
    if len(body) > count:
        tail = body[max(count, len(body) - count) :]
    singles = [head[at : at + 1] for at in range(len(head))]
    return [*singles, middle, *(tail[at : at + 1] for at in range(len(tail)))]


def _sized(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(body[start : start + size])
        start += size
    return [*pieces, body[start:]]
