"""How a call to a provider ended, by its answer and by what the HTTP library raised. Pure.

The words are those of the gateway (docs/errors.md). Errors are told by the names of their classes,
so that no library is loaded for it: httpx's and httpx2's, which are the same, aiohttp's, those of
requests and Python's own. https://www.python-httpx.org/exceptions/,
https://docs.aiohttp.org/en/stable/client_reference.html#hierarchy-of-exceptions,
https://requests.readthedocs.io/en/latest/api/#exceptions
"""

import http.client

from spanmeter.dialects.dialect import ResponseFacts
from spanmeter.direct.answer import AnswerReading
from spanmeter.outcome import (
    CANCELLED,
    INTERRUPTED,
    TIMED_OUT,
    Verdict,
    judge_answer,
    judge_early_end,
)
from spanmeter.semconv import OTHER_ERROR

_UNREACHABLE = Verdict("provider_error", "connection_error", "provider")
_GARBLED = Verdict("provider_error", "provider_bad_response", "provider")
_UNSENT = Verdict("caller_error", OTHER_ERROR, "caller")
"""The library refused to send it: a URL or a header that is none."""
_VERDICT_BY_ERROR = {
    "PoolTimeout": Verdict("gateway_error", "connections_exhausted", "gateway"),
    "ProxyError": Verdict("gateway_error", "proxy_error", "gateway"),
    "TimeoutException": TIMED_OUT,
    "TimeoutError": TIMED_OUT,
    "RemoteProtocolError": _GARBLED,
    "NetworkError": _UNREACHABLE,
    "OSError": _UNREACHABLE,
    # aiohttp's
    "ClientHttpProxyError": Verdict("gateway_error", "proxy_error", "gateway"),
    "ClientProxyConnectionError": Verdict("gateway_error", "proxy_error", "gateway"),
    "ServerTimeoutError": TIMED_OUT,
    "ClientResponseError": _GARBLED,
    "ClientConnectionError": _UNREACHABLE,
    # Those of requests, which are all of them an `OSError` too
    "Timeout": TIMED_OUT,
    "HTTPException": _GARBLED,
    "InvalidHeader": _UNSENT,
    "InvalidURL": _UNSENT,
}
"""By the name of an error's class or of one that it derives from, the nearest first. Where there is
no gateway, what the gateway would be blamed for is the application's own fault."""

_DEEPEST = 5
"""Errors within errors: requests' holds urllib3's, and that one the standard library's."""


def judge(
    reading: AnswerReading | None,
    facts: ResponseFacts,
    *,
    error: BaseException | None,
    is_whole: bool,
) -> Verdict:
    """Judge a call; `reading` is `None` where no answer came."""
    if reading is None:
        return _judge_error(error)
    if error is None and (is_whole or _has_said_all(reading, facts)):
        verdict = judge_answer(reading.status, facts, is_credential_held=False)
        if _is_torn(reading, facts):
            verdict = INTERRUPTED
    else:
        verdict = _judge_error(error)
        if verdict not in (CANCELLED, TIMED_OUT):
            verdict = INTERRUPTED
    return judge_early_end(verdict, reading.status, facts) if facts.is_error else verdict


def _judge_error(error: BaseException | None) -> Verdict:
    if not isinstance(error, Exception):
        return CANCELLED  # nobody waits any more: closed, or a task that was cancelled
    if type(error).__name__ == "RemoteProtocolError" and "disconnected" in str(error):
        return _UNREACHABLE  # h11 and httpcore say it for a connection that brought nothing
    known = (_VERDICT_BY_ERROR.get(each.__name__) for each in type(_unwrapped(error)).__mro__)
    return next((verdict for verdict in known if verdict is not None), _UNSENT)


def _unwrapped(error: Exception) -> Exception:
    """Return what the standard library could not read, which requests raises within its own."""
    inner = error
    for _ in range(_DEEPEST):
        if isinstance(inner, http.client.HTTPException):
            return inner
        inner = next((each for each in inner.args if isinstance(each, Exception)), inner)
    return error


def _has_said_all(reading: AnswerReading, facts: ResponseFacts) -> bool:
    """Tell a reader that left behind the last event, as SDKs do, from one that left before."""
    return reading.status >= 300 or (facts.ending == "whole" and facts.unread is None)


def _is_torn(reading: AnswerReading, facts: ResponseFacts) -> bool:
    """Tell a body that was cut although HTTP did not notice; as the gateway's relay does."""
    if reading.status >= 300:
        return False
    is_half = facts.ending == "open" or facts.unread == "malformed"
    return facts.ending == "torn" or (reading.is_close_framed and is_half)
