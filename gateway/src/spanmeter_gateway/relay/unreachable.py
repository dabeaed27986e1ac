"""What a caller is told when no connection to an upstream could be made: and what to do."""

from spanmeter_gateway.errors import (
    ConnectionsExhausted,
    GatewayError,
    ProxyFailed,
    UpstreamUnreachable,
)
from spanmeter_gateway.upstreams.pool import ConnectFailed
from spanmeter_gateway.upstreams.upstream import Upstream

_ADVICE = {
    "connection_refused": "nothing listens there: check base_url and whether it runs",
    "dns_error": "its host name has no address: check base_url and the name server",
    "certificate_expired": "its certificate is out of date: renew it, or correct this host's clock",
    "certificate_wrong_host": "its certificate is another host's: check base_url",
    "certificate_untrusted": "nobody we trust signed its certificate: set ca_file for a private CA",
    "tls_error": "TLS failed: check the scheme and port of base_url",
    "connect_timeout": "no connection within {connect_s:g} s: check base_url, proxy and firewall, "
    "or raise timeouts.connect_s",
    "connection_error": "the connection was lost while it was made: check the network",
    "proxy_unreachable": "its proxy cannot be reached: check proxy or HTTPS_PROXY",
    "proxy_unauthorized": "its proxy answered 407: check proxy_login or the login in HTTPS_PROXY",
    "proxy_refused": "its proxy answered {status} to CONNECT: let the proxy allow host and port",
    "proxy_cannot_reach": "its proxy answered {status} to CONNECT: the proxy cannot reach it",
    "proxy_error": "its proxy gave no answer to CONNECT that is HTTP: check proxy or HTTPS_PROXY",
    "connections_exhausted": "all its connections stayed busy for {connect_s:g} s: try again, or "
    "raise max_connections",
}
_PROXYS_FAULT = ("proxy_unreachable", "proxy_unauthorized", "proxy_refused", "proxy_error")


def unreachable(failure: ConnectFailed, upstream: Upstream) -> tuple[GatewayError, str]:
    """Write the error and its `error_type`."""
    slug = failure.slug
    advice = _ADVICE[slug].format(status=failure.status, connect_s=upstream.timeouts.connect_s)
    what = f"upstream {upstream.name} cannot be reached ({slug}): {advice}"
    if slug == "connections_exhausted":
        return ConnectionsExhausted(what), ConnectionsExhausted.code
    if slug in _PROXYS_FAULT:
        return ProxyFailed(what), ProxyFailed.code
    error_type = "timeout" if slug == "connect_timeout" else "connection_error"
    return UpstreamUnreachable(what, upstream=upstream.name), error_type
