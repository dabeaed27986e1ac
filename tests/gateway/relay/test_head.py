"""How the headers of a request are sorted."""

import pytest

from spanmeter_gateway.relay.head import RequestHead, named_by_connection


def test_headers_are_sorted_by_what_is_done_with_them() -> None:
    head = RequestHead(
        [
            (b"Host", b"x"),
            (b"X-Custom", b"1"),
            (b"X-Feature", b"f"),
            (b"x-custom", b"2"),
            (b"Authorization", b"Bearer k"),
            (b"Connection", b"keep-alive"),
            (b"Keep-Alive", b"5"),
            (b"Proxy-Connection", b"keep-alive"),
            (b"TE", b"trailers"),
            (b"Upgrade", b"h2c"),
            (b"HTTP2-Settings", b"AAA"),
            (b"X-Gateway-Key", b" key "),
            (b"X-Routing-Enabled", b"true"),
            (b"Helicone-Property-Env", b"prod"),
            (b"baggage", b"a=b"),
        ]
    )

    assert head.forwarded == [
        (b"x-custom", b"X-Custom", b"1"),
        (b"x-custom", b"x-custom", b"2"),
        (b"authorization", b"Authorization", b"Bearer k"),
        (b"connection", b"Connection", b"keep-alive"),
    ]
    assert head.attribution == [
        (b"x-feature", b"f"),
        (b"helicone-property-env", b"prod"),
        (b"baggage", b"a=b"),
    ]
    assert head.gateway == {b"x-gateway-key": b"key", b"x-routing-enabled": b"true"}
    assert head.noted == {
        b"host": b"x",
        b"authorization": b"Bearer k",
        b"connection": b"keep-alive",
    }


def test_all_lines_of_a_trace_context_count() -> None:
    head = RequestHead([(b"tracestate", b"a=1"), (b"X-A", b"1"), (b"TraceState", b"b=2")])

    assert head.noted == {b"tracestate": b"a=1,b=2"}
    assert len(head.forwarded) == 3


def test_the_first_value_of_a_noted_header_counts() -> None:
    head = RequestHead([(b"api-key", b"1"), (b"API-Key", b"2")])

    assert head.noted == {b"api-key": b"1"}
    assert len(head.forwarded) == 2


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ([], None),
        ([(b"x-provider", b"groq")], "groq"),
        ([(b"X-Provider", b"  groq\t")], "groq"),
        ([(b"x-provider", b"groq"), (b"x-lectr-provider", b"azure")], "azure"),
        ([(b"x-provider", b""), (b"x-provider", b"groq")], "groq"),
        ([(b"x-provider", b"   ")], None),
        ([(b"x-provider", b"caf\xe9")], "caf\xe9"),
    ],
)
def test_the_provider_asked_for(headers: list[tuple[bytes, bytes]], asked: str | None) -> None:
    assert RequestHead(headers).asked_provider == asked


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, set()),
        (b"keep-alive", set()),
        (b"Close", set()),
        (b"Keep-Alive, Upgrade", set()),
        (b"close, X-Hop , ,x-other", {b"x-hop", b"x-other"}),
        (b"Content-Length", set()),
    ],
)
def test_connection_names_the_headers_of_this_hop_but_never_the_length(
    value: bytes | None, named: set[bytes]
) -> None:
    assert named_by_connection(value) == named
