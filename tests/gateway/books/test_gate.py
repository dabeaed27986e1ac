"""The gate of the books' port, asked over a real socket."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse

import pytest
import uvicorn
from starlette.types import ASGIApp

from spanmeter_gateway.books import connections
from spanmeter_gateway.books.app import create_app
from spanmeter_gateway.books.gate import HEADERS, host_of

TOKEN = "s3cret"
PAGE = b"# TYPE a gauge\na 1\n" * 200


def render(
    accept: str | None, *, scraper: str | None, has_left: Callable[[], bool]
) -> tuple[bytes, str]:
    return PAGE, "text/plain"


@contextmanager
def serving(*, host: str = "127.0.0.1", token: str | None = None) -> Iterator[int]:
    with serving_app(create_app(render, host=host, token=token)) as port:
        yield port


@contextmanager
def serving_app(app: ASGIApp) -> Iterator[int]:
    """Serve the books' application as `run_books` does."""
    config = uvicorn.Config(
        app, http=connections.BooksProtocol, lifespan="off", ws="none", log_config=None,
        server_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    with serving(token=TOKEN) as port:
        yield port


def get(
    port: int, path: str, *headers: tuple[str, str], method: str = "GET"
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=any(name == "host" for name, _ in headers))
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/metrics", "GET", 200),
        ("/healthz", "GET", 200),
        ("/nowhere", "GET", 404),
        ("/metrics", "DELETE", 405),
    ],
)
def test_every_answer_carries_the_security_headers_and_no_server(
    port: int, *, path: str, method: str, status: int
) -> None:
    answer, _ = get(port, path, ("accept-encoding", "gzip"), method=method)

    sent = {name.lower(): value for name, value in answer.getheaders()}
    assert answer.status == status
    assert HEADERS.items() <= sent.items()
    assert "server" not in sent


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_this_machines_is_not_answered(port: int, host: str) -> None:
    answer, body = get(port, "/metrics", ("host", host))

    assert (answer.status, b"unknown_host" in body, b"evil" in body) == (421, True, False)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:9464", "[::1]:9464", "10.0.0.1", "localhost."]
)
def test_a_name_of_this_machine_is_answered(port: int, host: str) -> None:
    assert get(port, "/metrics", ("host", host))[0].status == 200


def test_two_host_headers_are_refused(port: int) -> None:
    answer, _ = get(port, "/metrics", ("host", "localhost"), ("host", "evil.example"))

    assert answer.status in {400, 421}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "metrics.example.com"])
def test_an_address_that_others_reach_answers_to_any_name(host: str) -> None:
    with serving(host=host) as port:
        assert get(port, "/metrics", ("host", "evil.example"))[0].status == 200


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (("authorization", f"Bearer {TOKEN}x"),),
        (("authorization", "Bearer "),),
        (("authorization", TOKEN),),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", "Bearer \xff\xfe"),),
        (("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")),
        (("x-authorization", f"Bearer {TOKEN}"),),
    ],
)
def test_without_the_token_nothing_is_read(
    guarded: int, shown: tuple[tuple[str, str], ...]
) -> None:
    answer, body = get(guarded, "/metrics", *shown)

    assert (answer.status, answer.getheader("www-authenticate")) == (401, "Bearer")
    assert PAGE[:10] not in body
    assert TOKEN.encode() not in body
    assert get(guarded, "/nowhere", *shown)[0].status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_under_any_name(guarded: int, scheme: str) -> None:
    shown = ("authorization", f"{scheme} {TOKEN}")

    answer, body = get(guarded, "/metrics", shown, ("host", "metrics.example.com"))

    assert (answer.status, body) == (200, PAGE)


def test_health_needs_no_token(guarded: int) -> None:
    assert get(guarded, "/healthz", ("host", "evil.example"))[0].status == 200


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/%3Cscript%3E", "/secret?b=c"]
)
def test_an_unknown_path_is_not_repeated(port: int, path: str) -> None:
    answer, body = get(port, path)

    assert answer.status == 404
    assert path.strip("/").partition("?")[0].encode() not in body
    assert b"script" not in body


def test_a_parameter_that_is_not_understood_is_not_repeated(port: int) -> None:
    answer, body = get(port, "/metrics?peek=%3Cscript%3E&x=y")

    assert (answer.status, body) == (200, PAGE)


def test_a_head_without_end_is_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(b"GET /metrics HTTP/1.1\r\nx: " + b"a" * 70_000)

        assert connected.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_body_is_not_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(
            b"POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n"
        )

        assert connected.recv(100).startswith(b"HTTP/1.1 405 ")


def test_connections_over_the_limit_are_closed_and_the_others_served(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 1)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as first:
        first.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n")
        assert get_refused(port)

        first.sendall(b"\r\n")

        assert first.recv(12) == b"HTTP/1.1 200"


def get_refused(port: int) -> bool:
    """Say whether a connection beside another one is closed, once that one is there."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as second:
            try:
                if second.recv(1) == b"":
                    return True
            except ConnectionResetError:
                return True
    return False


@pytest.mark.parametrize(
    "begun", [b"", b"GET /metrics HT", b"POST /metrics HTTP/1.1\r\ncontent-length: 9\r\n\r\n"]
)
def test_who_finishes_no_request_is_cut_off(
    port: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE_S", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(begun)
        try:
            last = b"".join(iter(lambda: connected.recv(65536), b""))
        except ConnectionResetError:
            last = b""

    assert last == b"" or last.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("Example.COM:80", "example.com"), ("[::1]:9464", "::1"), ("[::1]", "::1"),
        ("localhost", "localhost"), ("", ""), ("[", ""), (":80", ""),
    ],
)  # fmt: skip
def test_the_host_is_taken_out_of_its_header(header: str, host: str) -> None:
    assert host_of(header) == host
