"""The hook of aiohttp's client. It stands before a request is written: below redirects and retries.

aiohttp makes a new request for each host that it is redirected to, but a middleware may send one
again, so the headers are put back when they are written.
"""

from functools import wraps
from types import ModuleType
from typing import Any

from spanmeter.hooks import aiohttp_body
from spanmeter.hooks.replacing import Method, replace, restore
from spanmeter.observing import MeteredCall, Observer, guarded

observer = Observer()

_CALL = "_spanmeter_call"
"""Of a request that has a connection, then of its answer: the call that is metered."""


def hook(library: ModuleType) -> None:
    """Hook the requests of every session of the library."""
    replace(library.BaseConnector, "connect", _connect)
    replace(library.ClientRequest, "send", _send)
    replace(library.ClientResponse, "start", lambda start: _start(start, library))


def unhook(library: ModuleType) -> None:
    """Undo `hook`."""
    restore(library.BaseConnector, "connect")
    restore(library.ClientRequest, "send")
    restore(library.ClientResponse, "start")


def _connect(connect: Method) -> Method:
    @wraps(connect)
    async def connect_and_tell(connector: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = guarded(lambda: _begun(request))
        if call is None:
            return await connect(connector, request, *args, **kwargs)
        with call:
            connection = await connect(connector, request, *args, **kwargs)
        setattr(request, _CALL, call)
        return connection

    return connect_and_tell


def _send(send: Method) -> Method:
    @wraps(send)
    async def send_more(request: Any, *args: Any, **kwargs: Any) -> Any:
        call: MeteredCall | None = vars(request).pop(_CALL, None)
        own = request.headers
        request.headers = guarded(lambda: _headers(request)) or own
        try:
            if call is None:
                return await send(request, *args, **kwargs)
            with call:
                response = await send(request, *args, **kwargs)
            setattr(response, _CALL, call)
            return response
        finally:
            request.headers = own

    return send_more


def _start(start: Method, library: ModuleType) -> Method:
    @wraps(start)
    async def start_and_tell(response: Any, *args: Any, **kwargs: Any) -> Any:
        call: MeteredCall | None = vars(response).pop(_CALL, None)
        if call is None:
            return await start(response, *args, **kwargs)
        with call:
            await start(response, *args, **kwargs)
        closed_error = library.ClientConnectionError
        guarded(lambda: aiohttp_body.tap(response, call, closed_error=closed_error))
        return response

    return start_and_tell


def _headers(request: Any) -> Any | None:
    """Return the headers to send; `None` when nothing is added. aiohttp writes them as UTF-8."""
    host, port = request.url.raw_host, request.url.port
    if observer.propagation.role(host, port) is None:
        return None
    headers = request.headers.copy()
    for name, value in observer.propagation.headers(host, port, _present(request)):
        headers[name] = value
    return headers


def _present(request: Any) -> dict[str, str]:
    headers = request.headers
    return {name.lower(): ",".join(headers.getall(name)) for name in headers}


def _begun(request: Any) -> MeteredCall | None:
    url = request.url
    if observer.meter is None or (url.raw_host, url.port) in observer.propagation.gateways:
        return None
    body = getattr(request.body, "_value", None)  # of a payload that is not streamed
    call = observer.meter.begin(
        method=request.method,
        url=str(url),
        headers=_present(request),
        body=body if isinstance(body, bytes) else None,
    )
    return None if call is None else MeteredCall(call)
