"""The way to one upstream: host and port, whom to trust there, and the proxy in between, if any."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import certifi

from spanmeter_gateway.errors import StartError
from spanmeter_gateway.upstreams.proxy import (
    DIRECT,
    PROXY_VARIABLES,
    InvalidProxy,
    Proxy,
    parse_proxy,
    proxy_from,
)
from spanmeter_gateway.upstreams.secret import read_credential
from spanmeter_gateway.upstreams.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Way:
    """What a pool must know to open a connection."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_s: float
    """For all of it: name, proxy, tunnel and TLS."""
    proxy: Proxy | None = None
    proxy_tls: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        """Write `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def find_way(upstream: Upstream, environ: Mapping[str, str]) -> Way:
    """Find the way; raises OSError for a file that cannot be read, and `StartError` for a proxy."""
    parts = urlsplit(upstream.base_url)
    is_tls = parts.scheme == "https"
    proxy = egress_proxy(upstream, environ)
    return Way(
        host=parts.hostname or "",
        port=parts.port or (443 if is_tls else 80),
        tls=_tls_of(upstream) if is_tls else None,
        connect_s=upstream.timeouts.connect_s,
        proxy=proxy,
        proxy_tls=_proxy_tls_context(upstream.ca_file) if proxy and proxy.is_tls else None,
    )


def egress_proxy(upstream: Upstream, environ: Mapping[str, str]) -> Proxy | None:
    """Choose the proxy: the upstream's own, else the environment's, else none."""
    if upstream.proxy == DIRECT:
        return None
    try:
        if upstream.proxy is None:
            return proxy_from(environ, upstream.base_url)
        return parse_proxy(upstream.proxy, read_credential(upstream.proxy_login, environ))
    except InvalidProxy as error:
        place = f"upstreams.{upstream.name}.proxy" if upstream.proxy else PROXY_VARIABLES
        raise StartError(f"{place}: {error}") from error


def _tls_of(upstream: Upstream) -> ssl.SSLContext:
    return _public_context() if upstream.ca_file is None else tls_context(upstream.ca_file)


@cache
def _public_context() -> ssl.SSLContext:
    # One for all that trust the public authorities: reading these takes 20 ms, and a megabyte.
    return tls_context(None)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Make a context that checks certificates and host names.

    Trusts `ca_file` alone when given, else the system's store and Mozilla's (certifi), because slim
    images come without a store. Raises OSError or ssl.SSLError for an unusable file.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy_tls_context(ca_file: str | None) -> ssl.SSLContext:
    # A proxy that is spoken to over TLS has its certificate from a public or from the own CA.
    context = tls_context(None)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
