"""The hook of requests. It stands before an adapter sends: below redirects and authentication.

What is added is on a copy, because a session takes a request's headers along when it is
redirected to another host.
"""

from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from spanmeter.hooks.replacing import Method, bound, replace, restore
from spanmeter.observing import Observer, guarded

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
        copy = guarded(lambda: _copied(request))
        if copy is None:
            return bound(send, adapter)(request, *args, **kwargs)
        response = bound(send, adapter)(copy, *args, **kwargs)
        response.request = request
        return response

    return send_copy


def _copied(request: Any) -> Any | None:
    """Copy a request with what is to be added; `None` when nothing is."""
    url = urlsplit(request.url)
    host, port = url.hostname or "", url.port or _PORTS.get(url.scheme)
    if observer.propagation.role(host, port) is None:
        return None
    present = {name.lower(): _text(value) for name, value in request.headers.items()}
    if not (added := observer.propagation.headers(host, port, present)):
        return None
    copy = request.copy()
    for name, value in added:
        # The standard library writes Latin-1: of this text it makes the bytes of UTF-8.
        copy.headers[name] = value.encode().decode("latin-1")
    return copy


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
