"""The hook of httpx and of its successor httpx2, which are alike.

It stands before a transport sends: below redirects, retries of SDKs and authentication, so that
each request is judged by the host that it goes to. What is added is on a copy of the request,
because httpx takes a request's headers along when it is redirected to another host.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import lru_cache, wraps
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, cast

from spanmeter.hooks import otel_baggage
from spanmeter.hooks.replacing import Method, bound, replace, restore
from spanmeter.observing import Meter, MeteredCall, Observer, guarded

RawHeaders = list[tuple[bytes, bytes]]

_Entry = tuple[bytes, bytes, bytes]
"""A header as both libraries keep it: its name as written, in lower case, and its value."""
Transport = TypeVar("Transport")

observer = Observer()
"""Of both libraries."""

_SEEN = "spanmeter"
"""The extension of a request that a hooked transport around this one has seen to."""
_PORTS = {"http": 80, "https": 443}
_OURS = {
    name.encode(): name for name in ("x-feature", "x-task", "x-tags", "traceparent", "baggage")
}
_NOTHING = nullcontext()


def hook(library: ModuleType) -> None:
    """Hook the transports that every client of the library has, unless it is given others."""
    replace(library.HTTPTransport, "handle_request", _sync)
    replace(library.AsyncHTTPTransport, "handle_async_request", _async)


def unhook(library: ModuleType) -> None:
    """Undo `hook`."""
    restore(library.HTTPTransport, "handle_request")
    restore(library.AsyncHTTPTransport, "handle_async_request")


def transport(inner: Transport) -> Transport:
    """Hook one transport of a class of your own, sync or async, and return it."""
    for name, wrap in (("handle_request", _sync), ("handle_async_request", _async)):
        if (method := getattr(type(inner), name, None)) is not None:
            setattr(inner, name, bound(wrap(method), inner))
    return inner


def _sync(send: Method) -> Method:
    @wraps(send)
    def handle_request(transport: Any, request: Any) -> Any:
        seen = guarded(lambda: _look_at(request))
        if seen is None:
            return bound(send, transport)(request)
        with seen.sending:
            response = bound(send, transport)(seen.request)
        seen.take(response)
        return response

    return handle_request


def _async(send: Method) -> Method:
    @wraps(send)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        seen = guarded(lambda: _look_at(request))
        if seen is None:
            return await bound(send, transport)(request)
        with seen.sending:
            response = await bound(send, transport)(seen.request)
        seen.take(response)
        return response

    return handle_async_request


class _Seen(NamedTuple):
    """A request that something is added to, that is metered, or that no baggage may go with."""

    request: Any
    call: MeteredCall | None
    sending: AbstractContextManager[object]
    """What the request is sent in."""

    def take(self, response: Any) -> None:
        """Have the call take what the transport answered."""
        if (call := self.call) is not None:
            guarded(lambda: _tap(response, call))


def _look_at(request: Any) -> _Seen | None:
    """Decide what becomes of a request; `None` when it goes out as it is."""
    if _SEEN in request.extensions:
        return None
    url, rules = request.url, observer.propagation
    origin = url.raw_host.decode(), url.port or _PORTS.get(url.scheme)
    added: RawHeaders = []
    is_held = observer.holds_baggage and otel_baggage.is_sent()
    if role := rules.role(*origin):
        present = _present(request.headers)
        if role == "service" and otel_baggage.is_sent():
            # What OpenTelemetry's instrumentation writes behind us would replace what we write.
            is_held = True
            there, theirs = present.get("baggage", ""), otel_baggage.line()
            present["baggage"] = there if theirs in there else f"{there},{theirs}"
        added = [(key.encode(), value.encode()) for key, value in rules.headers(*origin, present)]
    call = None
    if observer.meter is not None and origin not in rules.gateways:
        call = _begun(request, observer.meter)
    if not added and not is_held and call is None:
        return None
    return _Seen(_copied(request, added), call, _sending(call, is_held=is_held))


def _sending(call: MeteredCall | None, *, is_held: bool) -> AbstractContextManager[object]:
    if not is_held:
        return call or _NOTHING
    stack = ExitStack()
    stack.enter_context(call or _NOTHING)
    stack.enter_context(otel_baggage.held())
    return stack


def _present(headers: Any) -> dict[str, str]:
    """Return those headers of a request that matter to what is added; mostly there are none."""
    entries = _entries(headers)
    if _OURS.keys().isdisjoint([name for _, name, _ in entries]):
        return {}
    present: dict[str, str] = {}
    for _, raw_name, raw_value in entries:
        if (name := _OURS.get(raw_name)) is not None:
            value = raw_value.decode("latin-1")
            present[name] = f"{present[name]},{value}" if name in present else value
    return present


def _entries(headers: Any) -> list[_Entry]:
    """Return what both libraries keep: `raw` and lower case would be made anew for each call."""
    if hasattr(headers, "_list"):
        return cast("list[_Entry]", headers._list)
    return [(name, name.lower(), value) for name, value in headers.raw]


def _copied(request: Any, added: RawHeaders) -> Any:
    """Copy a request, with some headers more; all but headers and extensions is shared."""
    headers = type(request.headers)(request.headers)
    if b"baggage" in dict(added):
        headers.pop("baggage", None)
    if hasattr(headers, "_list"):
        headers._list += [(name, name, value) for name, value in added]
    else:
        headers = type(headers)([*headers.raw, *added])
    copy = object.__new__(type(request))
    extensions = {**request.extensions, _SEEN: True}
    copy.__dict__ = {**request.__dict__, "headers": headers, "extensions": extensions}
    return copy


def _begun(request: Any, meter: Meter) -> MeteredCall | None:
    call = meter.begin(
        method=request.method,
        url=str(request.url),
        headers=dict(request.headers),
        body=getattr(request, "_content", None),  # `content` raises for one that is streamed
    )
    return None if call is None else MeteredCall(call)


def _tap(response: Any, call: MeteredCall) -> None:
    """Let a call see the body while the application reads it."""
    call.answered(response.status_code, dict(response.headers))
    if response.is_stream_consumed:  # a transport of the application's own may give it whole
        call.received(b"".join(response.stream))
        call.ended(is_whole=True)
    else:
        kind = _tapped(type(response.stream))  # type: ignore[arg-type] # a class has a hash
        response.stream = kind(response.stream, call)


class _Tapped:
    """A body that is being read, sync or async."""

    def __init__(self, inner: Any, call: MeteredCall) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        with self._call:
            for piece in self._inner:
                self._call.received(piece)
                yield piece
        self._call.ended(is_whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._call:
            async for piece in self._inner:
                self._call.received(piece)
                yield piece
        self._call.ended(is_whole=True)

    def close(self) -> None:
        with self._call:
            self._inner.close()
        self._call.ended()

    async def aclose(self) -> None:
        with self._call:
            await self._inner.aclose()
        self._call.ended()


@lru_cache
def _tapped(kind: type[Any]) -> type[_Tapped]:
    """Make `_Tapped` what the library's client asks of a stream: its base class for one."""
    bases = [
        each for each in kind.__mro__ if each.__name__ in ("SyncByteStream", "AsyncByteStream")
    ]
    return type("_Tapped", (_Tapped, *bases), {})
