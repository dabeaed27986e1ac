"""What a request asks of a model: the first half of what a span and metrics need; no content."""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from spanmeter.context import current
from spanmeter.decoding import Undecodable, decode_whole
from spanmeter.dialects.dialect import Dialect, RequestFacts
from spanmeter.dialects.registry import recognise
from spanmeter.errors import UnreadableBody
from spanmeter.grammar import Attribution
from spanmeter.semconv import MAX_MODEL_CHARS

FindProvider = Callable[[str, int], str | None]
"""Names the provider at a host and port."""

_PORT_BY_SCHEME = {"https": 443, "http": 80}


class Asked(NamedTuple):
    """One request to a model, by the words of a receipt (docs/receipt.md)."""

    dialect: Dialect
    facts: RequestFacts
    attribution: Attribution
    provider: str
    server_address: str
    server_port: int

    @property
    def model(self) -> str | None:
        """The model that was asked, cut to a length that no real name has."""
        model = self.facts.model
        return model[:MAX_MODEL_CHARS] if model is not None else None

    @property
    def streams(self) -> bool:
        """A streamed answer with chunks that mean something: not of embeddings."""
        return self.facts.stream and self.dialect.operation != "embeddings"


def read_request(
    method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, find: FindProvider
) -> Asked | None:
    """Read a request; `None` when it is no call to a model of a provider that `find` knows."""
    target = urlsplit(url)
    dialect = recognise(method, target.path)
    if dialect is None:
        return None
    host, port = target.hostname or "", target.port or _PORT_BY_SCHEME.get(target.scheme, 0)
    provider = find(host, port)
    if provider is None:
        return None
    facts = _describe(dialect, target.path, body=_readable(headers, body))
    return Asked(dialect, facts, current(), provider, host, port)


def _describe(dialect: Dialect, path: str, *, body: bytes) -> RequestFacts:
    try:
        return dialect.describe(body, path)
    except UnreadableBody:
        return dialect.describe(b"{}", path)  # the path alone may name the model


def _readable(headers: Mapping[str, str], body: bytes | None) -> bytes:
    try:
        return decode_whole(body or b"{}", headers.get("content-encoding", "").encode())
    except Undecodable:
        return b"{}"
