"""The operator's upstreams, checked one by one and put in front of the well-known ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from spanmeter_gateway.config_named_files import Note, check_certificates
from spanmeter_gateway.config_schema import CredentialShape, TimeoutsShape, UpstreamShape
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.upstreams.providers import PROVIDERS, Provider, find, well_known_upstreams
from spanmeter_gateway.upstreams.proxy import (
    DIRECT,
    PROXY_VARIABLES,
    InvalidProxy,
    parse_proxy,
    proxy_from,
)
from spanmeter_gateway.upstreams.secret import read_credential, shown
from spanmeter_gateway.upstreams.upstream import Credential, Timeouts, Upstream

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_RESERVED = re.compile(
    r"v\d+[a-z0-9]*|healthz|readyz|metrics|models|chat|completions|embeddings|responses|messages"
)
"""First segments of the relay's own paths and of the dialects'."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, field-value, in Latin-1
_SECRET_HEADERS = {
    *("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization")
}
_FRAMING_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an upstream's keys refer to outside the file, and where problems are noted."""

    environ: Mapping[str, str]
    note: Note


def upstreams(
    shapes: Mapping[str, UpstreamShape | None], around: Surroundings, *, well_known: bool
) -> tuple[Upstream, ...]:
    """Put the operator's upstreams first; a well-known one of the same name gives way."""
    written = [
        upstream
        for name, shape in shapes.items()
        if (upstream := _upstream(name, shape or UpstreamShape(), around)) is not None
    ]
    built_in = [row for row in well_known_upstreams() if well_known and row.name not in shapes]
    if not shapes and not built_in:
        around.note("upstreams", "there is none; name one, or set well_known_upstreams: true")
    return (*written, *built_in)


def _upstream(name: str, shape: UpstreamShape, around: Surroundings) -> Upstream | None:
    key = f"upstreams.{name}"
    _check_name(name, key, around.note)
    provider = _provider(name, shape, around)
    base_url = shape.base_url or provider.base_url
    if base_url is None:
        around.note(f"{key}.base_url", _missing_address(provider))
        return None
    root = provider.openai_root if shape.openai_root is None else shape.openai_root.rstrip("/")
    if root and not root.startswith("/"):
        around.note(f"{key}.openai_root", 'must be a path such as /v1, or "" for none')
    for problem in url_problems(base_url):
        around.note(f"{key}.base_url", problem)
    if shape.ca_file is not None:
        check_certificates(shape.ca_file, f"{key}.ca_file", around.note)
    for problem in _proxy_problems(shape, base_url, around.environ):
        around.note(f"{key}.proxy", problem)
    return Upstream(
        name=name,
        provider=provider.name,
        base_url=base_url.rstrip("/"),
        credential=credential(shape.credential, f"{key}.credential", around),
        timeouts=_timeouts(shape.timeouts),
        headers=tuple(_headers(shape.headers, f"{key}.headers", around.note)),
        openai_root=root,
        stream_usage=provider.stream_usage if shape.stream_usage is None else shape.stream_usage,
        dialects=provider.dialects if shape.dialects is None else tuple(shape.dialects),
        models=tuple(shape.models),
        api_version=shape.api_version,
        ca_file=shape.ca_file,
        max_connections=shape.max_connections,
        proxy=shape.proxy,
        proxy_login=credential(shape.proxy_login, f"{key}.proxy_login", around),
        forward_trace=shape.forward_trace,
    )


def _proxy_problems(
    shape: UpstreamShape, base_url: str, environ: Mapping[str, str]
) -> Iterator[str]:
    if shape.proxy_login is not None and shape.proxy in (None, DIRECT):
        yield "must name the proxy that proxy_login is for"
    try:
        if shape.proxy is None:
            if not any(url_problems(base_url)):  # of such a URL there is no telling which
                proxy_from(environ, base_url)
        elif shape.proxy != DIRECT and parse_proxy(shape.proxy).authorization is not None:
            yield "must not hold a user name or password; use proxy_login"
    except InvalidProxy as error:
        yield str(error) if shape.proxy else f"{PROXY_VARIABLES}: {error}"


def check_name(name: str, key: str, note: Note) -> bool:
    """Note a name that holds what none may hold; say whether it is sound."""
    is_sound = _NAME.fullmatch(name) is not None
    if not is_sound:
        note(key, "a name may hold lower-case letters, digits, '_', '.' and '-' only")
    return is_sound


def _check_name(name: str, key: str, note: Note) -> None:
    if check_name(name, key, note) and _RESERVED.fullmatch(name):
        note(key, f"the name is taken: /{name} is a path of the gateway itself")


def _provider(name: str, shape: UpstreamShape, around: Surroundings) -> Provider:
    wanted = shape.provider or name
    known = find(wanted)
    if known is not None:
        return known
    if shape.provider is not None:
        check_name(wanted, f"upstreams.{name}.provider", around.note)
    return Provider(name=wanted, aliases=(wanted,))


def _missing_address(provider: Provider) -> str:
    known = ", ".join(row.aliases[0] for row in PROVIDERS if row.base_url is not None)
    return (
        f"is missing: the provider {provider.name} has no address of its own "
        f"(these have one: {known})"
    )


def url_problems(url: str) -> Iterator[str]:
    """Yield what keeps a text from being the base URL of an upstream."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is not closed, or not around an IPv6 address
        yield "must name a host, as in https://llm.example.com"
        return
    try:
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port = False
    if parts.scheme not in {"http", "https"}:
        yield "must begin with http:// or https://"
    elif not parts.hostname or any(letter.isspace() for letter in url):
        yield "must name a host, as in https://llm.example.com"
    if not has_port:
        yield "the port must be a number from 1 to 65535"
    if parts.query or parts.fragment:
        yield "must not have a query or a fragment"
    if parts.username is not None:
        yield "must not hold a user name or password; use credential"


def credential(shape: CredentialShape | None, key: str, around: Surroundings) -> Credential:
    """Name where a secret is found, after a look whether it is there; `None`: the caller's own."""
    if shape is None or (shape.env is None and shape.file is None):
        return Credential()
    is_env = shape.env is not None
    found = Credential("env", shape.env or "") if is_env else Credential("file", shape.file or "")
    try:
        if not read_credential(found, around.environ):
            around.note(key, f"{shown(found)} is {'not set' if is_env else 'empty'}")
    except OSError as error:
        around.note(key, f"cannot read {shown(found)}: {error.strerror}")
    except StartError as error:
        around.note(key, error.message)
    return found


def _timeouts(shape: TimeoutsShape) -> Timeouts:
    return replace(Timeouts(), **shape.model_dump(exclude_none=True))


def _headers(headers: Mapping[str, str], key: str, note: Note) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            note(f"{key}.{name}", "is not a header name")
        elif lower in _SECRET_HEADERS:
            note(f"{key}.{name}", "carries a secret; use credential, which keeps it out of here")
        elif lower in _FRAMING_HEADERS:
            note(f"{key}.{name}", "is set by the gateway itself")
        elif not _HEADER_VALUE.fullmatch(value):
            note(f"{key}.{name}", "holds a character that no header may hold")
        else:
            yield lower, value
