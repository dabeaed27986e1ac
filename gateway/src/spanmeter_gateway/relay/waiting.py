"""A request whose head is read: what a call is made of, and the body that came before its turn."""

from typing import Protocol

from spanmeter_gateway.relay.head import RequestHead, check_version


class Parser(Protocol):
    """httptools' parser, as far as it is asked here."""

    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


class Waiting:
    """A pipelined request: read already, begun when the one before it has ended."""

    __slots__ = (
        "content_length",
        "head",
        "http_version",
        "is_whole",
        "keep_alive",
        "method",
        "pieces",
        "target",
    )

    def __init__(
        self, parser: Parser, head: RequestHead, *, target: bytes, content_length: bytes | None
    ) -> None:
        """Take it from the parser; raises `RefusedRequest` for what is no HTTP/1.1."""
        self.method = parser.get_method()
        self.target = target
        self.head = head
        self.content_length = content_length
        self.http_version = parser.get_http_version()
        if self.http_version == "1.1":
            self.keep_alive = parser.should_keep_alive()
        else:
            check_version(head, self.http_version)
            self.keep_alive = False
        self.pieces: list[bytes] = []
        self.is_whole = False


def without_offer(
    parser: Parser,
    headers: list[tuple[bytes, bytes]],
    *,
    target: bytes,
    content_length: bytes | None,
) -> bytes:
    """Write a head again without the upgrade that it offers.

    What `Connection` says else still counts, so it stays.
    """
    version = parser.get_http_version().encode()
    head = [b"%b %b HTTP/%b\r\n" % (parser.get_method(), target, version)]
    head += [b"%b: %b\r\n" % pair for pair in headers if pair[0].lower() != b"upgrade"]
    if content_length is not None:
        head.append(b"content-length: %b\r\n" % content_length)
    return b"".join((*head, b"\r\n"))
