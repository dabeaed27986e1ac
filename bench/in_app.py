"""What the in-app package costs an application: the import, and the hook around each call.

All in CPU time, which other work on the machine changes least.
"""

import resource
import subprocess
import sys
import time
from asyncio import Runner
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx2

import spanmeter
from bench.rows import Bar, Row
from spanmeter.hooks.httpx_hook import transport

IMPORT_BAR = Bar(50, 25, "less")
CALL_BAR = Bar(20, 12, "less")
MS_PER_S, US_PER_S = 1e3, 1e6
STARTS = 5
"""Of each interpreter in a round: the fastest counts, because the machine's noise only adds."""
BLOCK, BLOCKS = 100, 40
"""Calls in one look at the clock, and looks in a round: the fastest counts again."""
GATEWAY = "http://127.0.0.1:8080"


class _Null(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers at once."""

    def __init__(self) -> None:
        self._response = httpx2.Response(200)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._response

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._response


def costs(rounds: int) -> list[Row]:
    """Measure what importing takes, and what the httpx2 hook adds to a call; nothing is sent."""
    requests = {
        "to the gateway": f"{GATEWAY}/v1/chat/completions",
        "elsewhere": "https://example.com/",
    }
    rows = [_import(rounds)]
    with _attributed():
        for kind, look in (("call", _look), ("async call", _look_async)):
            rows += [
                _row(
                    f"in-app, {kind} {where}",
                    "us",
                    _turns(rounds, [_calls(_Null(), url, look), _calls(_hooked(), url, look)]),
                    bar=CALL_BAR,
                    note="the httpx2 hook over a transport that answers at once",
                )
                for where, url in requests.items()
            ]
    return rows


def _import(rounds: int) -> Row:
    sides = [lambda: _start_ms("pass"), lambda: _start_ms("import spanmeter")]
    note = "beside a bare interpreter's start"
    return _row("in-app, import", "ms", _turns(rounds, sides), bar=IMPORT_BAR, note=note)


def _row(what: str, unit: str, sides: Sequence[tuple[float, ...]], *, bar: Bar, note: str) -> Row:
    bare, ours = sides
    return Row(
        what=what,
        unit=unit,
        reference=bare,
        ours=ours,
        compared=tuple(b - a for a, b in zip(bare, ours, strict=True)),
        compared_unit=f"{unit} more",
        bar=bar,
        note=note,
    )


def _turns(rounds: int, sides: Sequence[Callable[[], float]]) -> list[tuple[float, ...]]:
    """Let the sides take turns; the first round is thrown away."""
    found = [[side() for side in sides] for _ in range(rounds + 1)][1:]
    return list(zip(*found, strict=True))


def _start_ms(code: str) -> float:
    return min(_cpu_s([sys.executable, "-E", "-c", code]) for _ in range(STARTS)) * MS_PER_S


def _cpu_s(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _hooked() -> _Null:
    return transport(_Null())


@contextmanager
def _attributed() -> Iterator[None]:
    """Have the hook say a feature, a task and three tags to the gateway."""
    spanmeter.instrument_httpx(GATEWAY)
    try:
        with (
            spanmeter.feature("checkout-assistant"),
            spanmeter.task("summarisation"),
            spanmeter.tags(env="prod", team="search", plan="gold"),
        ):
            yield
    finally:
        spanmeter.uninstrument()


def _calls(
    null: _Null, url: str, look: Callable[[_Null, httpx2.Request], float]
) -> Callable[[], float]:
    """Make what gives the microseconds of a call."""
    headers = {f"x-stainless-{number}": "value" for number in range(12)}  # as many as an SDK sends
    request = httpx2.Request("POST", url, headers=headers, json={"model": "m", "messages": []})
    return lambda: min(look(null, request) for _ in range(BLOCKS)) / BLOCK * US_PER_S


def _look(null: _Null, request: httpx2.Request) -> float:
    send = null.handle_request
    began = time.process_time()
    for _ in range(BLOCK):
        send(request)
    return time.process_time() - began


def _look_async(null: _Null, request: httpx2.Request) -> float:
    async def calls(send: Callable[[httpx2.Request], Awaitable[httpx2.Response]]) -> float:
        began = time.process_time()
        for _ in range(BLOCK):
            await send(request)
        return time.process_time() - began

    with Runner() as runner:
        return runner.run(calls(null.handle_async_request))
