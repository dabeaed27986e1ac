"""OTLP protobuf by hand: the few messages that spans need, as bytes.

The official classes cost about ten times as much for the same bytes, and most bytes repeat from
call to call, so encoded pieces can be remembered. Field numbers and wire types are those of
opentelemetry-proto (common.proto, resource.proto, trace.proto, trace_service.proto); the tests read
every message back with the official classes.

A message's field is a tag (number times 8 plus wire type), then its content. Wire types: 0 varint,
1 eight bytes, 2 length and bytes, 5 four bytes.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from spanmeter.span_attributes import Value, fits

__all__ = ["Value", "fits"]

# Fields that hold an attribute.
SPAN_ATTRIBUTE = 9
EVENT_ATTRIBUTE = 3
RESOURCE_ATTRIBUTE = 1

# Different tags and models that repeat at a time; an entry is about 300 bytes.
_REMEMBERED_ATTRIBUTES = 8192
_REMEMBERED_NUMBERS = 16384
_REMEMBERED_COUNTS = 2048

_pack_fixed64 = struct.Struct("<Q").pack
_pack_fixed32 = struct.Struct("<I").pack
_pack_double = struct.Struct("<d").pack
_MASK = (1 << 64) - 1
_PIECE_TAGS = tuple(bytes((field << 3 | 2,)) for field in range(16))


@lru_cache(_REMEMBERED_NUMBERS)
def varint(number: int) -> bytes:
    """Encode a non-negative integer below 2^64; remembered, as lengths and token counts repeat."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def piece(field: int, content: bytes) -> bytes:
    """Encode a field, of a number below 16, of bytes: text, a message, an id."""
    return _PIECE_TAGS[field] + varint(len(content)) + content


def fixed64(field: int, number: int) -> bytes:
    """Encode a field of eight bytes: a time."""
    return varint(field << 3 | 1) + _pack_fixed64(number)


def fixed32(field: int, number: int) -> bytes:
    """Encode a field of four bytes: flags."""
    return varint(field << 3 | 5) + _pack_fixed32(number)


def any_value(value: Value) -> bytes:
    """Encode an AnyValue's content."""
    if isinstance(value, str):
        return piece(1, value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value & _MASK)
    if isinstance(value, float):
        return b"\x21" + _pack_double(value)
    return piece(5, b"".join(piece(1, any_value(text)) for text in value))


@lru_cache(_REMEMBERED_ATTRIBUTES, typed=True)
def attribute(field: int, key: str, value: Value) -> bytes:
    """Encode a KeyValue as a field of the message that holds it; remembered, for what repeats."""
    return piece(field, piece(1, key.encode()) + piece(2, any_value(value)))


def attributes(field: int, pairs: Iterable[tuple[str, Value]]) -> bytes:
    """Encode KeyValues one after the other."""
    return b"".join([attribute(field, key, value) for key, value in pairs])


class Changing:
    """A span's attribute whose value changes with every call: only its key is encoded once."""

    __slots__ = ("_heads", "_key", "integer")

    def __init__(self, key: str) -> None:
        self._key = piece(1, key.encode())
        # Everything before a number depends on how long the number is: at most 11 bytes.
        self._heads = [self._head(size) for size in range(12)]
        self.integer = lru_cache(_REMEMBERED_COUNTS)(self._integer)
        """Encode an integer that `fits`; remembered, as most counts repeat."""

    def double(self, number: float) -> bytes:
        """Encode a double."""
        return self._heads[9] + b"\x21" + _pack_double(number)

    def text(self, text: str) -> bytes:
        """Encode a text."""
        value = piece(1, text.encode())
        return self._head(len(value)) + value

    def _integer(self, number: int) -> bytes:
        value = b"\x18" + varint(number & _MASK)
        return self._heads[len(value)] + value

    def _head(self, size: int) -> bytes:
        length = varint(size)
        content = len(self._key) + 1 + len(length) + size
        return b"\x4a" + varint(content) + self._key + b"\x12" + length


class Envelope:
    """An ExportTraceServiceRequest around spans: the resource and scope are encoded once."""

    def __init__(
        self, resource: Mapping[str, Value], scope: str, *, version: str, schema_url: str
    ) -> None:
        self._resource = piece(1, attributes(RESOURCE_ATTRIBUTE, resource.items()))
        self._scope = piece(1, piece(1, scope.encode()) + piece(2, version.encode()))
        self._schema_url = piece(3, schema_url.encode())

    def seal(self, spans: Iterable[bytes]) -> bytes:
        """Put encoded spans (each as field 2 of ScopeSpans) into one request."""
        scope_spans = b"".join((self._scope, *spans, self._schema_url))
        return piece(1, self._resource + piece(2, scope_spans))
