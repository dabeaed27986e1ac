import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from tests.gateway.books.doubles import PlainSpans, flat_bill
from tests.gateway.spool.receipts import open_line, receipt_line
from tests.gateway.spool.segments import INCARNATION, lay

from spanmeter_gateway.board import Board
from spanmeter_gateway.books.app import create_app, render_with
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.books.process import BooksSettings, run_books
from spanmeter_gateway.spool.append import SpoolWriter
from spanmeter_gateway.telemetry.registry import Registry

ROOT = Path(__file__).parents[3]


class Running:
    """Books that run in a thread, with the real registry."""

    def __init__(self, folder: Path, stop: threading.Event | None = None) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.stop = stop or threading.Event()
        self.spans = PlainSpans()
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.port = self._port.result(timeout=30)

    def _run(self) -> None:
        registry = Registry()
        books = Books(
            self.spool,
            bill=flat_bill,
            registry=registry,
            span_export=self.spans,
            counters=Counters(self.folder / "books.sqlite"),
            board=Board.create(self.folder / "board", workers=1),
        )
        run_books(
            BooksSettings(port=0, poll_interval_s=0.01),
            books=books,
            app=create_app(render_with(registry, books.lock)),
            span_export=self.spans,
            stop=self.stop,
            announce=self._port.set_result,
        )

    def get(self, path: str, **headers: str) -> tuple[HTTPResponse, str]:
        answer, body = self.get_bytes(path, headers)
        return answer, body.decode()

    def get_bytes(self, path: str, headers: dict[str, str]) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def entered(self) -> float:
        """Read the number of receipts from `/metrics`."""
        lines = self.get("/metrics")[1].splitlines()
        (line,) = (line for line in lines if line.startswith("spanmeter_receipts_entered_total "))
        return float(line.split()[1])

    def end(self) -> None:
        self.stop.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.end()


def test_a_receipt_put_by_a_relay_is_scraped_from_the_books(running: Running) -> None:
    writer = SpoolWriter(running.spool, worker=0, on_drop=print, flush_interval_s=0.01)
    writer.start()
    running.entered()  # a series is shown at 0 first, when it is new

    writer.put(receipt_line("a1"))
    pause = threading.Event()
    while running.entered() < 1:
        pause.wait(0.01)

    writer.close()
    assert running.entered() == 1


def test_the_accept_header_chooses_the_format(running: Running) -> None:
    plain, _ = running.get("/metrics")
    open_metrics, text = running.get(
        "/metrics", Accept="application/openmetrics-text; version=1.0.0"
    )

    assert plain.getheader("content-type").startswith("text/plain")
    assert open_metrics.getheader("content-type").startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_a_page_is_compressed_for_those_who_ask(running: Running) -> None:
    running.get("/metrics")  # what is new is at 0 once
    _, plain = running.get("/metrics?peek=true")
    answer, body = running.get_bytes("/metrics?peek=true", {"Accept-Encoding": "gzip"})

    assert answer.getheader("content-encoding") == "gzip"
    assert gzip.decompress(body).decode().splitlines()[0] == plain.splitlines()[0]
    assert len(body) < len(plain) / 2


def test_the_books_say_that_they_are_up(running: Running) -> None:
    answer, text = running.get("/healthz")

    assert (answer.status, json.loads(text)) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/metrics/more"])
def test_an_unknown_path_is_answered_in_json(running: Running, path: str) -> None:
    answer, text = running.get(path)

    assert (answer.status, answer.getheader("content-type")) == (404, "application/json")
    assert json.loads(text)["error"]["code"] == "unknown_path"


def test_stopping_enters_what_is_left_and_closes_the_spans(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    lay(spool, [receipt_line("a1"), open_line("b2")])
    (spool / f"{INCARNATION}-000.alive").touch()
    stop = threading.Event()
    stop.set()

    running = Running(tmp_path, stop)
    running.end()

    counters = Counters(tmp_path / "books.sqlite")
    saved = {row.metric: row.values for row in counters.restore().rows}
    counters.close()
    assert saved["spanmeter_receipts_entered_total"] == "[2]"
    assert saved["spanmeter_relay_lost_calls_total"] == "[1]"
    assert running.spans.closed.is_set()
    assert running.spans.call_ids() == ["a1", "b2"]
    assert list(spool.iterdir()) == []


def test_a_taken_port_is_an_error_before_anything_is_entered(tmp_path: Path) -> None:
    lay(tmp_path, [receipt_line("a1")])
    registry = Registry()
    books = Books(
        tmp_path,
        bill=flat_bill,
        registry=registry,
        span_export=PlainSpans(),
        counters=Counters(tmp_path / "books.sqlite"),
        board=Board.create(tmp_path / "board", workers=1),
    )
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run_books(
            BooksSettings(port=taken.getsockname()[1]),
            books=books,
            app=create_app(render_with(registry, books.lock)),
            span_export=PlainSpans(),
            stop=threading.Event(),
        )

    assert books.enter_ready() == 1
    books.close()


def test_a_signal_that_sets_stop_ends_the_process_in_order(tmp_path: Path) -> None:
    script = """
import pathlib, signal, sys, threading
from tests.gateway.books.doubles import PlainSpans, flat_bill
from spanmeter_gateway.board import Board
from spanmeter_gateway.books.app import create_app, render_with
from spanmeter_gateway.books.counters import Counters
from spanmeter_gateway.books.entry import Books
from spanmeter_gateway.books.process import BooksSettings, run_books
from spanmeter_gateway.telemetry.registry import Registry
folder = pathlib.Path(sys.argv[1])
stop = threading.Event()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
threading.Thread(target=lambda: (signal.sigwait({signal.SIGTERM}), stop.set()), daemon=True).start()
spans, registry = PlainSpans(), Registry()
books = Books(folder / "spool", bill=flat_bill, registry=registry, span_export=spans,
              counters=Counters(folder / "books.sqlite"), board=Board.create(folder / "board", 1))
run_books(BooksSettings(port=0), books=books, app=create_app(render_with(registry, books.lock)),
          span_export=spans, stop=stop, announce=lambda port: print(port, flush=True))
print("ended", spans.call_ids())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)  # so that what is laid now is entered by the drain
        lay(tmp_path / "spool", [receipt_line("a1")])
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        text = process.stdout.read()

    assert (process.returncode, text) == (0, "ended ['a1']\n")
