"""The hook of aiohttp's client. It stands before a request is written: below redirects and retries.

aiohttp makes a new request for each host that it is redirected to, but a middleware may send one
again, so the headers are put back when they are written.
"""

from functools import wraps
from types import ModuleType
from typing import Any

from spanmeter.hooks.replacing import Method, bound, replace, restore
from spanmeter.observing import Observer, guarded

observer = Observer()


def hook(library: ModuleType) -> None:
    """Hook the requests of every session of the library."""
    replace(library.ClientRequest, "send", _send)


def unhook(library: ModuleType) -> None:
    """Undo `hook`."""
    restore(library.ClientRequest, "send")


def _send(send: Method) -> Method:
    @wraps(send)
    async def send_more(request: Any, *args: Any, **kwargs: Any) -> Any:
        own = request.headers
        request.headers = guarded(lambda: _headers(request)) or own
        try:
            return await bound(send, request)(*args, **kwargs)
        finally:
            request.headers = own

    return send_more


def _headers(request: Any) -> Any | None:
    """Return the headers to send; `None` when nothing is added. aiohttp writes them as UTF-8."""
    host, port = request.url.raw_host, request.url.port
    if not observer.propagation.tells(host, port):
        return None
    headers = request.headers.copy()
    present = {name.lower(): ",".join(headers.getall(name)) for name in headers}
    for name, value in observer.propagation.headers(host, port, present):
        headers[name] = value
    return headers
