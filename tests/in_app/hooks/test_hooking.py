"""When hooks come and go, and that a call goes on whatever happens in them."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import httpx
import httpx2
import pytest
import requests
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.hooks.clients import CLIENTS, Send
from tests.in_app.hooks.test_hosts import ask, said

import spanmeter
from spanmeter import observing
from spanmeter.hooks import httpx_hook
from spanmeter.observing import Call
from spanmeter.propagation import Propagation

ROOT = Path(__file__).parents[3]
PLACES = [
    (httpx.HTTPTransport, "handle_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (httpx2.HTTPTransport, "handle_request"),
    (httpx2.AsyncHTTPTransport, "handle_async_request"),
    (requests.adapters.HTTPAdapter, "send"),
    (aiohttp.ClientRequest, "send"),
]
BY_HTTPX = CLIENTS[:4]


def methods() -> list[object]:
    return [vars(owner)[name] for owner, name in PLACES]


@pytest.fixture
def unreported() -> Iterator[None]:
    """Have every fault of ours be logged, as if it were the first."""
    observing._reported.clear()
    yield
    observing._reported.clear()


def test_spanmeter_loads_no_library_and_hooks_those_that_come_later(here: ReplayProvider) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.in_app.hooks.lazy_application", here.base_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {
        "after_import": ["spanmeter"],
        "after_instrument": [],
        "statuses": [200] * len(CLIENTS),
        "finders_gone": 1,
    }
    for number in range(len(CLIENTS)):
        assert said(here.take(f"late-{number}")) == {"x-feature": "late"}


def test_hooks_come_once_and_go_without_a_trace(here: ReplayProvider) -> None:
    before = methods()

    spanmeter.instrument(here.base_url)
    once = methods()
    spanmeter.instrument(here.base_url)
    twice = methods()
    spanmeter.uninstrument()

    assert all(first is not hooked for first, hooked in zip(before, once, strict=True))
    assert all(first is second for first, second in zip(once, twice, strict=True))
    assert all(first is last for first, last in zip(before, methods(), strict=True))


@pytest.mark.parametrize("send", CLIENTS)
def test_a_later_call_replaces_what_an_earlier_one_said(
    send: Send, here: ReplayProvider, elsewhere: ReplayProvider
) -> None:
    spanmeter.instrument(here.base_url)
    spanmeter.instrument(elsewhere.base_url, feature="default")

    assert ask(send, here) == {}
    assert ask(send, elsewhere) == {"x-feature": "default"}


@pytest.mark.parametrize("send", CLIENTS)
def test_each_library_can_be_hooked_alone(send: Send, here: ReplayProvider) -> None:
    alone = {
        "httpx": spanmeter.instrument_httpx,
        "requests": spanmeter.instrument_requests,
        "aiohttp": spanmeter.instrument_aiohttp,
    }
    with spanmeter.feature("chat"):
        told = {}
        for library, instrument in alone.items():
            instrument(here.base_url)  # type: ignore[operator] # they have no type in common
            told[library] = ask(send, here)
            spanmeter.uninstrument()

    library = next(name for name in alone if f"by_{name}" in send.__name__)
    assert told.pop(library) == {"x-feature": "chat"}
    assert list(told.values()) == [{}, {}]


def test_what_others_wrapped_around_a_hook_stays_and_the_hook_rests(here: ReplayProvider) -> None:
    spanmeter.instrument(here.base_url)
    ours = vars(httpx.HTTPTransport)["handle_request"]
    seen = []

    def theirs(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        answer: httpx.Response = ours(transport, request)
        return answer

    httpx.HTTPTransport.handle_request = theirs  # type: ignore[method-assign] # as others do
    try:
        spanmeter.uninstrument()
        with spanmeter.feature("chat"):
            rests = ask(CLIENTS[0], here)
            spanmeter.instrument(here.base_url)
            again = ask(CLIENTS[0], here)
    finally:
        httpx.HTTPTransport.handle_request = ours  # type: ignore[method-assign] # and undo
        spanmeter.uninstrument()

    assert (rests, again) == ({}, {"x-feature": "chat"})
    assert seen == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.usefixtures("unreported")
@pytest.mark.parametrize("send", CLIENTS)
def test_a_fault_of_ours_is_logged_once_and_the_call_goes_on(
    send: Send,
    here: ReplayProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CANARY of a prompt")

    spanmeter.instrument(here.base_url)
    monkeypatch.setattr(Propagation, "headers", fail)

    with spanmeter.feature("chat"), caplog.at_level(logging.DEBUG, "spanmeter"):
        assert ask(send, here) == ask(send, here) == {}

    (record,) = (each for each in caplog.records if each.name == "spanmeter")
    assert "RuntimeError in " in record.getMessage()
    assert "CANARY" not in caplog.text


class Faulty:
    """A meter and its call, of which one method fails."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.called: list[str] = []

    def _be(self, name: str) -> None:
        self.called.append(name)
        if name == self.method:
            raise RuntimeError("CANARY of an answer")

    def begin(
        self, *, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Call:
        self._be("begin")
        return self

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self._be("answered")

    def received(self, data: bytes) -> None:
        self._be("received")

    def ended(self, error: BaseException | None, *, is_whole: bool) -> None:
        self._be("ended")


@pytest.mark.usefixtures("unreported")
@pytest.mark.parametrize(
    ("method", "called"),
    [
        ("begin", ["begin"]),
        ("answered", ["begin", "answered"]),
        ("received", ["begin", "answered", "received"]),
        ("ended", ["begin", "answered", "received", "ended"]),
    ],
)
@pytest.mark.parametrize("send", BY_HTTPX)
def test_a_meter_that_fails_ends_the_metering_only(
    send: Send,
    method: str,
    called: list[str],
    here: ReplayProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = Faulty(method)
    spanmeter.instrument(services="a-service")
    httpx_hook.observer.meter = meter

    with caplog.at_level(logging.DEBUG, "spanmeter"):
        assert send(f"{here.base_url}/", {"x-script": "chat"}, None) == 200

    assert meter.called == called
    assert "CANARY" not in caplog.text


def test_a_gateway_is_not_metered(here: ReplayProvider, elsewhere: ReplayProvider) -> None:
    meter = Faulty("")
    spanmeter.instrument(here.base_url)
    httpx_hook.observer.meter = meter

    ask(CLIENTS[0], here)
    through_gateway = list(meter.called)
    ask(CLIENTS[0], elsewhere)

    assert through_gateway == []
    assert meter.called == ["begin", "answered", "ended"]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_transport_of_ones_own_can_be_hooked(library: type[httpx]) -> None:  # type: ignore[valid-type] # a module
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers.get("x-feature"), request.content))
        answer: httpx.Response = library.Response(200, content=b"pong")
        return answer

    async def ask_async() -> httpx.Response:
        hooked = httpx_hook.transport(httpx_hook.transport(library.MockTransport(answer)))
        async with library.AsyncClient(transport=hooked) as client:
            return await client.post("http://gateway/", content=b"ping")

    meter = Faulty("")
    spanmeter.instrument("gateway")
    with spanmeter.feature("chat"):
        with library.Client(
            transport=httpx_hook.transport(library.MockTransport(answer))
        ) as client:
            assert client.post("http://gateway/", content=b"ping").content == b"pong"
            httpx_hook.observer.meter = meter
            assert client.post("http://other/", content=b"ping").content == b"pong"
        assert asyncio.run(ask_async()).content == b"pong"

    assert seen == [("chat", b"ping"), (None, b"ping"), ("chat", b"ping")]
    assert meter.called == ["begin", "answered", "received", "ended"]


class Around(httpx2.BaseTransport):
    """A transport of an application's own, around the library's."""

    def __init__(self) -> None:
        self._inner = httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def test_a_call_through_two_hooked_transports_is_metered_once(here: ReplayProvider) -> None:
    meter = Faulty("")
    spanmeter.instrument("gateway")
    httpx_hook.observer.meter = meter

    with httpx2.Client(transport=httpx_hook.transport(Around())) as client:
        client.get(f"{here.base_url}/", headers={"x-script": "fine"})

    assert meter.called == ["begin", "answered", "ended"]


def test_the_callers_request_stays_as_it_is(here: ReplayProvider) -> None:
    spanmeter.instrument(here.base_url)
    url, headers = f"{here.base_url}/", {"x-script": "fine"}

    with spanmeter.feature("chat"):
        with httpx.Client(trust_env=False) as client:
            modern = client.get(url, headers=headers).request
        with requests.Session() as session:
            older = session.get(url, headers=headers).request

    assert "x-feature" not in modern.headers
    assert "x-feature" not in older.headers
    assert "spanmeter" not in modern.extensions
