"""The body of an answer in aiohttp, as it arrives: whoever reads it, and in whichever way.

aiohttp undoes content codings before its readers get anything, so a metered call is told of a body
without one. A reader has no room for anything of ours (`__slots__`): its class is changed to one
that tells, and the calls are kept here for as long as their bodies are open.
"""

import asyncio
import sys
import weakref
from functools import lru_cache
from typing import Any

from spanmeter.observing import MeteredCall

_call_by_reader: dict[int, MeteredCall] = {}


def tap(response: Any, call: MeteredCall, *, closed_error: Any) -> None:
    """Tell a call of an answer whose head is there.

    `closed_error` is what aiohttp puts into a body that its reader closes; a subclass of it is a
    failure.
    """
    headers = {name.lower(): ",".join(response.headers.getall(name)) for name in response.headers}
    headers.pop("content-encoding", None)
    call.answered(response.status, headers)
    content = response.content
    kind: Any = type(content)
    if buffered := b"".join(getattr(content, "_buffer", ())):  # an empty body has none
        call.received(buffered)
    if content.is_eof():
        call.ended(is_whole=True)
        return
    _call_by_reader[id(content)] = call
    content.on_eof(lambda: _end(id(content), None, is_whole=True))
    content.__class__ = _telling(kind, closed_error)
    # Of an answer that nobody reads to its end or closes.
    weakref.finalize(response, _end, id(content), None, is_whole=False)


def _end(reader: int, error: BaseException | None, *, is_whole: bool) -> None:
    if (call := _call_by_reader.pop(reader, None)) is not None:
        call.ended(error, is_whole=is_whole)


@lru_cache
def _telling(kind: Any, closed_error: Any) -> Any:
    """Make a class of readers that tell, with the memory layout of theirs."""

    def feed(reader: Any, data: bytes, *args: Any, **kwargs: Any) -> Any:
        if (call := _call_by_reader.get(id(reader))) is not None:
            call.received(data)
        return kind.feed_data(reader, data, *args, **kwargs)

    def fail(reader: Any, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        _end(id(reader), _timeout() if type(exc) is closed_error else exc, is_whole=False)
        kind.set_exception(reader, exc, *args, **kwargs)

    methods = {"feed_data": feed, "set_exception": fail}
    return type(kind.__name__, (kind,), {"__slots__": (), **methods})


def _timeout() -> BaseException | None:
    """Return the time-out over which a body is closed just now: of one for the whole request,
    aiohttp tells the body nothing."""
    error = sys.exc_info()[1]
    return error if isinstance(error, (TimeoutError, asyncio.TimeoutError)) else None
