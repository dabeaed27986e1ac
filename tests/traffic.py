"""Steady calls of several kinds by several clients at once, and what each client can prove."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes.raw_client import RawClient
from tests.fakes.recordings import recording
from tests.processes import wait_until

CHAT = "/v1/chat/completions"
PATIENCE_S = 60.0
AFTER_A_BREAK_S = 0.02
FEATURES = 3
"""A client's calls go round so many features."""
BROKEN = (ConnectionError, http.client.HTTPException)

End = tuple[str, str, str]
"""Feature, outcome and error type."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent, what its client must see, and what must be counted for it."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    target: str = CHAT
    status: int = 200
    outcome: str = "ok"
    error_type: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    cost_nanos: int = 0


def _chat(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": []} | members).encode()


PRICES = [
    {
        "provider": "openai", "model": "gpt-4o-mini",
        "input_usd_per_mtok": "0.15", "output_usd_per_mtok": "0.60",
    },
    {
        "provider": "anthropic", "model": "claude-*",
        "input_usd_per_mtok": "3", "output_usd_per_mtok": "15",
    },
]  # fmt: skip
"""Our own, so that no new list changes a test; in nano-dollars a token: 150, 600, 3000, 15000."""

_MESSAGE = recording("anthropic-messages/basic")
_CHAT_TOKENS = {"input": 12, "output": 3}
_CHAT_NANOS = 12 * 150 + 3 * 600

PLAIN = Kind(_chat(), (("x-script", "chat"),), tokens=_CHAT_TOKENS, cost_nanos=_CHAT_NANOS)
STREAMED = Kind(
    _chat(stream=True), (("x-script", "chat"),), tokens=_CHAT_TOKENS, cost_nanos=_CHAT_NANOS
)
MESSAGE = Kind(
    _MESSAGE.request_body,
    (("x-replay", _MESSAGE.id), ("x-provider", "anthropic")),
    target="/v1/messages",
    tokens={
        "input": _MESSAGE.expected["input_tokens"],
        "output": _MESSAGE.expected["output_tokens"],
    },
    cost_nanos=3000 * _MESSAGE.expected["input_tokens"]
    + 15000 * _MESSAGE.expected["output_tokens"],
)
REFUSED = Kind(
    _chat(), (("x-script", "status 400"),),
    status=400, outcome="caller_error", error_type="400",
)  # fmt: skip
BUSY = Kind(
    _chat(stream=True), (("x-script", "status 429 insufficient_quota"),),
    status=429, outcome="provider_error", error_type="insufficient_quota",
)  # fmt: skip
KINDS = (PLAIN, STREAMED, MESSAGE, REFUSED, BUSY)


@dataclass(frozen=True, slots=True)
class Made:
    """One call, as its client saw it end; `status` is `None` when the connection broke."""

    id: str
    """Goes along as the tag `call`: metrics do not know it, spans do."""
    feature: str
    kind: Kind
    status: int | None
    ended_s: float
    took_s: float

    @property
    def end(self) -> End:
        """What it must be counted as."""
        return self.feature, self.kind.outcome, self.kind.error_type


class Traffic:
    """Calls in a circle by each of some clients, each on a connection of its own, until left.

    With `pause_s` a client waits so long after each call, which leaves the machine to others.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        kinds: Sequence[Kind] = KINDS,
        clients: int = 4,
        pause_s: float = 0,
    ) -> None:
        self._url = url
        self.name = name
        self._kinds = kinds
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._made: list[Made] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client-{number}")
            for number in range(clients)
        ]

    @property
    def made(self) -> list[Made]:
        """Every call that has ended, in the order of their ends."""
        return list(self._made)

    @property
    def broken(self) -> list[Made]:
        """The calls whose connection broke."""
        return [call for call in self.made if call.status is None]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a client hangs"

    def wait_more(self, calls: int) -> None:
        """Wait until so many more calls have ended."""
        enough = len(self._made) + calls
        wait_until(lambda: len(self._made) >= enough, timeout_s=PATIENCE_S)

    def _run(self, number: int) -> None:
        client = RawClient(self._url)
        for count, kind in enumerate(itertools.cycle(self._kinds)):
            if self._stopping.is_set():
                break
            call_id = f"{self.name}-{number}-{count}"
            feature = f"{self.name}-{count % FEATURES}"
            began_s = time.monotonic()
            status = call(client, kind, feature, call_id)
            ended_s = time.monotonic()
            self._made.append(Made(call_id, feature, kind, status, ended_s, ended_s - began_s))
            if status is None:
                client = _another(client, self._url)
            self._stopping.wait(AFTER_A_BREAK_S if status is None else self._pause_s)
        client.__exit__()


def call(client: RawClient, kind: Kind, feature: str, call_id: str) -> int | None:
    """Make one call; the status, or `None` when the connection broke before the answer's end."""
    ours = [("x-feature", feature), ("x-tags", f"call:{call_id},env:test")]
    with suppress(*BROKEN):
        answer = client.call(kind.target, kind.body, headers=[*ours, *kind.headers])
        return None if answer.is_cut else answer.status
    return None


def _another(client: RawClient, url: str) -> RawClient:
    client.__exit__()
    return RawClient(url)


class EndlessStream:
    """A streamed call that ends only when its client leaves, or when it is broken."""

    def __init__(self, url: str, feature: str, call_id: str) -> None:
        self.id = call_id
        self.feature = feature
        self.chunks = 0
        self.is_broken = False
        self._is_left = False
        opened = http.client.HTTPSConnection if url[:6] == "https:" else http.client.HTTPConnection
        self._connection = opened(urlsplit(url).netloc, timeout=PATIENCE_S)
        self._thread = threading.Thread(target=self._run, name=call_id)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "a stream hangs"

    def wait_chunks(self, chunks: int) -> None:
        """Wait until so many chunks have come in all, or until it is broken."""
        wait_until(lambda: self.chunks >= chunks or self.is_broken)

    def _run(self) -> None:
        headers = {
            "x-feature": self.feature,
            "x-tags": f"call:{self.id},env:test",
            "x-script": "endless-stream 0.05",
        }
        try:
            self._connection.request("POST", CHAT, STREAMED.body, headers)
            answer = self._connection.getresponse()
            while not self._is_left and answer.read1(65536):
                self.chunks += 1
        except BROKEN:
            pass
        finally:
            self._connection.close()
        self.is_broken = not self._is_left
