"""The head of a caller's request, read once: what goes on, what is ours, what we must know.

Every header name is looked up once in a bounded table, because this runs for each header of each
call. What RFC 9112 wants refused and the parser lets through is refused here.
"""

import re

from spanmeter.attribution import is_attribution_header

HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"expect", b"http2-settings", b"proxy-authorization"),
        *(b"transfer_encoding", b"content_length"),
    )
)
"""Not forwarded (RFC 9110 section 7.6.1); `expect` is answered here; `proxy-connection` is an old
name for `connection`; `proxy-authorization` is for whoever stands before a provider (section
11.7.2); `http2-settings` belongs to an upgrade that we do not make. CGI and WSGI take
`_` for `-` (RFC 3875 section 4.1.18), so behind them the last two would say what the body is."""

GATEWAY_HEADERS = frozenset(
    (b"x-provider", b"x-lectr-provider", b"x-gateway-key", b"x-lectr-key", b"x-routing-enabled")
)
"""Ours beside the attribution headers; never forwarded."""
OTHER_GATEWAYS_KEYS = frozenset(
    (
        *(b"helicone-auth", b"x-portkey-api-key", b"cf-aig-authorization"),
        *(b"x-bf-vk", b"x-litellm-api-key"),
    )
)
"""A client that came from another gateway may still send its key; no provider may see it."""

CREDENTIAL_HEADERS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))


_FORWARDED, _HOP, _ATTRIBUTION, _GATEWAY, _NOTED, _JOINED, _SINGLE = range(7)
"""What the relay does with a header. Noted ones are forwarded too, or written anew, by a rule of
their own. Plain integers: an enum's attribute costs more than the rest of the look-up."""

_NOTED_NAMES = frozenset(
    (
        *(b"content-length", b"content-encoding", b"accept-encoding"),
        *(b"expect", b"anthropic-version"),
        *CREDENTIAL_HEADERS,
    )
)
_JOINED_NAMES = frozenset((b"traceparent", b"tracestate", b"connection"))
"""Noted too, but all lines of one name together: W3C Trace Context lets `tracestate` come in
several, and of two parents none is to be believed; `connection` is a list (RFC 9110 7.6.1)."""
_SINGLE_NAMES = frozenset((b"host", b"transfer-encoding"))
"""Noted too, and refused where they come twice: two readers may believe different ones."""
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""RFC 9110 section 7.2, RFC 3986 section 3.2.2; a comma would be two hosts in one line."""
_CONTINUE = b"100-continue"
_MOST_HEADERS = 2000
"""Node.js reads no more either (nodejs.org/api/http.html, `maxHeadersCount`)."""
_KNOWN: dict[bytes, tuple[bytes, int]] = {}
_KNOWN_LIMIT = 4096
_KNOWN_NAME_BYTES = 64


def _classify(name: bytes) -> tuple[bytes, int]:
    lower = name.lower()
    if lower in _NOTED_NAMES:
        kind = _NOTED
    elif lower in _JOINED_NAMES:
        kind = _JOINED
    elif lower in _SINGLE_NAMES:
        kind = _SINGLE
    elif lower in HOP_BY_HOP:
        kind = _HOP
    elif lower in GATEWAY_HEADERS or lower in OTHER_GATEWAYS_KEYS:
        kind = _GATEWAY
    elif is_attribution_header(lower):
        kind = _ATTRIBUTION
    else:
        kind = _FORWARDED
    if len(_KNOWN) < _KNOWN_LIMIT and len(name) <= _KNOWN_NAME_BYTES:
        _KNOWN[name] = (lower, kind)
    return lower, kind


class RefusedRequest(Exception):
    """A request that is answered outside any call: what it asks for cannot be told safely."""

    def __init__(self, status: int, message: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.message = message


class RequestHead:
    """The headers of a request, sorted by what is done with them.

    A caller says the same things with each request of a connection, so a head may serve many calls;
    it never changes, but remembers what was made of it. Raises `RefusedRequest`.
    """

    __slots__ = ("attribution", "blocks", "forwarded", "gateway", "noted")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.forwarded: list[tuple[bytes, bytes, bytes]] = []
        """(lower-case name, raw name, raw value) in order, the noted ones among them."""
        self.attribution: list[tuple[bytes, bytes]] = []
        """(lower-case name, raw value) in order."""
        self.gateway: dict[bytes, bytes] = {}
        self.noted: dict[bytes, bytes] = {}
        """The value of each header that the relay must know, by lower-case name: the first, or of
        a trace context all, joined by commas."""
        self.blocks: dict[frozenset[bytes], bytes] = {}
        """The forwarded headers as text, by what was dropped from them."""
        for name, value in headers:
            known = _KNOWN.get(name)
            lower, kind = known if known is not None else _classify(name)
            if kind == _FORWARDED:
                self.forwarded.append((lower, name, value))
            elif kind == _NOTED:
                self.forwarded.append((lower, name, value))
                self.noted.setdefault(lower, value)
            elif kind == _SINGLE:
                self._note_single(lower, value)
            elif kind == _JOINED:
                self.forwarded.append((lower, name, value))
                first = self.noted.get(lower)
                self.noted[lower] = value if first is None else first + b"," + value
            elif kind == _ATTRIBUTION:
                self.attribution.append((lower, value))
            elif kind == _GATEWAY and value.strip():
                self.gateway.setdefault(lower, value.strip())
        self._settle(len(headers))

    def _note_single(self, lower: bytes, value: bytes) -> None:
        if lower in self.noted:
            raise RefusedRequest(400, b"the request has two %b headers" % lower)
        self.noted[lower] = value

    def _settle(self, lines: int) -> None:
        if lines > _MOST_HEADERS:
            raise RefusedRequest(431, b"the request has too many headers")
        if self.noted.get(b"expect", _CONTINUE).lower() != _CONTINUE:
            del self.noted[b"expect"]  # of others we know nothing (RFC 9110 section 10.1.1)
        if _HOST.fullmatch(self.noted.get(b"host", b"")) is None:
            raise RefusedRequest(400, b"the Host header is not a host")

    def block(self, dropped: frozenset[bytes]) -> bytes:
        """Write the forwarded headers, less those dropped (lower-case names)."""
        block = self.blocks.get(dropped)
        if block is None:
            block = self.blocks[dropped] = b"".join(
                b"%b: %b\r\n" % (name, value)
                for lower, name, value in self.forwarded
                if lower not in dropped
            )
        return block

    @property
    def shown_key(self) -> bytes | None:
        """The value of `X-Lectr-Key`, else of `X-Gateway-Key` (the compatible name wins)."""
        return self.gateway.get(b"x-lectr-key") or self.gateway.get(b"x-gateway-key")

    @property
    def asked_provider(self) -> str | None:
        """The value of `X-Lectr-Provider`, else of `X-Provider` (the compatible name wins)."""
        gateway = self.gateway
        if not gateway:
            return None
        value = gateway.get(b"x-lectr-provider") or gateway.get(b"x-provider")
        return value.decode("latin-1") if value else None


NOTHING_NAMED: frozenset[bytes] = frozenset()


def named_by_connection(value: bytes | None) -> frozenset[bytes]:
    """Read the header names that `Connection` declares hop-by-hop (RFC 9110 section 7.6.1)."""
    if value is None or value.lower() in (b"keep-alive", b"close"):
        return NOTHING_NAMED
    tokens = {token.strip().lower() for token in value.split(b",")}
    return frozenset(tokens) - {b"", b"close", b"keep-alive", b"upgrade", b"content-length"}


def check_version(head: RequestHead, version: str) -> None:
    """Refuse what a request of this version of HTTP must or may not have (`RefusedRequest`)."""
    coding = head.noted.get(b"transfer-encoding")
    if version not in ("1.1", "1.0"):
        raise RefusedRequest(505, b"use HTTP/1.1")
    if version == "1.1" and b"host" not in head.noted:  # RFC 9112 section 3.2
        raise RefusedRequest(400, b"the request has no Host header")
    if version == "1.0":  # it knows no interim answer (RFC 9110 section 10.1.1)
        head.noted.pop(b"expect", None)
    if coding is None:
        return
    if version == "1.0":  # RFC 9112 section 6.1: its framing is faulty
        raise RefusedRequest(400, b"HTTP/1.0 has no Transfer-Encoding")
    codings = coding.rstrip(b" ").lower()
    if codings == b"chunked":
        return
    if codings.endswith(b"chunked") and codings[:-7].rstrip(b" \t").endswith(b","):
        raise RefusedRequest(501, b"of the transfer codings only chunked is understood")
    # RFC 9112 section 6.3: the length of the body cannot be told
    raise RefusedRequest(400, b"the last transfer coding must be chunked")
