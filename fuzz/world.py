"""The real relay between a caller and a provider that are both bytes in memory.

Everything from the caller's protocol to the upstream's is the product's. The far ends are read by
h11, so that what is well-formed is said by somebody else.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

import h11
from tests.gateway.relay.doubles import World
from tests.gateway.upstreams.pipe import Pipe
from uvicorn.server import ServerState

from spanmeter_gateway.config import Limits
from spanmeter_gateway.relay.caller_connection import CallerConnection
from spanmeter_gateway.relay.front import RelayProtocol
from spanmeter_gateway.upstreams.connection import UpstreamConnection

LARGEST_HEAD_BYTES = 1 << 20
MOST_TURNS = 500
HEALTH = (b"/healthz", b"/readyz")
LIMITS = replace(Limits(), body_bytes=2_000, held_body_bytes=3_000, header_bytes=4_000)
"""Small, so that short inputs reach them."""


class Wire(Pipe):
    """A transport that tells its protocol of its end, as a socket's does: later, and once."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._is_lost = False
        protocol.connection_made(self)

    def close(self) -> None:
        """Close."""
        super().close()
        self.lose()

    def abort(self) -> None:
        """Reset."""
        super().abort()
        self.lose()

    def lose(self, error: Exception | None = None) -> None:
        """End the connection from either side."""
        self.is_closed = True
        if not self._is_lost:
            self._is_lost = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)


class NotingConnection(CallerConnection):
    """The caller's connection, which notes what was begun."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begun: list[tuple[bytes, bytes]] = []

    def _begin(self, request: Any) -> None:
        self.begun.append((request.method, request.target))
        super()._begin(request)


class Front(RelayProtocol):
    """The caller's protocol."""

    connection_type = NotingConnection
    connection: NotingConnection


class Upstream(Wire):
    """The provider's end of one connection: reads requests, and hands each to the script."""

    def __init__(self, provider: "Provider") -> None:
        self.heads: list[bytes] = []
        self.connection = UpstreamConnection()
        self._provider = provider
        self._reader = _open_reader()
        super().__init__(self.connection)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Read what the relay sends; raises nothing, but tells the provider what it could not."""
        if self.is_closed:
            return
        if self._reader.their_state is h11.IDLE:
            self.heads.append(bytes(data).partition(b"\r\n\r\n")[0])
        super().write(data)
        try:
            self._reader.receive_data(bytes(data))
            while (event := self._reader.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    self._provider.asked.append((event.method, event.target))
                if isinstance(event, h11.EndOfMessage):
                    reader, self._reader = self._reader, _open_reader()
                    assert reader.trailing_data[0] == b"", "more than one request at a time"
                    self._provider.answer(self, reader)
                    return
        except h11.RemoteProtocolError as error:
            self._provider.garbled.append(f"{error}: {self.heads[-1]!r}")

    def call_soon_received(self, *pieces: bytes) -> None:
        """Let the relay read these pieces in its next turns."""
        for piece in pieces:
            asyncio.get_running_loop().call_soon(self._received, piece)

    def _received(self, piece: bytes) -> None:
        if not self.is_closed:
            self.connection.data_received(piece)


Script = Callable[[Upstream, h11.Connection], None]


class Provider:
    """A pool of connections to a provider that answers by a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[bytes, bytes]] = []
        self.garbled: list[str] = []
        self.wires: list[Upstream] = []
        self._idle: list[UpstreamConnection] = []

    def take(self) -> UpstreamConnection | None:
        """Take the newest idle connection."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
        return None

    async def connect(self, **_: Any) -> UpstreamConnection:
        """Open a connection."""
        await asyncio.sleep(0)
        wire = Upstream(self)
        self.wires.append(wire)
        wire.connection.pooled_by(self._give_back, _forget)
        return wire.connection

    def _give_back(self, connection: UpstreamConnection) -> None:
        self._idle.append(connection)

    def answer(self, wire: Upstream, reader: h11.Connection) -> None:
        """Answer a request that has been read."""
        self.script(wire, reader)

    def sweep(self, now_s: float) -> None:
        """Keep all."""

    def close(self) -> None:
        """Keep all."""


class Faults(logging.Handler):
    """What the relay logs as an error: a fault of its own, which it survived."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.texts.append(record.getMessage())


@dataclass(slots=True)
class Spoken:
    """One caller's connection."""

    front: Front
    wire: Wire

    @property
    def got(self) -> bytes:
        """Everything that the relay wrote to the caller."""
        return b"".join(self.wire.written)

    @property
    def begun(self) -> list[tuple[bytes, bytes]]:
        """Method and target of each request that was begun, in order."""
        return self.front.connection.begun

    async def say(self, pieces: Iterable[bytes]) -> None:
        """Send pieces, as far as the relay reads them."""
        for piece in pieces:
            await settle()
            if self.wire.is_closed or self.wire.is_reading_paused:
                return
            self.front.data_received(piece)
        await settle()


class Stage:
    """A relay and a provider, for one input; `check` holds the two to what is always true."""

    def __init__(self, script: Script) -> None:
        self.provider = Provider(script)
        self.world = World(limits=LIMITS)
        endpoint = replace(self.world.relay.endpoints["openai"], pool=self.provider)
        names = self.world.relay.rules.directory.upstream_by_name
        self.world.relay.endpoints = dict.fromkeys(names, endpoint)
        self.faults = Faults()
        self.escaped: list[dict[str, Any]] = []

    @property
    def receipts(self) -> list[Any]:
        """The receipts so far, in order."""
        return self.world.spool.receipts

    def caller(self) -> Spoken:
        """Let a caller connect."""
        front = Front(self.world._config, ServerState(), {})
        return Spoken(front, Wire(front))

    def check(self, *callers: Spoken) -> None:
        """Hold what must be true once every connection has ended."""
        relay = self.world.relay
        assert self.faults.texts == [], self.faults.texts
        assert self.escaped == [], self.escaped
        assert self.provider.garbled == [], self.provider.garbled
        assert relay.calls == set(), "a call has no end"
        assert relay.connections == set(), "a connection is still counted"
        assert relay._held_bytes == 0, "memory is still reserved"
        calls = [
            target
            for caller in callers
            for _, target in caller.begun
            if target.partition(b"?")[0] not in HEALTH
        ]
        assert len(self.receipts) == len(calls), "not exactly one receipt a call"
        assert len({receipt.call_id for receipt in self.receipts}) == len(calls)
        assert len(self.provider.asked) <= 2 * len(calls), "a request is sent upstream too often"
        for wire in self.provider.wires:
            for head in wire.heads:
                check_upstream_head(head)


def check_upstream_head(head: bytes) -> None:
    """Hold a request's head as it goes upstream to one framing, one host, and nothing of ours."""
    _, *lines = head.split(b"\r\n")
    assert not any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0"))
    names = [line.partition(b":")[0].lower() for line in lines]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    ours = (b"x-tags", b"x-feature", b"x-task", b"x-provider", b"x-gateway-key", b"baggage")
    assert not set(names) & {*ours, b"connection", b"upgrade", b"te", b"keep-alive", b"expect"}
    assert not any(name.startswith((b"x-bf-dim-", b"helicone-property-")) for name in names)


def _forget(connection: UpstreamConnection) -> None:
    """Take no notice: a closed connection is passed over when it is its turn."""


def _open_reader() -> h11.Connection:
    return h11.Connection(h11.SERVER, LARGEST_HEAD_BYTES)


async def settle() -> None:
    """Wait until nothing moves any more."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(MOST_TURNS):
        await asyncio.sleep(0)
        if not loop._ready:  # ours was the last callback: nothing else waits for a turn
            return


_loop: asyncio.AbstractEventLoop | None = None


def play(script: Script, act: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    """Run one act on a stage of its own; faults that the relay survives count as failures too."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    loop, log = _loop, logging.getLogger("spanmeter.relay")

    async def main() -> None:
        stage = Stage(script)
        loop.set_exception_handler(lambda _, context: stage.escaped.append(context))
        log.addHandler(stage.faults)
        try:
            await act(stage)
        finally:
            log.removeHandler(stage.faults)
            await _clear()

    loop.run_until_complete(main())


async def _clear() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await settle()
