"""The books as a process: one loop that enters segments, and a web server beside it."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from spanmeter_gateway.books.connections import BooksProtocol
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.books.ports import MetricExport, SpanExport


@dataclass(frozen=True, slots=True)
class BooksSettings:
    """Where the books listen, and how patient they are."""

    host: str = "127.0.0.1"
    port: int = 9464
    poll_interval_s: float = 0.2
    """With the relay's flush of 0.25 s, a receipt is in `/metrics` within half a second."""
    drain_timeout_s: float = 10.0
    export_timeout_s: float = 5.0
    """For the last spans and metrics together, but for the metrics' own share."""
    last_metrics_timeout_s: float = 2.0


class Stop(Protocol):
    """What ends the books: a `threading.Event`, or something like it."""

    def is_set(self) -> bool:
        """Say whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait that long, or until told to stop."""


def run_books(
    settings: BooksSettings,
    *,
    books: Books,
    app: ASGIApp,
    span_export: SpanExport,
    metric_export: MetricExport | None = None,
    stop: Stop,
    announce: Callable[[int], None] | None = None,
) -> None:
    """Enter segments and serve the application until `stop` is set, then drain.

    `announce` is told the port that is listened on. The caller sets `stop` on SIGTERM or when its
    parent is gone, after the relays have stopped. Raises `OSError` when the port is taken.
    """
    with closing(_listen(settings)) as listener, closing(books):
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=BooksProtocol,
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        if metric_export:
            metric_export.start()
        serving = threading.Thread(target=server.run, args=([listener],), name="books-http")
        serving.start()
        if announce:
            announce(listener.getsockname()[1])
        try:
            while not stop.is_set():
                if not books.enter_ready():
                    stop.wait(settings.poll_interval_s)
            _drain(books, settings.drain_timeout_s)
            _send_last(settings, books, span_export=span_export, metric_export=metric_export)
        finally:
            server.should_exit = True
            serving.join()


def _drain(books: Books, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while books.enter_ready() and time.monotonic() < deadline:
        pass


def _send_last(
    settings: BooksSettings,
    books: Books,
    *,
    span_export: SpanExport,
    metric_export: MetricExport | None,
) -> None:
    """Send what is left of the spans, then the metrics, which then count these spans too."""
    deadline = time.monotonic() + settings.export_timeout_s
    span_export.close(settings.export_timeout_s)
    if metric_export:
        books.enter_ready()
        metric_export.close(max(deadline - time.monotonic(), settings.last_metrics_timeout_s))


def _listen(settings: BooksSettings) -> socket.socket:
    # Made here and not by uvicorn, which ends the process when a port is taken.
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family)
