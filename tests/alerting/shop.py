"""Features of a shop that call a gateway, some badly, and a provider that fails when told to."""

import http.client
import itertools
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.exchange import Exchange
from tests.fakes.scripts import SCRIPTS, Script
from tests.processes import wait_until

KEY = "the-shop"
CHAT = "/v1/chat/completions"
BROKEN = (ConnectionError, http.client.HTTPException)
PATIENCE_S = 60.0

Lines = tuple[tuple[str, str], ...]
GOOD: Lines = (("x-script", "chat"), ("x-gateway-key", KEY))
MISTAKEN: Lines = (("x-script", "status 400"), ("x-gateway-key", KEY))
STRANGE: Lines = (("x-script", "chat"), ("x-gateway-key", "of-nobody"))
LEFT: Lines = (("x-script", "endless-stream 0.05"), ("x-gateway-key", KEY))
FAILING: Lines = (("x-script", "status 503"), ("x-gateway-key", KEY))


def at_the_mercy_of(name: str) -> Lines:
    """Make calls that a breakdown of this name makes fail."""
    return (("x-script", f"fallible {name}"), ("x-gateway-key", KEY))


class Breakdowns:
    """Whom a provider fails at the moment: `ReplayProvider(scripts=breakdowns.scripts)`."""

    def __init__(self) -> None:
        self.now: set[str] = set()

    @property
    def scripts(self) -> dict[str, Script]:
        """What the provider plays for `at_the_mercy_of`."""
        return {"fallible": self._answer}

    async def _answer(self, exchange: Exchange, name: str) -> bool:
        if name in self.now:
            return await SCRIPTS["status"](exchange, "503")
        return await SCRIPTS["chat"](exchange, "")


class Feature:
    """Calls of one feature in a circle, by one client, with a pause after each, until left.

    A gateway that is away is called again.
    """

    def __init__(self, url: str, name: str, kinds: Sequence[Lines], *, pause_s: float) -> None:
        self._url = url
        self._name = name
        self._kinds = kinds
        self._pause_s = pause_s
        self._made = 0
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "a client hangs"

    def wait_more(self, calls: int) -> None:
        """Wait until so many more calls have ended."""
        enough = self._made + calls
        wait_until(lambda: self._made >= enough, timeout_s=PATIENCE_S)

    def _run(self) -> None:
        for kind in itertools.cycle(self._kinds):
            if self._leaving.wait(self._pause_s):
                return
            with suppress(*BROKEN):
                call(self._url, self._name, kind)
                self._made += 1


def call(url: str, feature: str, kind: Lines) -> None:
    """Make one call; a stream without end is left after its first bytes."""
    body = {"model": "gpt-4o-mini", "messages": [], "stream": kind == LEFT}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    try:
        connection.request("POST", CHAT, json.dumps(body), {"x-feature": feature, **dict(kind)})
        answer = connection.getresponse()
        answer.read1(1) if kind == LEFT else answer.read()
    finally:
        connection.close()
