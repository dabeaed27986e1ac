"""Which egress proxy leads to an upstream: the operator's variables, and who is exempt from them.

The variables are those of curl and of everybody else; there is no specification. Lower case comes
before upper case (curl's manual, ENVIRONMENT); `NO_PROXY` is read as Go's httpproxy reads it:
https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config.
"""

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DIRECT = "none"
PROXY_VARIABLES = "HTTPS_PROXY, HTTP_PROXY"
_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


class InvalidProxy(ValueError):
    """The text is no address of a proxy; says why, and never repeats it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked with CONNECT."""

    host: str
    port: int
    is_tls: bool = False
    """The proxy itself is spoken to over TLS."""
    authorization: bytes | None = field(default=None, repr=False)
    """The value of `Proxy-Authorization`."""

    def __str__(self) -> str:
        """Write the address, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}"


def parse_proxy(url: str, login: str | None = None) -> Proxy:
    """Read a proxy's URL; `login` is `user:password` and comes before the URL's own.

    Without a scheme it is `http://`, as for curl and Go. Raises `InvalidProxy`.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidProxy("the port must be a number from 1 to 65535") from None
    if parts.scheme not in _PORTS:
        raise InvalidProxy("must begin with http:// or https://: other proxies are not supported")
    if not host or any(letter.isspace() for letter in url) or port == 0:
        raise InvalidProxy("must name a host, as in http://proxy.example.com:3128")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidProxy("must not have a path, a query or a fragment")
    if login is None and parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    authorization = b"Basic " + b64encode(login.encode()) if login else None
    return Proxy(host, port or _PORTS[parts.scheme], parts.scheme == "https", authorization)


def proxy_from(environ: Mapping[str, str], base_url: str) -> Proxy | None:
    """Choose the proxy that the environment names for a base URL; raises `InvalidProxy`."""
    parts = urlsplit(base_url)
    name = f"{parts.scheme}_proxy"
    url = variable(environ, name)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    if not url or _is_loopback(host) or is_exempt(host, port, no_proxy=_no_proxy(environ)):
        return None
    return parse_proxy(url)


def variable(environ: Mapping[str, str], name: str) -> str:
    """Read a variable in lower or else in upper case; empty where there is none."""
    # `HTTP_PROXY` is dangerous in CGI programs alone, where a `Proxy` header sets it (httpoxy).
    return (environ.get(name.lower()) or environ.get(name.upper()) or "").strip()


def is_exempt(host: str, port: int, *, no_proxy: str) -> bool:
    """Tell whether `NO_PROXY` names an upstream.

    Comma-separated: `*` for all; a name for itself and all below it; `.name` and `*.name` for those
    below it alone; an IP address; a CIDR block; each but `*` and a block perhaps with `:port`.
    """
    host = host.lower().rstrip(".")
    return any(_names(entry.strip().lower(), host, port) for entry in no_proxy.split(","))


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        network = _network(entry)
        return address is not None and network is not None and address in network
    name, wanted_port = _split_port(entry)
    if not name or (wanted_port is not None and wanted_port != str(port)):
        return False
    if address is not None:
        return _address(name) == address
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    return host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":") or None
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host in _LOOPBACK_NAMES or (address is not None and address.is_loopback)


def _no_proxy(environ: Mapping[str, str]) -> str:
    return variable(environ, "no_proxy")
