"""A scrape whose reader has left counts as none: the next one still sees a new series at 0."""

import socket
import threading
from http.client import HTTPConnection

from tests.gateway.books.test_gate import serving_app

from spanmeter_gateway.books.app import create_app, render_with
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.registry import Registry

SERIES = 'spanmeter_segments_total{result="entered"}'
REQUEST = b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: Prometheus\r\n\r\n"


class Busy:
    """The books' lock, which tells when a page waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_wanted = threading.Event()

    def __enter__(self) -> None:
        self.is_wanted.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_series_begins_at_0_for_who_left_before_the_page_was_ready() -> None:
    registry, books = Registry(), Busy()
    with serving_app(create_app(render_with(registry, books))) as port:
        registry.add(names.SEGMENTS.prometheus_name, ("entered",), 5)
        with books:  # they are busy, as when the machine stops them
            books.is_wanted.clear()
            with socket.create_connection(("127.0.0.1", port)) as impatient:
                impatient.sendall(REQUEST)
                assert books.is_wanted.wait(timeout=30)
            for _ in range(3):  # behind which the server has seen that the connection is closed
                page_at(port, "/healthz")

        assert [series_at(port) for _ in range(2)] == [f"{SERIES} 0.0", f"{SERIES} 5.0"]


def series_at(port: int) -> str:
    lines = page_at(port, "/metrics").splitlines()
    return next(line for line in lines if line.startswith(SERIES))


def page_at(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={"user-agent": "Prometheus"})
    page = connection.getresponse().read().decode()
    connection.close()
    return page
