"""The hook of requests. It stands before an adapter sends: below redirects and authentication.

What is added is on a copy, because a session takes a request's headers along when it is
redirected to another host. An answer's body is read through `raw.stream`, whichever way the
application asks for it, and has no content coding any more there.
"""

import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from spanmeter.hooks.replacing import Method, bound, replace, restore
from spanmeter.observing import MeteredCall, Observer, guarded

observer = Observer()
_PORTS = {"http": 80, "https": 443}


def hook(library: ModuleType) -> None:
    """Hook the adapters that every session of the library has, unless it is given others."""
    replace(library.adapters.HTTPAdapter, "send", _send)


def unhook(library: ModuleType) -> None:
    """Undo `hook`."""
    restore(library.adapters.HTTPAdapter, "send")


def _send(send: Method) -> Method:
    @wraps(send)
    def send_copy(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        copy = guarded(lambda: _copied(request)) or request
        call = guarded(lambda: _begun(request))
        with call or nullcontext():
            response = bound(send, adapter)(copy, *args, **kwargs)
        response.request = request
        if call is not None:
            guarded(lambda: _tap(response, call))
        return response

    return send_copy


def _copied(request: Any) -> Any | None:
    """Copy a request with what is to be added; `None` when nothing is."""
    host, port = _origin(request)
    if observer.propagation.role(host, port) is None:
        return None
    if not (added := observer.propagation.headers(host, port, _present(request))):
        return None
    copy = request.copy()
    for name, value in added:
        # The standard library writes Latin-1: of this text it makes the bytes of UTF-8.
        copy.headers[name] = value.encode().decode("latin-1")
    return copy


def _begun(request: Any) -> MeteredCall | None:
    if observer.meter is None or _origin(request) in observer.propagation.gateways:
        return None
    body = request.body.encode() if isinstance(request.body, str) else request.body
    call = observer.meter.begin(
        method=request.method,
        url=request.url,
        headers=_present(request),
        body=body if isinstance(body, bytes) else None,
    )
    return None if call is None else MeteredCall(call)


def _tap(response: Any, call: MeteredCall) -> None:
    """Let a call see the body while the application reads it."""
    # Of an answer that nobody reads.
    weakref.finalize(response, call.ended)
    headers = {name.lower(): value for name, value in response.headers.items()}
    headers.pop("content-encoding", None)
    call.answered(response.status_code, headers)
    body = response.raw
    # Known by a weak reference: a connection is free again as soon as its answer is forgotten.
    kind, known = type(body), weakref.ref(body)
    body.stream = lambda *args, **kwargs: _told(kind.stream(known(), *args, **kwargs), call)


def _told(pieces: Iterator[bytes], call: MeteredCall) -> Iterator[bytes]:
    with call:
        for piece in pieces:
            call.received(piece)
            yield piece
    call.ended(is_whole=True)


def _origin(request: Any) -> tuple[str, int | None]:
    url = urlsplit(request.url)
    return url.hostname or "", url.port or _PORTS.get(url.scheme)


def _present(request: Any) -> dict[str, str]:
    return {name.lower(): _text(value) for name, value in request.headers.items()}


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
