"""What goes along with a request: attribution headers to the gateway, baggage to other services.

Nothing is ever added for a host that is not listed.
"""

import sys
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from spanmeter.baggage import attribution_of, baggage_of, baggage_pairs
from spanmeter.context import Received, current
from spanmeter.errors import InvalidSetting
from spanmeter.grammar import UNTAGGED, Attribution

if TYPE_CHECKING:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Headers = list[tuple[str, str]]
Role = Literal["gateway", "service"]


class _Host(NamedTuple):
    """A host, or with `*.` before it every one below it; any port where none is said."""

    name: str
    port: int | None

    def matches(self, name: str, port: int | None) -> bool:
        if self.port is not None and self.port != port:
            return False
        return name == self.name or (self.name.startswith("*.") and name.endswith(self.name[1:]))


class Hosts:
    """A list of hosts: URLs (`http://gateway:8080/v1`), `host`, `host:port` or `*.domain`."""

    def __init__(self, *texts: str) -> None:
        """Raise `InvalidSetting` for what is none of these."""
        self._hosts = tuple(_parsed(text) for text in texts)

    def __contains__(self, origin: tuple[str, int | None]) -> bool:
        """Say whether a host's name and port are listed; give the port that is really used."""
        name, port = origin
        name = name.lower()
        return any(host.matches(name, port) for host in self._hosts)

    def __bool__(self) -> bool:
        return bool(self._hosts)


def _parsed(text: str) -> _Host:
    has_scheme = "://" in text
    url = urlsplit(text if has_scheme else f"//{text}")
    try:
        name, port = url.hostname, url.port
    except ValueError:
        name, port = None, None
    is_known = not has_scheme or url.scheme in ("http", "https")
    if not name or not is_known or (not has_scheme and url.path) or "@" in url.netloc:
        raise InvalidSetting(
            f'"{text}" is no address of a gateway: expected http://host:port, host, host:port '
            "or *.domain"
        )
    if not name.isascii():
        name = name.encode("idna").decode()  # as clients write it on the wire
    if port is None and has_scheme:
        port = 443 if url.scheme == "https" else 80
    return _Host(name, port)


class Propagation(NamedTuple):
    """Which hosts are told what."""

    gateways: Hosts = Hosts()
    """Told the current attribution and the trace, by headers of their own."""
    services: Hosts = Hosts()
    """Services of our own, told the current attribution as W3C baggage."""

    def role(self, host: str, port: int | None) -> Role | None:
        """Say what a host is, if it is told anything; most are not."""
        return _role(self, host, port)

    def headers(self, host: str, port: int | None, present: Mapping[str, str]) -> Headers:
        """Return the headers to set on a request, given those that it has (lower-case names).

        What the application set itself stays as it is, except that baggage is added to. `host` is
        as it goes over the wire (IDNA).
        """
        role = _role(self, host, port)
        if role == "gateway":
            added = [pair for pair in _headers_of(current()) if pair[0] not in present]
            return added if "traceparent" in present else [*added, *_trace_headers()]
        if role == "service" and (said := current()) != _NOTHING:
            return [("baggage", baggage_of(said, present.get("baggage", "")))]
        return []


@lru_cache(maxsize=1024)
def _role(rules: Propagation, host: str, port: int | None) -> Role | None:
    if (host, port) in rules.gateways:
        return "gateway"
    return "service" if (host, port) in rules.services else None


_NOTHING = Attribution()


def inject(carrier: MutableMapping[str, str]) -> None:
    """Add the current attribution to the `baggage` of a message's headers."""
    if (said := current()) != _NOTHING:
        carrier["baggage"] = baggage_of(said, carrier.get("baggage", ""))


def received(carrier: Mapping[str, str]) -> Received:
    """Make what a message's `baggage` says the current attribution, for a block.

    Of a request from outside, anybody may have written it: use it behind services of your own.
    """
    line = next((value for name, value in carrier.items() if name.lower() == "baggage"), "")
    return Received(attribution_of(baggage_pairs([line])))


def _trace_headers() -> Iterable[tuple[str, str]]:
    # Only these two of what OpenTelemetry propagates: baggage of others is not the gateway's.
    if "opentelemetry.trace" not in sys.modules:  # then there is no span
        return ()
    carrier: dict[str, str] = {}
    _trace_context().inject(carrier)
    return carrier.items()


@lru_cache(maxsize=1)
def _trace_context() -> "TraceContextTextMapPropagator":
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - see above

    return tracecontext.TraceContextTextMapPropagator()


@lru_cache(maxsize=1024)
def _headers_of(attribution: Attribution) -> tuple[tuple[str, str], ...]:
    headers = []
    if attribution.feature != UNTAGGED:
        headers.append(("x-feature", attribution.feature))
    if attribution.task:
        headers.append(("x-task", attribution.task))
    if attribution.tags:
        headers.append(("x-tags", ",".join(f"{key}:{value}" for key, value in attribution.tags)))
    return tuple(headers)
