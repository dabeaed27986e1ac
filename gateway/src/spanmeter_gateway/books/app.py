"""The books' own HTTP surface: what Prometheus scrapes, and whether the books are up."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from anyio import from_thread
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from spanmeter_gateway.books.gate import Gate, not_found
from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import print_text
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.scrapers import Scrapers

_GZIP_BYTES = 1_000


class Render(Protocol):
    """Print the registry for an `Accept` header: the body and its content type.

    `scraper` names who scrapes; `None` is somebody who only looks: see `Registry.collect`.
    `has_left` is asked when the page is ready: nobody saw it, when its reader has gone.
    """

    def __call__(
        self, accept: str | None, *, scraper: str | None, has_left: Callable[[], bool]
    ) -> tuple[bytes, str]: ...


def render_with(registry: Registry, lock: AbstractContextManager[object]) -> Render:
    """Print the registry as it was committed last; the books' lock is not held while printing.

    One page at a time: many readers at once must not take the time that the entry needs.
    """

    scrapers = Scrapers()
    printing = threading.Lock()

    def render(
        accept: str | None, *, scraper: str | None, has_left: Callable[[], bool]
    ) -> tuple[bytes, str]:
        with printing:
            with lock:
                reader = Reader.NONE if scraper is None else scrapers.reader(scraper)
                families, gauges = registry.collect(reader), registry.gauges()
            page = print_text(families, gauges, accept)
            if reader and has_left():
                with lock:
                    registry.show_again(reader, families)
            return page

    return render


def create_app(render: Render, *, host: str = "127.0.0.1", token: str | None = None) -> ASGIApp:
    """Make the application behind its gate; `host` is the address that is listened on."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Prometheus asks for it: a page shrinks to a tenth, at the fastest level for little CPU.
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_BYTES, compresslevel=1)

    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        address = request.client.host if request.client else ""
        is_peek = request.query_params.get("peek") in {"true", "1"}
        scraper = None if is_peek else f"{address} {request.headers.get('user-agent', '')}"
        body, content_type = render(
            request.headers.get("accept"),
            scraper=scraper,
            has_left=partial(from_thread.run, request.is_disconnected),
        )
        return Response(body, headers={"content-type": content_type})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.add_exception_handler(404, not_found)
    return Gate(app, host=host, token=token)
