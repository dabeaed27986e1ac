"""A relay without sockets: callers write into it, its provider answers at once or not at all."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import uvicorn
from tests.gateway.relay.rules import UPSTREAM_BY_NAME, rules
from tests.gateway.upstreams.pipe import Pipe
from uvicorn.server import ServerState

from spanmeter_gateway.board import Field
from spanmeter_gateway.config import Limits
from spanmeter_gateway.receipt import Line, Receipt
from spanmeter_gateway.relay.endpoint import Endpoint, open_endpoint
from spanmeter_gateway.relay.front import RelayProtocol
from spanmeter_gateway.relay.relay import Relay
from spanmeter_gateway.relay.trace import Sampler
from spanmeter_gateway.upstreams.connection import AnswerHead, AnswerSink

_LONG_TURNS = 300
"""Loop turns after which nothing moves any more: all answers of a test take fewer."""
_LINE = msgspec.json.Decoder(Line)


class Column:
    """A column of the board; what it is set to nobody reads."""

    def __init__(self) -> None:
        self.totals: Counter[Field] = Counter()

    def set(self, field: Field, value: int) -> None:
        """Forget it."""

    def add(self, field: Field, amount: int = 1) -> None:
        self.totals[field] += amount


class Spool:
    """Receipts, kept in order."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []

    def put(self, line: bytes, *, ends_open: bool = False) -> None:
        read = _LINE.decode(line)
        if isinstance(read, Receipt):
            self.receipts.append(read)


class Provider:
    """A pool and all its connections: keeps each request, answers each in a row of loop turns.

    An answer is the request's target, so that a caller sees whose it got.
    """

    def __init__(self, *, turns: int) -> None:
        self.requests: list[bytearray] = []
        self.cancelled = 0
        self._turns = turns

    def take(self) -> "Connection":
        return Connection(self)

    async def connect(self, *, fresh: bool = False) -> "Connection":
        await asyncio.sleep(0)
        return Connection(self)

    def sweep(self, now_s: float) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""


class Connection:
    """One exchange with the provider."""

    has_served = False

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._request = bytearray()
        self._sink: AnswerSink | None = None
        self._task: asyncio.Task[None] | None = None

    def send(self, sink: AnswerSink, request: bytes, *, is_whole: bool, **_: Any) -> None:
        self._sink = sink
        self._request += request
        self._provider.requests.append(self._request)
        self.is_request_whole = is_whole

    @property
    def is_request_whole(self) -> bool:
        return self._task is not None

    @is_request_whole.setter
    def is_request_whole(self, is_whole: bool) -> None:
        if is_whole:
            self._task = asyncio.get_running_loop().create_task(self._answer())

    def send_more(self, piece: bytes) -> None:
        self._request += piece

    def pause(self) -> None:
        """The answer is short."""

    def resume(self) -> None:
        """The answer is short."""

    def cancel(self) -> None:
        self._provider.cancelled += 1
        if self._task is not None:
            self._task.cancel()

    async def _answer(self) -> None:
        for _ in range(self._provider._turns):
            await asyncio.sleep(0)
        body = bytes(self._request.split(b" ", 2)[1])
        head = AnswerHead()
        head.status, head.reason, head.content_length = 200, b"OK", len(body)
        head.headers = [(b"content-length", b"%d" % len(body))]
        assert self._sink is not None
        self._sink.answer(head, [body], is_end=True)


class World:
    """A relay, its provider and its spool; make it within a running loop."""

    def __init__(self, *, turns: int = 0, limits: Limits | None = None) -> None:
        self.provider = Provider(turns=turns)
        self.spool = Spool()
        self.column = Column()
        endpoint = _endpoint(self.provider)
        self.relay = Relay(
            endpoints={"openai": endpoint},
            rules=rules(),
            sampler=Sampler({}),
            spool=self.spool,
            column=self.column,  # type: ignore[arg-type]  # what the relay uses of it
            limits=limits or Limits(),
            listen=("127.0.0.1", 1),
        )
        self._config = uvicorn.Config(
            self.relay,  # type: ignore[arg-type]  # as the relay process does it
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
        )

    def caller(self) -> "Caller":
        return Caller(RelayProtocol(self._config, ServerState(), {}))


class Caller:
    """A caller's connection: holds bytes back while the relay does not read, as a kernel does."""

    def __init__(self, front: RelayProtocol) -> None:
        self.front = front
        self.pipe = Pipe()
        front.connection_made(self.pipe)

    @property
    def got(self) -> bytes:
        """Everything that the relay wrote."""
        return b"".join(self.pipe.written)

    async def say(self, pieces: Iterable[bytes], *, turns: int = 0) -> None:
        """Let the pieces arrive one after the other, some loop turns apart."""
        for piece in pieces:
            await settled(self)
            if self.pipe.is_closed:
                return
            self.front.data_received(piece)
            await _turn(turns)
        await settled(self)
        await _turn(_LONG_TURNS)

    def leave(self) -> None:
        """Close the connection."""
        self.front.connection_lost(None)


async def settled(caller: Caller) -> None:
    """Wait until the relay reads again."""
    while caller.pipe.is_reading_paused and not caller.pipe.is_closed:  # noqa: ASYNC110 - a turn
        await asyncio.sleep(0)


async def _turn(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def _endpoint(provider: Provider) -> Endpoint:
    plain = replace(UPSTREAM_BY_NAME["openai"], base_url="http://127.0.0.1:9")
    return replace(open_endpoint(plain, {}), pool=provider)  # type: ignore[arg-type]  # a pool in all but name
