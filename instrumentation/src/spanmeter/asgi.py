"""ASGI middleware: every call that serves a web request belongs to the feature of its path.

For FastAPI, Starlette, Quart, Django and every other ASGI application. Imports none of them.
https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from spanmeter.context import serving
from spanmeter.web_requests import WebRequests

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class FeatureMiddleware:
    """`FeatureMiddleware(app, {"/chat/*": "chat"})`, or `app.add_middleware(FeatureMiddleware,
    routes={"/chat/*": "chat"})`.

    The first pattern that matches counts (`*` stands for slashes too); a path that none matches
    changes nothing. It holds until the application is done with the request: for a stream's
    whole length, a web socket's whole life and background tasks. In a mounted application paths
    begin at its mount. `baggage=True` also takes feature, task and tags from the request's W3C
    baggage; from outside anybody may have written that, so it is for services behind your own.
    """

    def __init__(
        self, app: App, routes: Mapping[str, str] | None = None, *, baggage: bool = False
    ) -> None:
        """Raise `InvalidSetting` for what is no pattern, `InvalidAttribution`."""
        self._app = app
        self._requests = WebRequests(routes, baggage=baggage)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one web socket, or the application's start and end."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        with serving(self._requests.scopes(_path(scope), _baggage(scope))):
            await self._app(scope, receive, send)


def _path(scope: Scope) -> str:
    # Servers and frameworks of today have `path` begin with `root_path`; others leave it out.
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _baggage(scope: Scope) -> str:
    lines = [value for name, value in scope["headers"] if name.lower() == b"baggage"]
    return b",".join(lines).decode("latin-1")
