"""The books' own HTTP surface: what Prometheus scrapes, and whether the books are up."""

from contextlib import AbstractContextManager
from typing import Annotated, Protocol

from fastapi import FastAPI, Header, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse

from spanmeter_gateway.telemetry.cells import Reader
from spanmeter_gateway.telemetry.exposition import print_text
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.scrapers import Scrapers

_GZIP_BYTES = 1_000


class Render(Protocol):
    """Print the registry for an `Accept` header: the body and its content type.

    `scraper` names who scrapes; `None` is somebody who only looks: see `Registry.collect`.
    """

    def __call__(self, accept: str | None, *, scraper: str | None) -> tuple[bytes, str]: ...


def render_with(registry: Registry, lock: AbstractContextManager[object]) -> Render:
    """Print the registry as it was committed last; the books' lock is not held while printing."""

    scrapers = Scrapers()

    def render(accept: str | None, *, scraper: str | None) -> tuple[bytes, str]:
        with lock:
            reader = Reader.NONE if scraper is None else scrapers.reader(scraper)
            families, gauges = registry.collect(reader), registry.gauges()
        return print_text(families, gauges, accept)

    return render


def create_app(render: Render) -> FastAPI:
    """Make the application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Prometheus asks for it: a page shrinks to a tenth, at the fastest level for little CPU.
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_BYTES, compresslevel=1)

    @app.get("/metrics")
    def metrics(
        request: Request,
        accept: Annotated[str | None, Header()] = None,
        user_agent: Annotated[str, Header()] = "",
        *,
        peek: bool = False,
    ) -> Response:
        address = request.client.host if request.client else ""
        scraper = None if peek else f"{address} {user_agent}"
        body, content_type = render(accept, scraper=scraper)
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
