"""The books' own HTTP surface: what Prometheus scrapes, and whether the books are up."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

Render = Callable[[str | None], tuple[bytes, str]]
"""Print the registry for an `Accept` header: the body and its content type."""


def create_app(render: Render, *, lock: AbstractContextManager[object]) -> FastAPI:
    """Make the application; `lock` is the books' own, so that a scrape sees whole batches."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/metrics")
    def metrics(accept: Annotated[str | None, Header()] = None) -> Response:
        with lock:
            body, content_type = render(accept)
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
