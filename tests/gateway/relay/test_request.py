"""What goes upstream of a caller's request, byte for byte."""

from dataclasses import replace

import pytest
from tests.gateway.relay.rules import AZURE_UPSTREAM, UPSTREAM_BY_NAME, Headers

from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.endpoint import Endpoint, open_endpoint
from spanmeter_gateway.relay.head import RequestHead, named_by_connection
from spanmeter_gateway.relay.plan import Plan
from spanmeter_gateway.relay.request import write_request, write_trace_headers
from spanmeter_gateway.routing.address import read_address
from spanmeter_gateway.upstreams.upstream import Credential, Upstream

OPENAI = UPSTREAM_BY_NAME["openai"]
ANTHROPIC = UPSTREAM_BY_NAME["anthropic"]
GEMINI = UPSTREAM_BY_NAME["gemini"]
CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
HELD = Credential("env", "HELD")
PROVIDER_BY_NAME = {name: each.provider for name, each in UPSTREAM_BY_NAME.items()}


def endpoint_of(upstream: Upstream) -> Endpoint:
    return open_endpoint(
        replace(upstream, base_url=upstream.base_url.replace("https", "http")),
        environ={"HELD": " held-key\n"},
    )


def written(
    upstream: Upstream,
    headers: Headers,
    *,
    target: str = CHAT,
    plan: Plan | None = None,
    method: bytes = b"POST",
    framing: bytes | None = None,
    trace_headers: bytes = b"",
) -> list[bytes]:
    """Write a request and return its lines; the last is the body."""
    head = RequestHead(headers)
    address = read_address(method.decode(), target, PROVIDER_BY_NAME, asked=None)
    target = target.removeprefix(f"/{address.upstream}")
    request = write_request(
        plan or Plan(upstream, target, b"{}"),
        endpoint_of(upstream),
        method=method,
        head=head,
        address=address,
        named_hop=named_by_connection(head.noted.get(b"connection")),
        body_framing=framing,
        trace_headers=trace_headers,
    )
    lines, _, body = request.partition(b"\r\n\r\n")
    return [*lines.split(b"\r\n"), body]


def test_a_request_goes_on_as_it_came_less_what_is_ours_and_of_the_hop() -> None:
    headers = [
        (b"Host", b"gateway.internal"),
        (b"X-CUSTOM", b"caf\xe9"),
        (b"Content-Type", b"application/json"),
        (b"X-Feature", b"f"),
        (b"X-Tags", b"env:prod"),
        (b"baggage", b"spanmeter.task=t"),
        (b"X-Provider", b"openai"),
        (b"X-Gateway-Key", b"k"),
        (b"Authorization", b"Bearer mine"),
        (b"Content-Length", b"2"),
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Expect", b"100-continue"),
        (b"TE", b"trailers"),
        (b"traceparent", b"00-1-2-01"),
        (b"tracestate", b"a=b"),
        (b"x-custom", b"2"),
    ]

    assert written(OPENAI, headers) == [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: api.openai.com",
        b"X-CUSTOM: caf\xe9",
        b"Content-Type: application/json",
        b"Authorization: Bearer mine",
        b"x-custom: 2",
        b"content-length: 2",
        b"{}",
    ]


def test_a_chunked_body_that_was_read_whole_goes_on_with_its_length() -> None:
    assert written(OPENAI, [(b"Transfer-Encoding", b"chunked"), (b"x-a", b"1")]) == [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: api.openai.com",
        b"x-a: 1",
        b"content-length: 2",
        b"{}",
    ]


def test_an_edited_body_goes_on_with_its_own_length_in_the_clear() -> None:
    plan = Plan(OPENAI, CHAT, b'{"a":1}', is_decoded=True)
    headers = [(b"Content-Encoding", b"gzip"), (b"Content-Length", b"99")]

    assert written(OPENAI, headers, plan=plan)[2:] == [b"content-length: 7", b'{"a":1}']


def test_usage_that_is_to_be_hidden_is_asked_for_in_the_clear() -> None:
    plan = Plan(OPENAI, CHAT, b"{}", hides_usage=True)

    lines = written(OPENAI, [(b"Accept-Encoding", b"gzip, br")], plan=plan)

    assert lines[2:] == [b"content-length: 2", b"accept-encoding: identity", b"{}"]


@pytest.mark.parametrize(
    ("method", "headers", "framing", "lines"),
    [
        (b"GET", [], b"", [b""]),
        (
            b"POST",
            [(b"content-length", b"0")],
            b"content-length: 0\r\n",
            [b"content-length: 0", b""],
        ),
        (
            b"PUT",
            [(b"content-length", b"9")],
            b"content-length: 9\r\n",
            [b"content-length: 9", b""],
        ),
        (
            b"POST",
            [(b"transfer-encoding", b"chunked")],
            b"transfer-encoding: chunked\r\n",
            [b"transfer-encoding: chunked", b""],
        ),
    ],
)
def test_a_body_that_follows_is_framed_once(
    method: bytes, headers: Headers, *, framing: bytes, lines: list[bytes]
) -> None:
    plan = Plan(OPENAI, "/v1/files", b"")

    found = written(OPENAI, headers, target="/v1/files", plan=plan, method=method, framing=framing)

    assert found[2:] == lines


@pytest.mark.parametrize(
    ("upstream", "target", "line"),
    [
        (OPENAI, CHAT, b"authorization: Bearer held-key"),
        (ANTHROPIC, "/v1/messages", b"x-api-key: held-key"),
        (ANTHROPIC, CHAT, b"x-api-key: held-key"),
        (GEMINI, GENERATE, b"x-goog-api-key: held-key"),
        (GEMINI, CHAT, b"authorization: Bearer held-key"),
        (AZURE_UPSTREAM, CHAT, b"api-key: held-key"),
    ],
)
def test_a_held_credential_stands_alone(upstream: Upstream, target: str, line: bytes) -> None:
    callers = [
        (b"Authorization", b"Bearer callers"),
        (b"X-Api-Key", b"callers"),
        (b"API-KEY", b"callers"),
        (b"x-goog-api-key", b"callers"),
    ]

    lines = written(replace(upstream, credential=HELD), callers, target=target)

    assert lines[2:] == [b"content-length: 2", line, b"{}"]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?key=callers", ""),
        ("?alt=sse&key=callers", "?alt=sse"),
        ("?key=callers&alt=sse", "?alt=sse"),
        ("?a=1&key=callers&key=again&b=2", "?a=1&b=2"),
        ("?monkey=1&keys=2", "?monkey=1&keys=2"),
        ("?key=", ""),
        ("", ""),
    ],
)
def test_a_key_in_the_query_gives_way_to_a_held_credential(query: str, left: str) -> None:
    lines = written(replace(GEMINI, credential=HELD), [], target=GENERATE + query)

    assert lines[0] == f"POST {GENERATE}{left} HTTP/1.1".encode()


def test_without_a_held_credential_the_callers_key_stays_in_the_query() -> None:
    target = f"{GENERATE}?key=mine"

    assert written(GEMINI, [], target=target)[0] == f"POST {target} HTTP/1.1".encode()


@pytest.mark.parametrize(
    ("upstream", "target", "credential", "lines"),
    [
        (ANTHROPIC, CHAT, b"Bearer sk-ant-1", [b"x-api-key: sk-ant-1"]),
        (ANTHROPIC, CHAT, b"bearer sk-ant-1", [b"x-api-key: sk-ant-1"]),
        (AZURE_UPSTREAM, CHAT, b"Bearer 0123", [b"api-key: 0123"]),
        # As the provider takes it: OAuth of Anthropic, a token of Entra ID, another scheme.
        (ANTHROPIC, CHAT, b"Bearer sk-ant-oat01", [b"Authorization: Bearer sk-ant-oat01"]),
        (AZURE_UPSTREAM, CHAT, b"Bearer eyJhbGciOi", [b"Authorization: Bearer eyJhbGciOi"]),
        (ANTHROPIC, CHAT, b"Basic abc", [b"Authorization: Basic abc"]),
        # Bearer is what these read; and a named upstream gets what was sent.
        (OPENAI, CHAT, b"Bearer sk-1", [b"Authorization: Bearer sk-1"]),
        (GEMINI, CHAT, b"Bearer AIza", [b"Authorization: Bearer AIza"]),
        (ANTHROPIC, f"/anthropic{CHAT}", b"Bearer sk-1", [b"Authorization: Bearer sk-1"]),
    ],
)
def test_a_bearer_key_moves_to_the_header_that_the_provider_reads(
    upstream: Upstream, target: str, *, credential: bytes, lines: list[bytes]
) -> None:
    found = written(upstream, [(b"Authorization", credential)], target=target)

    assert sorted(found[2:-1]) == sorted([*lines, b"content-length: 2"])


def test_a_provider_s_own_header_beside_the_bearer_key_leaves_both() -> None:
    headers = [(b"Authorization", b"Bearer a"), (b"X-Api-Key", b"b")]

    found = written(ANTHROPIC, headers)

    assert found[2:4] == [b"Authorization: Bearer a", b"X-Api-Key: b"]


def test_only_the_credential_moves_not_a_value_that_looks_like_its_name() -> None:
    headers = [(b"x-list", b"authorization"), (b"Authorization", b"Bearer sk-1"), (b"x-b", b"2")]

    assert written(ANTHROPIC, headers)[2:] == [
        b"x-list: authorization",
        b"x-b: 2",
        b"content-length: 2",
        b"x-api-key: sk-1",
        b"{}",
    ]


def test_a_bearer_key_that_was_declared_of_this_hop_still_reaches_its_provider() -> None:
    headers = [(b"Connection", b"authorization"), (b"Authorization", b"Bearer sk-1")]

    assert written(ANTHROPIC, headers)[2:] == [b"content-length: 2", b"x-api-key: sk-1", b"{}"]


def test_configured_headers_replace_the_callers() -> None:
    upstream = replace(OPENAI, headers=(("OpenAI-Project", "ours"), ("x-new", "1")))
    headers = [(b"openai-project", b"callers"), (b"OPENAI-PROJECT", b"again"), (b"x-a", b"1")]

    assert written(upstream, headers)[2:] == [
        b"x-a: 1",
        b"content-length: 2",
        b"OpenAI-Project: ours",
        b"x-new: 1",
        b"{}",
    ]


def test_the_base_path_and_a_port_of_the_upstream_are_kept() -> None:
    upstream = replace(OPENAI, base_url="http://10.0.0.1:8080/llm/v1/")

    assert written(upstream, [])[:2] == [
        b"POST /llm/v1/chat/completions HTTP/1.1",
        b"host: 10.0.0.1:8080",
    ]


@pytest.mark.parametrize(
    ("trace", "headers"),
    [
        (
            Trace(trace_id="1" * 32, span_id="2" * 16, parent_id="9" * 16, state="a=b"),
            b"traceparent: 00-%b-%b-01\r\ntracestate: a=b\r\n" % (b"1" * 32, b"3" * 16),
        ),
        (
            Trace(trace_id="1" * 32, span_id="2" * 16, sampled=False),
            b"traceparent: 00-%b-%b-00\r\n" % (b"1" * 32, b"3" * 16),
        ),
        (
            Trace(trace_id="1" * 32, span_id="2" * 16, random=True),
            b"traceparent: 00-%b-%b-03\r\n" % (b"1" * 32, b"3" * 16),
        ),
    ],
)
def test_our_trace_context_has_the_attempt_as_parent(trace: Trace, headers: bytes) -> None:
    assert write_trace_headers(trace, "3" * 16) == headers


def test_our_trace_context_replaces_the_callers() -> None:
    headers = [(b"traceparent", b"00-callers"), (b"x-a", b"1")]

    found = written(OPENAI, headers, trace_headers=b"traceparent: 00-ours\r\n")

    assert found[2:] == [b"x-a: 1", b"content-length: 2", b"traceparent: 00-ours", b"{}"]
