"""The books' entry point: told the configuration on standard input, runs until told to stop.

The end of standard input means that the supervisor is gone: the books enter what is ready and end,
as on SIGTERM. What is left waits in the spool.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from spanmeter_gateway.board import Board
from spanmeter_gateway.books.app import create_app, render_with
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.books.ports import Entry, SpanExport
from spanmeter_gateway.books.process import BooksSettings, run_books
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.metering.prices import PriceBook
from spanmeter_gateway.privacy import begin_process
from spanmeter_gateway.start import Start
from spanmeter_gateway.telemetry.exemplars import exemplar_filter_from_env
from spanmeter_gateway.telemetry.metric import MetricSettings
from spanmeter_gateway.telemetry.metric_export import metric_export_from_env
from spanmeter_gateway.telemetry.otlp_resource import kept_instance_id, resource_attributes
from spanmeter_gateway.telemetry.registry import Registry
from spanmeter_gateway.telemetry.span_export import span_export_from_env
from spanmeter_gateway.telemetry.spans import SpanEncoder
from spanmeter_gateway.upstreams.secret import read_credential


class NoSpans:
    """Stands where no OTLP endpoint is configured: every segment is settled at once."""

    def __init__(self) -> None:
        self._settled: list[str] = []

    def offer(self, segment: str, _entries: Sequence[Entry]) -> None:
        """Settle the segment."""
        self._settled.append(segment)

    def settled(self) -> list[str]:
        """Name the segments since the last call."""
        settled, self._settled = self._settled, []
        return settled

    def counts(self) -> Mapping[str, int]:
        """Count nothing."""
        return {}

    def held(self) -> None:
        """Expect nothing."""

    def queue(self) -> None:
        """Let nothing wait."""

    def close(self, _timeout_s: float) -> None:
        """Do nothing: nothing is left."""


def main() -> None:
    """Run the books; the process's entry point."""
    begin_process(logging.WARNING)
    start = Start.read(sys.stdin.buffer)
    stop = threading.Event()
    # Waited for by a thread, because a handler would run in the middle of `stop.wait`, whose lock
    # `stop.set` would then wait for for ever. Every thread begins with the mask of this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for told in (_end_with_parent, _end_at_signal):
        threading.Thread(target=told, args=(stop,), daemon=True).start()
    try:
        run(start.config, stop, start.open_board())
    except (StartError, OSError, ValueError) as error:
        # One line, because the supervisor tries again and again: what to do is in it.
        logging.getLogger("spanmeter.books").error("cannot start: %s", error)
        sys.exit(1)


def _end_with_parent(stop: threading.Event) -> None:
    # os.read: a buffered reader's lock, held by a daemon thread, would stop the interpreter's end.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def _end_at_signal(stop: threading.Event) -> None:
    signal.sigwait({signal.SIGTERM})
    stop.set()


def run(config: Config, stop: threading.Event, board: Board) -> None:
    """Put the books together from the configuration, and run them until `stop` is set."""
    resource = resource_attributes(kept_instance_id(config.data_dir / "instance"))
    scheme = "https" if config.tls else "http"
    encoder = SpanEncoder(url_scheme=scheme, semconv=config.semconv, cost_alias=config.cost_alias)
    span_export: SpanExport = (
        span_export_from_env(os.environ, resource, encoder=encoder) or NoSpans()
    )
    registry = Registry(
        config.tag_labels,
        settings=_metric_settings(config, scheme),
        budgets=config.cardinality,
    )
    lock = threading.Lock()
    metric_export = metric_export_from_env(
        os.environ, resource, registry, lock=lock, folder=config.data_dir
    )
    books = Books(
        config.data_dir / "spool",
        bill=PriceBook(config.prices).bill,
        registry=registry,
        span_export=span_export,
        metric_export=metric_export,
        lock=lock,
        counters=Counters(config.data_dir / "books.sqlite"),
        board=board,
    )
    run_books(
        BooksSettings(host=config.books_host, port=config.books_port),
        books=books,
        app=create_app(
            render_with(registry, lock),
            host=config.books_host,
            token=read_credential(config.books_token) if config.books_token else None,
        ),
        span_export=span_export,
        metric_export=metric_export,
        stop=stop,
    )


def _metric_settings(config: Config, url_scheme: str) -> MetricSettings:
    on = [f"metrics.{key}" for key, is_on in asdict(config.metrics).items() if is_on]
    return MetricSettings(
        semconv=config.semconv,
        switches=frozenset(on),
        url_scheme=url_scheme,
        exemplar_filter=exemplar_filter_from_env(os.environ),
    )


if __name__ == "__main__":
    main()
