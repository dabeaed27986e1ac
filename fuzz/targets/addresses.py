"""Request targets: what goes upstream never leaves the upstream's base path nor its request line.

An input is a target as it stands on the request line.
"""

import posixpath
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import unquote

from tests.gateway.relay.rules import account, rules

from fuzz.draw import Draw
from fuzz.seeds import small_recordings
from fuzz.target import Target
from spanmeter.dialects.registry import DIALECTS
from spanmeter_gateway.errors import CallerError
from spanmeter_gateway.relay.endpoint import Endpoint, open_endpoint
from spanmeter_gateway.relay.head import RequestHead
from spanmeter_gateway.relay.journey import (
    Rules,
    decide,
    decide_passthrough,
    find_address,
    note_undecided,
)
from spanmeter_gateway.relay.request import write_request
from spanmeter_gateway.upstreams.upstream import Credential, Upstream

METHODS = ("POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS")
ASKED = (None, b"house", b"azure", b"openai", b"nobody", b"\xff")
MODELS = (b'"gpt-4o"', b'"llama3"', b'"claude-3"', b'"../x?y#z"', b'"\\r\\nhost: x"', b"7")
TARGET_TEXT = re.compile(rb"[^\x00-\x20\x7f]+")
"""What the parser of the caller's connection lets through."""
HELD = Credential("env", "HELD")


def check(raw: bytes) -> None:
    """Find where one target goes, and write the request's head."""
    draw = Draw(raw)
    method, asked, model = draw.one_of(METHODS), draw.one_of(ASKED), draw.one_of(MODELS)
    if not TARGET_TEXT.fullmatch(draw.rest):
        return
    head = RequestHead([] if asked is None else [(b"x-provider", asked)])
    into, under = account(method), _rules()
    address = find_address(into, under, head=head, target=draw.rest.decode("latin-1"))
    note_undecided(into, under, head=head, address=address)
    body = b'{"model":' + model + b"}"
    try:
        if address.dialect is None:
            plan = decide_passthrough(into, under, head=head, address=address)
        else:
            plan = decide(into, under, head=head, address=address, body=body)
    except CallerError as error:
        assert 400 <= error.status < 500
        return
    assert into.route in _routes(), "a route of somebody's making"
    endpoint = _endpoint(plan.upstream)
    request = write_request(plan, endpoint, method=method.encode(), head=head, address=address)
    _check_request(request, endpoint, method.encode())


def _check_request(request: bytes, endpoint: Endpoint, method: bytes) -> None:
    line, _, rest = request.partition(b"\r\n")
    assert [method, b"HTTP/1.1"] == [line.split(b" ")[0], line.split(b" ")[-1]]
    target = line[len(method) + 1 : -len(b" HTTP/1.1")]
    assert TARGET_TEXT.fullmatch(target), "a target of two words"
    assert b"#" not in target or b"#" in line
    assert rest.startswith(b"host: " + endpoint.host_header + b"\r\n")
    assert rest.lower().count(b"\r\nhost:") == 0
    path = target.decode("latin-1").partition("?")[0]
    assert path.startswith("/"), "a target that names another host"
    base = endpoint.base_path
    for seen in (path, unquote(path), unquote(path).replace("\\", "/")):
        plain = posixpath.normpath(re.sub("/+", "/", seen))
        assert plain == base or plain.startswith(base + "/"), "a path outside the base path"


@cache
def _rules() -> Rules:
    return rules()


@cache
def _endpoint(upstream: Upstream) -> Endpoint:
    return open_endpoint(upstream)


@cache
def _routes() -> frozenset[str]:
    upstreams = _rules().directory.upstream_by_name
    kinds = ("/v1/{}", "/openai/deployments/{{deployment}}/{}")
    endings = ("chat/completions", "completions", "embeddings", "responses", "messages")
    calls = ("generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents")
    vertex = "/v1/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:"
    return frozenset(
        (
            *(dialect.route for dialect in DIALECTS),
            *(f"/{name}/*" for name in upstreams),
            *(kind.format(ending) for kind in kinds for ending in endings),
            *(prefix + call for prefix in (vertex, "/v1beta/models/{model}:") for call in calls),
        )
    )


def _seeds() -> Iterator[bytes]:
    yield from {b"\0\0\0" + each.path.encode() for each in small_recordings()}
    for target in (
        b"/house/v1/files", b"/house/../admin", b"/house/%2e%2e/admin", b"/house/..%2fadmin",
        b"//house//v1/models", b"http://example.com/v1/models", b"/v1/models?key=x&alt=sse",
        b"/openai/deployments/d/chat/completions?api-version=2024-10-21", b"*", b"/azure/x",
    ):  # fmt: skip
        yield b"\1\0\0" + target
        yield b"\0\1\1" + target


TARGET = Target(
    name="addresses",
    check=check,
    seeds=_seeds,
    words=(
        *(b"/house/", b"/openai/", b"/azure/", b"/groq/", b"/gemini/", b"/v1/", b"/v1beta/models/"),
        *(b"chat/completions", b"messages", b":generateContent", b"%3A", b"/deployments/", b"/../"),
        *(b"..", b"%2e%2e", b"%2f", b"%5c", b"\\", b"//", b"http://", b"?", b"#", b"api-version="),
        *(b"/api", b"/openai/v1", b";", b"@", b"key=", b"/locations/", b"/projects/", b"%00"),
    ),
    max_bytes=512,
)
