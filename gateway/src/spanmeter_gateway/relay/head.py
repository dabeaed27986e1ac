"""The head of a caller's request, read once: what goes on, what is ours, what we must know.

Every header name is looked up once in a bounded table, because this runs for each header of each
call.
"""

from enum import IntEnum

from spanmeter.attribution import is_attribution_header

HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"expect", b"http2-settings"),
    )
)
"""Not forwarded (RFC 9110 section 7.6.1); `expect` is answered here; `proxy-connection` is an old
name for `connection`; `http2-settings` belongs to an upgrade that we do not make."""

GATEWAY_HEADERS = frozenset(
    (b"x-provider", b"x-lectr-provider", b"x-gateway-key", b"x-lectr-key", b"x-routing-enabled")
)
"""Ours beside the attribution headers; never forwarded."""

CREDENTIAL_HEADERS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))


class HeaderKind(IntEnum):
    """What the relay does with a header."""

    FORWARDED = 0
    HOP = 1
    ATTRIBUTION = 2
    GATEWAY = 3
    NOTED = 4
    """Forwarded, or written anew, by a rule of its own."""


_NOTED = frozenset(
    (
        *(b"host", b"content-length", b"content-encoding", b"accept-encoding", b"traceparent"),
        *(b"tracestate", b"connection", b"expect", b"transfer-encoding", b"anthropic-version"),
        *CREDENTIAL_HEADERS,
    )
)
_KNOWN: dict[bytes, tuple[bytes, HeaderKind]] = {}
_KNOWN_LIMIT = 4096


def classify(name: bytes) -> tuple[bytes, HeaderKind]:
    """Tell the lower-case name of a header and what is done with it."""
    known = _KNOWN.get(name)
    if known is not None:
        return known
    lower = name.lower()
    if lower in _NOTED:
        kind = HeaderKind.NOTED
    elif lower in HOP_BY_HOP:
        kind = HeaderKind.HOP
    elif lower in GATEWAY_HEADERS:
        kind = HeaderKind.GATEWAY
    elif is_attribution_header(lower):
        kind = HeaderKind.ATTRIBUTION
    else:
        kind = HeaderKind.FORWARDED
    if len(_KNOWN) < _KNOWN_LIMIT:
        _KNOWN[name] = (lower, kind)
    return lower, kind


class RequestHead:
    """The headers of one request, sorted by what is done with them."""

    __slots__ = ("attribution", "forwarded", "gateway", "noted")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.forwarded: list[tuple[bytes, bytes]] = []
        """Raw names and values in order, the noted ones among them."""
        self.attribution: list[tuple[bytes, bytes]] = []
        """(lower-case name, raw value) in order."""
        self.gateway: dict[bytes, bytes] = {}
        self.noted: dict[bytes, bytes] = {}
        """The first value of each header that the relay must know, by lower-case name."""
        for pair in headers:
            lower, kind = classify(pair[0])
            if kind is HeaderKind.FORWARDED:
                self.forwarded.append(pair)
            elif kind is HeaderKind.NOTED:
                self.forwarded.append(pair)
                self.noted.setdefault(lower, pair[1])
            elif kind is HeaderKind.ATTRIBUTION:
                self.attribution.append((lower, pair[1]))
            elif kind is HeaderKind.GATEWAY and pair[1].strip():
                self.gateway.setdefault(lower, pair[1].strip())

    @property
    def asked_provider(self) -> str | None:
        """The value of `X-Lectr-Provider`, else of `X-Provider` (the compatible name wins)."""
        gateway = self.gateway
        if not gateway:
            return None
        value = gateway.get(b"x-lectr-provider") or gateway.get(b"x-provider")
        return value.decode("latin-1") if value else None


def connection_tokens(headers: list[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Collect the header names that `Connection` declares hop-by-hop (RFC 9110 section 7.6.1)."""
    tokens: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            tokens.update(token.strip().lower() for token in value.split(b","))
    return frozenset(tokens) - {b"", b"close", b"keep-alive", b"upgrade"}
