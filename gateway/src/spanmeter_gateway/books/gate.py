"""The gate of the books' port: who may read, and the headers that keep browsers from harm.

Around the application and not in it, so that no route and no error is left out. It never sees a
body, and repeats nothing of a request.
"""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

from fastapi import Request
from fastapi.datastructures import Headers
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanmeter_gateway.config import LOCAL_NAMES, is_address, is_loopback

OPEN_PATH = "/healthz"
"""For probes, which have no token: it says nothing but that the books live."""
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer. Nothing here is a page yet, so nothing may load anything
(cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html, security headers)."""


class Gate:
    """Lets those in who show the token; without one, those who mean this host.

    A page of any web site can have its own name resolve to 127.0.0.1 and then read what listens
    there (DNS rebinding). It cannot choose the Host header, which is that name: on a loopback
    address only names of this machine are answered. A token needs no such care.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str | None) -> None:
        self._app = app
        self._digest = sha256(token.encode()).digest() if token is not None else None
        is_local = token is None and is_loopback(host)
        self._names = frozenset((*LOCAL_NAMES, host.lower())) if is_local else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application do so."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope) if scope["path"] != OPEN_PATH else None
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._digest is not None and not self._is_token(headers.getlist("authorization")):
            return refused(
                401,
                "unauthorized",
                "This port asks for a token: send `Authorization: Bearer` with what books.token "
                "names in the gateway's configuration.",
                headers={"www-authenticate": "Bearer"},
            )
        if self._names is not None and not self._is_here(headers.getlist("host")):
            return refused(
                421,
                "unknown_host",
                "This port answers to names of its own machine alone: use 127.0.0.1 or localhost, "
                "or configure books.token.",
            )
        return None

    def _is_token(self, shown: Sequence[str]) -> bool:
        scheme, _, token = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
        # Digests: how long the comparison takes says nothing about the token, nor its length.
        digest = sha256(token.strip().encode("latin-1")).digest()
        return scheme.lower() == "bearer" and hmac.compare_digest(digest, self._digest or b"")

    def _is_here(self, hosts: Sequence[str]) -> bool:
        # Only HTTP/1.0 has none, and no browser speaks that.
        if not hosts:
            return True
        name = host_of(hosts[0])
        return len(hosts) == 1 and (name in (self._names or ()) or is_address(name))


def refused(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Write an error of this port."""
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


async def not_found(_request: Request, _error: Exception) -> JSONResponse:
    """Answer an unknown path, without repeating it."""
    return refused(404, "unknown_path", "Nothing is here; try /metrics or /healthz.")


def host_of(header: str) -> str:
    """Take the host out of a Host header (RFC 9110 section 7.2), lower-case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")
