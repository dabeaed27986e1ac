"""WSGI middleware: every call that serves a web request belongs to the feature of its path.

For Flask, Django and every other WSGI application. Imports none of them.
https://peps.python.org/pep-3333/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from typing import Any

from spanmeter.web_requests import WebRequests

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class FeatureMiddleware:
    """`app.wsgi_app = FeatureMiddleware(app.wsgi_app, {"/chat/*": "chat"})`.

    The first pattern that matches counts (`*` stands for slashes too); a path that none matches
    changes nothing. It holds until the server has read and closed the answer. In a mounted
    application paths begin at its mount. `baggage=True` also takes feature, task and tags from the
    request's W3C baggage; from outside anybody may have written that, so it is for services
    behind your own.
    """

    def __init__(
        self, app: App, routes: Mapping[str, str] | None = None, *, baggage: bool = False
    ) -> None:
        """Raise `InvalidSetting` for what is no pattern, `InvalidAttribution`."""
        self._app = app
        self._requests = WebRequests(routes, baggage=baggage)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve one request."""
        scopes = self._requests.scopes(_path(environ), environ.get("HTTP_BAGGAGE", ""))
        if not scopes:
            return self._app(environ, start_response)
        # The server reads the answer after this has returned, between other things of the same
        # thread: a context of its own carries the attribution from step to step.
        context = copy_context()
        for scope in scopes:
            context.run(scope.__enter__)
        body = context.run(self._app, environ, start_response)
        # Of these nothing is left to run, and a server takes the Content-Length of a list of one.
        return body if isinstance(body, (list, tuple)) else _Body(body, context)


class _Body:
    """An answer that is read and closed in the context of its request."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        self._body = body
        self._context = context
        self._pieces: Iterator[bytes] = context.run(iter, body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        """Close what the application returned: the server calls this at the end of each request."""
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def _path(environ: Mapping[str, Any]) -> str:
    # PEP 3333, "Unicode Issues": bytes of the path stand in it as Latin-1.
    path: str = environ.get("PATH_INFO", "")
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
