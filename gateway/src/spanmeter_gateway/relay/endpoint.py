"""An upstream as one relay process uses it: its pool, its host header, its held credential."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from spanmeter.dialects.dialect import Family
from spanmeter_gateway.routing.choice import base_path
from spanmeter_gateway.upstreams.connection import AnswerSink
from spanmeter_gateway.upstreams.limited_pool import LimitedPool
from spanmeter_gateway.upstreams.pool import Pool
from spanmeter_gateway.upstreams.providers import AUTHORIZATION, credential_header
from spanmeter_gateway.upstreams.secret import read_credential
from spanmeter_gateway.upstreams.upstream import Upstream
from spanmeter_gateway.upstreams.way import find_way


class Connection(Protocol):
    """A connection to an upstream, as one exchange uses it; see `UpstreamConnection`."""

    has_served: bool
    head_bytes: int
    is_request_whole: bool

    def send(
        self, sink: AnswerSink, request: bytes, *, is_whole: bool, is_head_request: bool
    ) -> None: ...
    def send_more(self, piece: bytes) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...


class Connections(Protocol):
    """All connections to one upstream; see `Pool`."""

    def take(self) -> Connection | None: ...
    async def connect(self, *, fresh: bool = False) -> Connection: ...
    def sweep(self, now_s: float) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a call needs to reach one upstream."""

    upstream: Upstream
    pool: Connections
    host: str
    port: int
    host_header: bytes
    base_path: str
    extra_headers: tuple[tuple[bytes, bytes], ...]
    replaced: frozenset[bytes]
    """Lower-case names of the caller's headers that `extra_headers` replace."""
    held: str | None
    """The credential that we hold, or `None`: the caller's own goes upstream."""

    def held_header(self, family: Family) -> tuple[bytes, bytes] | None:
        """Write the header that carries the held credential, or `None` when we hold none."""
        if self.held is None:
            return None
        name = credential_header(self.upstream.provider, family)
        value = f"Bearer {self.held}" if name == AUTHORIZATION else self.held
        return name.encode(), value.encode()


def open_endpoint(upstream: Upstream, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Make an upstream usable.

    Raises OSError for a CA bundle or credential that cannot be read, `StartError` for a proxy.
    """
    way = find_way(upstream, environ)
    limit = upstream.max_connections
    headers = tuple((name.encode(), value.encode()) for name, value in upstream.headers)
    return Endpoint(
        upstream=upstream,
        pool=Pool(way) if limit is None else LimitedPool(way, max_connections=limit),
        host=way.host,
        port=way.port,
        host_header=urlsplit(upstream.base_url).netloc.rpartition("@")[2].encode(),
        base_path=base_path(upstream),
        extra_headers=headers,
        replaced=frozenset(name.lower() for name, _ in headers),
        held=read_credential(upstream.credential, environ),
    )
