"""Writing the answer's head for the caller: the provider's status and headers, our framing."""

from enum import Enum

from spanmeter_gateway.relay.head import HOP_BY_HOP, named_by_connection
from spanmeter_gateway.upstreams.connection import AnswerHead

_NO_BODY_STATUSES = frozenset((204, 304))
"""Answers without a body whatever their headers say (RFC 9112 section 6.3)."""
_IS_HOP: dict[bytes, bool] = {}
_KNOWN_LIMIT = 4096
_KNOWN_NAME_BYTES = 64


class Framing(Enum):
    """How the caller finds the end of the body."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


def choose_framing(
    head: AnswerHead, *, method: str, http_version: str, is_rewritten: bool
) -> Framing:
    """Keep the provider's length where the body goes on as it came; else chunks, or the close."""
    if method == "HEAD" or head.status in _NO_BODY_STATUSES:
        return Framing.NONE
    if head.content_length is not None and not is_rewritten:
        return Framing.LENGTH
    return Framing.CHUNKED if http_version == "1.1" else Framing.CLOSE


def write_head(head: AnswerHead, framing: Framing, *, keep_alive: bool) -> bytes:
    """Write status line and headers; hop-by-hop headers are replaced by our own."""
    named_hop = named_by_connection(head.noted.get(b"connection"))
    is_chunked = framing is Framing.CHUNKED
    loses_length = is_chunked or framing is Framing.CLOSE
    out = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    for name, value in head.headers:
        is_hop = _IS_HOP.get(name)
        if is_hop is None:
            is_hop = _remember(name)
        if is_hop or (named_hop and name.lower() in named_hop):
            continue
        if loses_length and name.lower() == b"content-length":
            continue
        out += (name, b": ", value, b"\r\n")
    if is_chunked:
        out.append(b"transfer-encoding: chunked\r\n")
    if not keep_alive:
        out.append(b"connection: close\r\n")
    out.append(b"\r\n")
    return b"".join(out)


def _remember(name: bytes) -> bool:
    is_hop = name.lower() in HOP_BY_HOP
    if len(_IS_HOP) < _KNOWN_LIMIT and len(name) <= _KNOWN_NAME_BYTES:
        _IS_HOP[name] = is_hop
    return is_hop
