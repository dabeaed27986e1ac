"""The head that the caller gets: the provider's own, with our framing."""

import pytest

from spanmeter_gateway.relay.response import Framing, choose_framing, write_head
from spanmeter_gateway.upstreams.connection import AnswerHead


def head_of(*headers: tuple[bytes, bytes], status: int = 200, reason: bytes = b"OK") -> AnswerHead:
    head = AnswerHead()
    head.status, head.reason, head.headers = status, reason, list(headers)
    for name, value in headers:
        head.noted.setdefault(name.lower(), value)
    if b"content-length" in head.noted:
        head.content_length = int(head.noted[b"content-length"])
    return head


@pytest.mark.parametrize(
    ("head", "method", "http_version", "is_rewritten", "framing"),
    [
        (head_of((b"content-length", b"2")), "POST", "1.1", False, Framing.LENGTH),
        (head_of((b"content-length", b"2")), "POST", "1.0", False, Framing.LENGTH),
        (head_of((b"content-length", b"2")), "POST", "1.1", True, Framing.CHUNKED),
        (head_of((b"content-length", b"2")), "POST", "1.0", True, Framing.CLOSE),
        (head_of(), "POST", "1.1", False, Framing.CHUNKED),
        (head_of(), "POST", "1.0", False, Framing.CLOSE),
        (head_of((b"content-length", b"2")), "HEAD", "1.1", False, Framing.NONE),
        (head_of(), "HEAD", "1.1", True, Framing.NONE),
        (head_of(status=204), "POST", "1.1", False, Framing.NONE),
        (head_of((b"content-length", b"2"), status=304), "GET", "1.1", False, Framing.NONE),
    ],
)
def test_the_framing_is_the_providers_where_that_can_be(
    head: AnswerHead, method: str, http_version: str, framing: Framing, *, is_rewritten: bool
) -> None:
    chosen = choose_framing(
        head, method=method, http_version=http_version, is_rewritten=is_rewritten
    )

    assert chosen is framing


def test_the_providers_headers_go_on_as_they_came() -> None:
    head = head_of(
        (b"X-Odd-CASE", b"1"),
        (b"set-cookie", b"a=1"),
        (b"Set-Cookie", b"b=\xe9"),
        (b"content-length", b"2"),
        status=418,
        reason=b"I'm a teapot",
    )

    assert write_head(head, Framing.LENGTH, keep_alive=True) == (
        b"HTTP/1.1 418 I'm a teapot\r\nX-Odd-CASE: 1\r\nset-cookie: a=1\r\nSet-Cookie: b=\xe9\r\n"
        b"content-length: 2\r\n\r\n"
    )


def test_headers_of_the_providers_hop_are_replaced_by_ours() -> None:
    head = head_of(
        (b"Connection", b"close, X-Hop"),
        (b"Keep-Alive", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Trailer", b"x-sum"),
        (b"Upgrade", b"h2"),
        (b"x-hop", b"1"),
        (b"x-kept", b"1"),
    )

    assert write_head(head, Framing.CHUNKED, keep_alive=False) == (
        b"HTTP/1.1 200 OK\r\nx-kept: 1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.CLOSE])
def test_a_length_that_no_longer_holds_is_not_told(framing: Framing) -> None:
    written = write_head(head_of((b"Content-Length", b"99")), framing, keep_alive=True)

    assert b"ontent-" not in written


def test_the_length_that_frames_the_answer_cannot_be_named_away() -> None:
    head = head_of((b"connection", b"content-length"), (b"content-length", b"2"))

    written = write_head(head, Framing.LENGTH, keep_alive=True)

    assert written == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


def test_a_bodiless_answer_keeps_the_length_that_it_tells_of() -> None:
    head = head_of((b"content-length", b"99"), status=304, reason=b"")

    assert write_head(head, Framing.NONE, keep_alive=True) == (
        b"HTTP/1.1 304 \r\ncontent-length: 99\r\n\r\n"
    )
