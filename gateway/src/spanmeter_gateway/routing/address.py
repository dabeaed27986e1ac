"""What a request target says by itself: its upstream, if it names one, and its dialect.

Pure text work on the path, done before the body is read; the model has its say in `choice.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spanmeter.dialects.dialect import Dialect
from spanmeter.dialects.registry import recognise

AZURE = "azure.ai.openai"
_ABSOLUTE = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
_LEADING_SLASHES = re.compile(r"^/{2,}")


@dataclass(frozen=True, slots=True)
class Address:
    """A request target, taken apart.

    `path` is what the upstream should see if nothing has to be translated: the raw path, less a
    first segment that named an upstream. `query` is raw, without its question mark.
    """

    path: str
    query: str
    dialect: Dialect | None
    upstream: str | None = None
    """The upstream that the first segment names."""
    provider: str | None = None
    """The provider that the path belongs to, whatever the model: Azure's deployment paths."""
    remembered: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was chosen for this address before; kept by whoever chooses."""


def split_target(target: str) -> tuple[str, str]:
    """Split a raw target into path and query; takes the absolute form too (RFC 9112 3.2.2)."""
    if not target.startswith("/"):
        target = _ABSOLUTE.sub("", target) or "/"
    path, _, query = target.partition("?")
    return path, query


def read_address(
    method: str, target: str, provider_by_upstream: Mapping[str, str], *, asked: str | None
) -> Address:
    """Take a target apart.

    `provider_by_upstream` maps each upstream's name to its provider; `asked` is the provider that
    `X-Provider` names, if it names one. Azure's `/openai/deployments/...` comes first, so that an
    upstream called `openai` does not swallow it; so does any path with Azure's `api-version` or
    asked of Azure, because Azure serves `/openai/...` and `/anthropic/...` under one host.
    """
    path, query = split_target(target)
    plain = _LEADING_SLASHES.sub("/", path)
    dialect = recognise(method, plain)
    if plain.startswith("/openai/deployments/"):
        return Address(path, query, dialect, provider=asked or AZURE)
    name, _, rest = plain[1:].partition("/")
    if name not in provider_by_upstream:
        return Address(path, query, dialect)
    is_azures = asked == AZURE or (name == "openai" and "api-version=" in query)
    if is_azures and provider_by_upstream[name] != AZURE:
        return Address(path, query, dialect, provider=AZURE)
    rest = path[path.index(name) + len(name) :] or "/"
    return Address(rest, query, recognise(method, rest), upstream=name)
