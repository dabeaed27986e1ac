"""Writing the request that goes upstream: the caller's headers, less what is ours."""

import re
from functools import lru_cache

from spanmeter_gateway.receipt import Trace
from spanmeter_gateway.relay.endpoint import Endpoint
from spanmeter_gateway.relay.head import CREDENTIAL_HEADERS, NOTHING_NAMED, RequestHead
from spanmeter_gateway.relay.journey import Plan
from spanmeter_gateway.routing.address import AZURE, Address
from spanmeter_gateway.routing.choice import join_base
from spanmeter_gateway.upstreams.providers import AUTHORIZATION, credential_header

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
    family = address.dialect.family if address.dialect is not None else "openai"
    held = endpoint.held_header(family) if endpoint.held is not None else None
    if held is not None:
        target = _without_key_parameter(target)
    dropped = _dropped(
        endpoint.replaced,
        is_decoded=plan.is_decoded,
        hides_usage=plan.hides_usage,
        is_held=held is not None,
    )
    if named_hop:
        dropped |= named_hop
    out = [method, b" ", target.encode("latin-1"), b" HTTP/1.1\r\nhost: ", endpoint.host_header]
    out.append(b"\r\n")
    length_line = b": %d\r\n" % len(plan.body) if body_framing is None else None
    has_native_header = endpoint.upstream.provider in _NATIVE_HEADER_PROVIDERS
    if has_native_header or named_hop or b"content-length" in head.noted:
        is_sized = _copy_headers(out, head, dropped=dropped, length_line=length_line)
    else:
        is_sized = False
        out.append(head.block(dropped))
    if length_line is None:
        out.append(body_framing or b"")
    elif not is_sized and (plan.body or method == b"POST"):
        out += (b"content-length", length_line)
    if held is not None:
        out.append(b"%b: %b\r\n" % held)
    elif address.upstream is None and has_native_header:
        _use_native_header(out, endpoint, head)
    out += [b"%b: %b\r\n" % pair for pair in endpoint.extra_headers]
    if plan.hides_usage:
        out.append(b"accept-encoding: identity\r\n")
    out += (trace_headers, b"\r\n", plan.body)
    return b"".join(out)


def _copy_headers(
    out: list[bytes], head: RequestHead, *, dropped: frozenset[bytes], length_line: bytes | None
) -> bool:
    """Copy what is forwarded; the length is written anew in its place. Was there one?"""
    is_sized = False
    for lower, name, value in head.forwarded:
        if lower not in dropped:
            out += (name, b": ", value, b"\r\n")
        elif lower == b"content-length" and length_line is not None and not is_sized:
            out += (name, length_line)
            is_sized = True
    return is_sized


_NATIVE_HEADER_PROVIDERS = ("anthropic", AZURE)


@lru_cache(maxsize=1024)
def _dropped(
    replaced: frozenset[bytes], *, is_decoded: bool, hides_usage: bool, is_held: bool
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
    if is_held:
        dropped |= CREDENTIAL_HEADERS
    return dropped


def _use_native_header(out: list[bytes], endpoint: Endpoint, head: RequestHead) -> None:
    """Move a bearer key to the header that the provider reads, where it has one of its own.

    Clients that speak to every provider through one base URL send `Authorization: Bearer` to all.
    """
    if b"authorization" not in head.noted:
        return
    provider = endpoint.upstream.provider
    native = credential_header(provider, "anthropic")
    scheme, _, token = head.noted[b"authorization"].decode("latin-1").partition(" ")
    is_foreign = token.startswith(_FOREIGN_BEARERS)
    if native == AUTHORIZATION or native.encode() in head.noted:
        return
    if scheme.lower() != "bearer" or is_foreign:
        return
    names = (at for at, part in enumerate(out[:-1]) if out[at + 1] == b": ")
    position = next((at for at in names if out[at].lower() == b"authorization"), len(out))
    del out[position : position + 4]
    out.append(f"{native}: {token}\r\n".encode("latin-1"))


def _without_key_parameter(target: str) -> str:
    path, found, query = target.partition("?")
    if not found:
        return target
    query = _KEY_PARAMETER.sub("", query).lstrip("&")
    return f"{path}?{query}" if query else path


def write_trace_headers(trace: Trace, span_id: str) -> bytes:
    """Write our trace context for a provider, with the attempt's span as parent."""
    line = f"traceparent: 00-{trace.trace_id}-{span_id}-{'01' if trace.sampled else '00'}\r\n"
    if trace.state is not None:
        line += f"tracestate: {trace.state}\r\n"
    return line.encode("ascii")
