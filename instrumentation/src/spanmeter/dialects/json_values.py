"""Take facts out of foreign JSON: each only when it has the type that it should have.

Providers and callers send anything; what has the wrong type says nothing, and is never guessed at.
"""

import re
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

Scalar = str | int | float | bool | None
Shape = TypeVar("Shape")

_LARGEST_COUNT = 2**53
"""The last integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

_SURROGATE_HINTS = (b"\\ud", b"\\uD")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def decode(decoder: msgspec.json.Decoder[Shape], body: bytes | bytearray) -> Shape:
    """Decode JSON, even where an emoji was cut; raises `ValueError` or `RecursionError`.

    A lone surrogate escape is legal JSON (RFC 8259, section 8.2): SDKs send them when they cut a
    text, and streams carry them when an emoji falls between two chunks. msgspec refuses them.
    """
    try:
        return decoder.decode(body)
    except msgspec.DecodeError:
        if not any(hint in body for hint in _SURROGATE_HINTS):
            raise
    return decoder.decode(mended(body))


def decoded(decoder: msgspec.json.Decoder[Shape], body: bytes | bytearray) -> Shape | None:
    """Decode JSON; `None` for what cannot be read as this shape."""
    try:
        return decode(decoder, body)
    except (ValueError, RecursionError):
        return None


def mended(body: bytes | bytearray) -> bytes:
    """Write U+FFFD for each lone surrogate escape; the bytes stay as many as they were."""
    return bytes(_ESCAPE.sub(_mended, body))


def _mended(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape["lone"] else escape[0]


def text(value: Any) -> str | None:
    """Return a name or an id, cut to a length that no real one has; empty says nothing."""
    return value[:256] if isinstance(value, str) and value else None


def word(value: Any) -> str | None:
    """Return a short string such as a level or a tier, cut to 64 characters.

    Anything but ASCII without blanks says nothing: some put prose there, which may quote a prompt.
    """
    return identifier(value[:64]) if isinstance(value, str) else None


def identifier(value: Any) -> str | None:
    """Return an id that a caller wrote: ASCII without blanks, and as long as ids are."""
    if not isinstance(value, str) or not 0 < len(value) <= 256 or " " in value:
        return None
    return value if value.isascii() and value.isprintable() else None


def count(value: Any) -> int | None:
    """Return a count of tokens: an integer from 0; a float, a string or a negative says nothing."""
    return value if type(value) is int and 0 <= value < _LARGEST_COUNT else None


def counts(*values: Any) -> list[int | None]:
    """Return several counts at once; a call for each would be most of the cost of a usage."""
    return [
        value if type(value) is int and 0 <= value < _LARGEST_COUNT else None for value in values
    ]


def integer(value: Any) -> int | None:
    """Return an integer that fits 64 bits; `40.0` is one, `true` is not."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def number(value: Any) -> float | None:
    """Return a number as it was sent."""
    return value if type(value) is float else integer(value)


def usd(value: Any) -> str | None:
    """Return an amount of money as decimal text without an exponent."""
    if type(value) not in (int, float) or not 0 <= value < 10**9:
        return None
    return format(Decimal(repr(value)), "f")


def reason(value: Any) -> str | None:
    """Return a finish reason as text; Vertex may send enums as integers. Prose is `other`."""
    if type(value) is int and integer(value) is not None:
        return str(value)
    return word(value) or ("other" if isinstance(value, str) and value else None)


def total(*counts: int | None) -> int | None:
    """Add the counts that are known; `None` when none is."""
    known = [each for each in counts if each is not None]
    return sum(known) if known else None
