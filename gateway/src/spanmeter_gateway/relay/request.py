"""Writing the request that goes upstream: the caller's headers, less what is ours."""

import re
from functools import lru_cache

from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.endpoint import Endpoint
from spanmeter_gateway.relay.head import CREDENTIAL_HEADERS, NOTHING_NAMED, RequestHead
from spanmeter_gateway.relay.plan import Plan
from spanmeter_gateway.routing.address import AZURE, Address
from spanmeter_gateway.routing.choice import join_base
from spanmeter_gateway.upstreams.providers import credential_header

_KEY_PARAMETER = re.compile(r"(^|&)key=[^&]*")
_FOREIGN_BEARERS = ("eyJ", "sk-ant-oat")
"""Bearer tokens that a provider with a header of its own takes as such: JWTs (Microsoft Entra ID)
and Anthropic's OAuth tokens."""


def write_request(
    plan: Plan,
    endpoint: Endpoint,
    *,
    method: bytes,
    head: RequestHead,
    address: Address,
    named_hop: frozenset[bytes] = NOTHING_NAMED,
    body_framing: bytes | None = None,
    trace_headers: bytes = b"",
) -> bytes:
    """Write the request head, and the body where it is whole.

    `named_hop` are the header names that the caller's `Connection` declared hop-by-hop.
    `body_framing` is the framing header line of a body that follows in parts; `None`: the body is
    the plan's, whole.
    """
    target = plan.target
    if endpoint.base_path:
        target = join_base(endpoint.base_path, target)
    if endpoint.held is not None:
        target = _without_key_parameter(target)
    credential, replaced = _credential(endpoint, head, address)
    dropped = _dropped(
        endpoint.replaced | replaced if replaced else endpoint.replaced,
        is_decoded=plan.is_decoded,
        hides_usage=plan.hides_usage,
    )
    if named_hop:
        dropped |= named_hop
    out = [method, b" ", target.encode("latin-1"), b" HTTP/1.1\r\nhost: ", endpoint.host_header]
    out += (b"\r\n", head.block(dropped))
    if body_framing is not None:
        out.append(body_framing)
    elif plan.body or method == b"POST":
        out.append(b"content-length: %d\r\n" % len(plan.body))
    out.append(credential)
    out += [b"%b: %b\r\n" % pair for pair in endpoint.extra_headers]
    if plan.hides_usage:
        out.append(b"accept-encoding: identity\r\n")
    out += (trace_headers, b"\r\n", plan.body)
    return b"".join(out)


@lru_cache(maxsize=1024)
def _dropped(
    replaced: frozenset[bytes], *, is_decoded: bool, hides_usage: bool
) -> frozenset[bytes]:
    # The caller's trace context is not for a provider; ours is, where it is configured so.
    dropped = replaced | {
        *(b"host", b"content-length", b"connection", b"expect", b"transfer-encoding"),
        *(b"traceparent", b"tracestate"),
    }
    if is_decoded:
        dropped |= {b"content-encoding"}
    if hides_usage:
        dropped |= {b"accept-encoding"}
    return dropped


def _credential(
    endpoint: Endpoint, head: RequestHead, address: Address
) -> tuple[bytes, frozenset[bytes]]:
    """Write the credential's line, where it is not the caller's as sent, and what it replaces.

    Clients that speak to every provider through one base URL send `Authorization: Bearer` to all:
    their key goes to the header that the provider reads, where it has one of its own.
    """
    if endpoint.held is not None:
        family = address.dialect.family if address.dialect is not None else "openai"
        held = endpoint.held_header(family)
        assert held is not None
        return b"%b: %b\r\n" % held, CREDENTIAL_HEADERS
    provider = endpoint.upstream.provider
    if address.upstream is not None or provider not in _NATIVE_HEADER_PROVIDERS:
        return b"", NOTHING_NAMED
    native = credential_header(provider, "anthropic")
    if b"authorization" not in head.noted or native.encode() in head.noted:
        return b"", NOTHING_NAMED
    scheme, _, token = head.noted[b"authorization"].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or token.startswith(_FOREIGN_BEARERS):
        return b"", NOTHING_NAMED
    return f"{native}: {token}\r\n".encode("latin-1"), _AUTHORIZATION_ALONE


_NATIVE_HEADER_PROVIDERS = ("anthropic", AZURE)
_AUTHORIZATION_ALONE = frozenset((b"authorization",))


def _without_key_parameter(target: str) -> str:
    path, found, query = target.partition("?")
    if not found:
        return target
    query = _KEY_PARAMETER.sub("", query).lstrip("&")
    return f"{path}?{query}" if query else path


def write_trace_headers(trace: Trace, span_id: str) -> bytes:
    """Write our trace context for a provider, with the attempt's span as parent."""
    flags = trace.sampled | trace.random << 1
    line = f"traceparent: 00-{trace.trace_id}-{span_id}-{flags:02x}\r\n"
    if trace.state is not None:
        line += f"tracestate: {trace.state}\r\n"
    return line.encode("ascii")
