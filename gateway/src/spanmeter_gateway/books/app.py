"""The books' own HTTP surface: what Prometheus scrapes, and whether the books are up."""

from contextlib import AbstractContextManager
from typing import Annotated, Protocol

from fastapi import FastAPI, Header, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse

from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import print_text
from spanmeter_gateway.telemetry.registry import Registry

_GZIP_BYTES = 1_000


class Render(Protocol):
    """Print the registry for an `Accept` header: the body and its content type.

    `is_scrape` is false for somebody who only looks: see `Registry.collect`.
    """

    def __call__(self, accept: str | None, *, is_scrape: bool = True) -> tuple[bytes, str]: ...


def render_with(registry: Registry, lock: AbstractContextManager[object]) -> Render:
    """Print the registry as it was committed last; the books' lock is not held while printing."""

    def render(accept: str | None, *, is_scrape: bool = True) -> tuple[bytes, str]:
        with lock:
            families, gauges = (
                registry.collect(Reader.SCRAPE if is_scrape else Reader.NONE),
                registry.gauges(),
            )
        return print_text(families, gauges, accept)

    return render


def create_app(render: Render) -> FastAPI:
    """Make the application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Prometheus asks for it: a page shrinks to a tenth, at the fastest level for little CPU.
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_BYTES, compresslevel=1)

    @app.get("/metrics")
    def metrics(
        accept: Annotated[str | None, Header()] = None,
        *,
        peek: bool = False,
    ) -> Response:
        body, content_type = render(accept, is_scrape=not peek)
        return Response(body, headers={"content-type": content_type})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.add_exception_handler(404, _not_found)
    return app


async def _not_found(_request: Request, _error: Exception) -> JSONResponse:
    error = {
        "message": "Nothing is here; try /metrics or /healthz.",
        "type": "invalid_request_error",
        "code": "unknown_path",
    }
    return JSONResponse({"error": error}, status_code=404)
