"""Transfer chunks (RFC 9112 section 7.1) that arrive whole, as those of a stream nearly always do.

Strict: what is not plainly a row of whole chunks, without extensions, is left to the parser.
"""

from typing import Final

from mypy_extensions import i64

_HEX: Final = b"0123456789abcdefABCDEF"
_VALUES: Final = bytes(int(chr(byte), 16) if byte in _HEX else 255 for byte in range(256))
_MOST_DIGITS: Final = 6
_CR: Final = 13
_LF: Final = 10


def whole_chunks(read: bytes) -> list[bytes]:
    """Return the data of each chunk of a read that is whole chunks and nothing else.

    Nothing where it is not, or where one is the last chunk, which has no data.
    """
    pieces = []
    at: i64 = 0
    end: i64 = len(read)
    while at < end:
        size: i64 = 0
        start = at
        while start < end and start - at < _MOST_DIGITS:
            value: i64 = _VALUES[read[start]]
            if value > 15:
                break
            size = size * 16 + value
            start += 1
        stop = start + 2 + size
        if not size or stop + 2 > end:
            return []
        if read[start] != _CR or read[start + 1] != _LF:
            return []
        if read[stop] != _CR or read[stop + 1] != _LF:
            return []
        pieces.append(read[start + 2 : stop])
        at = stop + 2
    return pieces
