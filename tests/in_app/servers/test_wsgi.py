"""The WSGI middleware: attribution holds while the server reads and closes the answer."""

import contextvars
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import openai
import pytest
from tests.in_app.servers.arrivals import Arrivals

import spanmeter
from spanmeter.wsgi import App, FeatureMiddleware

ROUTES = {"/chat/*": "chat", "/caf\xe9": "coffee", "/*/search": "search"}
UNTAGGED = spanmeter.Attribution()
StartResponse = Callable[..., Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is for the test."""


@contextmanager
def served(app: App) -> Iterator[str]:
    """Serve an application with a thread for each request; yields its address."""
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        text: str = answer.read().decode()
        return text


class Streaming:
    """An answer that says at each step, and when it is closed, what it belongs to."""

    closed: "list[spanmeter.Attribution]"

    def __init__(self, closed: list[spanmeter.Attribution]) -> None:
        self.closed = closed
        self.left = 3

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return f"{spanmeter.current().feature}\n".encode()

    def close(self) -> None:
        self.closed.append(spanmeter.current())


def streaming_app(closed: list[spanmeter.Attribution]) -> App:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Streaming(closed)

    return app


def telling(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    said = spanmeter.current()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{said.feature} {said.task} {dict(said.tags)}".encode()]


@pytest.mark.parametrize(
    ("path", "feature"),
    [
        ("/chat/42", "chat"),
        ("/caf%C3%A9", "coffee"),
        ("/caf%E9", "untagged"),  # no UTF-8
        ("/shop/search", "search"),
        ("/chat", "untagged"),
    ],
)
def test_a_request_belongs_to_the_feature_of_its_path(path: str, feature: str) -> None:
    with served(validator(FeatureMiddleware(validator(telling), ROUTES))) as url:
        assert get(f"{url}{path}").split()[0] == feature


def test_an_answer_that_is_read_later_belongs_to_it_until_it_is_closed() -> None:
    closed: list[spanmeter.Attribution] = []
    app = FeatureMiddleware(validator(streaming_app(closed)), ROUTES)

    with served(validator(app)) as url:
        streamed = get(f"{url}/chat/1")

    assert streamed.split() == ["chat"] * 3
    assert closed == [UNTAGGED._replace(feature="chat")]


def test_two_answers_that_one_thread_reads_in_turns_do_not_mix() -> None:
    closed: list[spanmeter.Attribution] = []
    app = FeatureMiddleware(streaming_app(closed), ROUTES)

    bodies = [app({"PATH_INFO": path}, lambda *_: None) for path in ("/chat/1", "/a/search")]
    pieces = list(zip(*bodies, strict=True))
    around = spanmeter.current()
    for body in reversed(bodies):
        body.close()  # type: ignore[attr-defined]  # what PEP 3333 has a server do

    assert pieces == [(b"chat\n", b"search\n")] * 3
    assert [each.feature for each in closed] == ["search", "chat"]
    assert around == UNTAGGED


def test_requests_in_threads_do_not_mix() -> None:
    routes = {f"/{number}/*": f"feature-{number}" for number in range(40)}

    with served(FeatureMiddleware(streaming_app([]), routes)) as url, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: get(f"{url}/{number}/x"), range(40)))

    assert answers == [f"feature-{number}\n" * 3 for number in range(40)]


def test_calls_before_and_while_an_answer_is_read_arrive_with_its_feature(
    instrumented: Arrivals,
) -> None:
    client = openai.OpenAI(
        base_url=f"{instrumented.url}/v1", api_key="key", default_headers={"x-script": "chat"}
    )

    def ask(model: str) -> bytes:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "ping"}]
        )
        return (answer.choices[0].message.content or "").encode()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        first = ask("wsgi-before")
        return (ask(model) for model in ("wsgi-first", "wsgi-second") if first)

    with client, served(FeatureMiddleware(app, ROUTES)) as url:
        assert get(f"{url}/chat/1") == "pongpong"

    for model in ("wsgi-before", "wsgi-first", "wsgi-second"):
        assert instrumented.of(model) == ["chat", None, {}]


def test_a_generators_block_inside_an_answer_is_no_concern_of_the_next_request() -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        with spanmeter.task("writing"):
            for _ in range(2):
                yield str(spanmeter.current().task).encode()

    served_app = FeatureMiddleware(app, {"*": "all"})

    unread = served_app({"PATH_INFO": "/"}, lambda *_: None)
    first = next(iter(unread))
    around = spanmeter.current()
    unread.close()  # type: ignore[attr-defined]  # what PEP 3333 has a server do

    assert (first, around, spanmeter.current()) == (b"writing", UNTAGGED, UNTAGGED)


def test_a_whole_answer_stays_a_list_so_that_servers_know_its_length() -> None:
    with served(FeatureMiddleware(telling, ROUTES)) as url:
        answer = urllib.request.urlopen(f"{url}/chat/1", timeout=30)
        with answer:
            assert int(answer.headers["content-length"]) == len(answer.read())


def test_what_the_context_of_the_server_holds_is_there_in_the_application() -> None:
    variable = contextvars.ContextVar("variable", default="")

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        yield variable.get().encode()

    variable.set("outer")
    body = FeatureMiddleware(app, {"*": "all"})({"PATH_INFO": "/"}, lambda *_: None)

    assert b"".join(body) == b"outer"


def test_an_error_of_the_application_goes_through_and_leaves_nothing_behind() -> None:
    def fail(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError(spanmeter.current().feature)

    with pytest.raises(LookupError, match="chat"):
        FeatureMiddleware(fail, ROUTES)({"PATH_INFO": "/chat/1"}, lambda *_: None)

    assert spanmeter.current() == UNTAGGED


@pytest.mark.parametrize(
    ("reads_baggage", "path", "told"),
    [
        (False, "/", "untagged None {}"),
        (True, "/", "search rank {'team': 'ml'}"),
        (True, "/chat/1", "chat rank {'team': 'ml'}"),
    ],
)
def test_baggage_is_read_where_asked_for_and_a_routes_feature_counts_more(
    path: str, told: str, *, reads_baggage: bool
) -> None:
    baggage = "spanmeter.feature=search,spanmeter.task=rank,spanmeter.tag.team=ml"

    with served(FeatureMiddleware(telling, ROUTES, baggage=reads_baggage)) as url:
        assert get(f"{url}{path}", baggage=baggage) == told


def test_what_is_no_pattern_or_no_feature_is_refused_when_the_application_is_made() -> None:
    with pytest.raises(spanmeter.InvalidSetting):
        FeatureMiddleware(telling, {"/items/<id>": "items"})
    with pytest.raises(spanmeter.InvalidAttribution):
        FeatureMiddleware(telling, {"/items/*": ""})
