"""What a request target says by itself: its upstream, if it names one, and its dialect.

Pure text work on the path, done before the body is read; the model has its say in `choice.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from spanmeter.dialects.dialect import Dialect
from spanmeter.dialects.registry import recognise
from spanmeter_gateway.errors import CallerError, MethodNotAllowed, UnknownPath

AZURE = "azure.ai.openai"
_ABSOLUTE = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
_LEADING_SLASHES = re.compile(r"^/{2,}")
_SLASH = r"(?:/|\\|%(?:25)*2f|%(?:25)*5c)"
_DOT_SEGMENT = re.compile(rf"(?:^|{_SLASH})(?:\.|%(?:25)*2e){{2}}(?:{_SLASH}|;|%(?:25)*3b|$)", re.I)
"""Also as servers see it that decode the path before they split it, twice perhaps, take a backslash
for a slash (Windows) or cut a segment at its first semicolon (Java's servlets)."""
_ODD = re.compile(r"[%\\;]|/\.|//|[A-Z]")
_NOISE = re.compile(r";[^/]*|(?<=/)\.(?=[/;]|$)")
"""Of a segment its parameters, and a single dot: nothing to a server that normalises."""
_DOUBLED_SLASHES = re.compile(r"/{2,}")
_CONTROL = re.compile(r"%(?:25)*(?:[01][0-9a-f]|7f)", re.I)
_ODDLY_WRITTEN = "the path is not written as the provider documents it: its case, or an encoding"

Problem = tuple[type[CallerError], str]
"""What to raise, and its text."""


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
    problem: Problem | None = None
    """Why no upstream may be asked."""
    remembered: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was chosen for this address before; kept by whoever chooses."""


def split_target(target: str) -> tuple[str, str]:
    """Split a raw target into path and query; takes the absolute form too (RFC 9112 3.2.2)."""
    if not target.startswith("/"):
        target = _ABSOLUTE.sub("", target)
    path, _, query = target.partition("?")
    return path or "/", query


def find_problem(method: str, target: str) -> Problem | None:
    """Say why a target must not go on; `None` where upstreams can read it in one way only.

    An upstream that decodes or normalises a path must get to no other place than the one that is
    metered, and never out of its base path.
    """
    if method == "TRACE":  # its answer quotes the request, our credential included (RFC 9110 9.3.8)
        return MethodNotAllowed, "TRACE is not forwarded: use another method"
    path, _ = split_target(target)
    if not path.startswith("/"):
        return UnknownPath, "the path must begin with a slash"
    if "#" in target:  # RFC 9112 section 3.2 knows none
        return UnknownPath, "the target has a fragment: write it without"
    if _DOT_SEGMENT.search(path):
        return UnknownPath, "the path has a `..` segment: write it without"
    if _CONTROL.search(path):
        return UnknownPath, "the path has an encoded control character: write it without"
    return None


def plain_path(path: str) -> str:
    """Write a path as the most lenient server reads it."""
    decoded = unquote(unquote(path)).replace("\\", "/")
    return _DOUBLED_SLASHES.sub("/", _NOISE.sub("", decoded))


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
    problem = find_problem(method, target)
    if problem is not None:
        return Address(path, query, None, problem=problem)
    address = _read_path(method, path, query, known=provider_by_upstream, asked=asked)
    if _ODD.search(path) is None:
        return address
    plain = plain_path(path)
    likely = _read_path(method, plain, query, known=provider_by_upstream, asked=asked)
    is_same = _meaning(likely) == _meaning(address)
    if is_same and (address.dialect is not None or recognise(method, plain.lower()) is None):
        return address
    return Address(path, query, None, problem=(UnknownPath, _ODDLY_WRITTEN))


def _meaning(address: Address) -> tuple[str | None, str | None, str | None]:
    dialect = address.dialect
    return dialect.name if dialect is not None else None, address.upstream, address.provider


def _read_path(
    method: str, path: str, query: str, *, known: Mapping[str, str], asked: str | None
) -> Address:
    plain = _LEADING_SLASHES.sub("/", path)
    dialect = recognise(method, plain)
    if plain.startswith("/openai/deployments/"):
        return Address(path, query, dialect, provider=asked or AZURE)
    name, _, rest = plain[1:].partition("/")
    if name not in known:
        return Address(path, query, dialect)
    is_azures = asked == AZURE or (name == "openai" and "api-version=" in query)
    if is_azures and known[name] != AZURE:
        return Address(path, query, dialect, provider=AZURE)
    rest = path[path.index(name) + len(name) :] or "/"
    return Address(rest, query, recognise(method, rest), upstream=name)
