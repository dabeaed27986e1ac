"""Calls at a rate, in a process of their own: `python -m tests.soak.load <url> <rate> <seed>`.

Each call and each lost connection is one line of JSON on standard output. The end of standard input
ends it, when the calls under way have ended. Calls are begun by the clock and do not wait for each
other; more than `MOST` at a time are not begun.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

from tests.soak.calls import FEATURES, SORTS, TEAMS, Call, Left, Lost, Sort, written

MOST = 200
PATIENCE_S = 30.0
AFTER_NOBODY_S = 0.05
IDLE_CALLS = 40
"""A connection is closed by us after so many calls, so that new ones come too."""


class Connection(asyncio.StreamReaderProtocol):
    """A connection that notes when the other side has ended it."""

    def __init__(self, number: int) -> None:
        self.reader = asyncio.StreamReader()
        super().__init__(self.reader)
        self.number = number
        self.calls = 0
        self.is_over = False
        self.is_ours = False
        self._wire: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport

    def eof_received(self) -> bool:
        """Note that the other side sends no more."""
        self._note()
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._note()
        super().connection_lost(exc)

    def close(self) -> None:
        """Leave."""
        self.is_ours = self.is_over = True
        self._wire.close()

    def send(self, request: bytes) -> None:
        """Send a request; small enough never to be held up."""
        self.calls += 1
        self._wire.write(request)

    def _note(self) -> None:
        if not self.is_over and not self.is_ours:
            _tell(Lost(self.number, time.monotonic()))
        self.is_over = True


class Load:
    """The clients, and the connections that they share."""

    def __init__(self, url: str, *, rate: float, seed: int) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), address.port
        self._rate = rate
        self._random = random.Random(seed)
        self._idle: list[Connection] = []
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException | None] = []
        self._names = list(SORTS)
        self._weights = [SORTS[name].weight for name in self._names]

    async def run(self, ending: asyncio.Event) -> None:
        """Begin calls until told to end, then wait for those under way."""
        began_s, count = time.monotonic(), 0
        while not ending.is_set():
            due = int((time.monotonic() - began_s) * self._rate)
            for number in range(count, due):
                if len(self._tasks) < MOST:
                    task = asyncio.create_task(self._call(number))
                    self._tasks.add(task)
                    task.add_done_callback(self._done)
            count = max(count, due)
            await asyncio.sleep(0.005)
        await asyncio.gather(*self._tasks)
        for connection in self._idle:
            connection.close()
        assert not self._faults, self._faults

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.exception():  # a fault of ours: what it would tell is not to be relied on
            self._faults.append(task.exception())

    async def _call(self, number: int) -> None:
        name = self._random.choices(self._names, self._weights)[0]
        sort = SORTS[name]
        feature = f"soak-{self._random.randrange(FEATURES)}"
        leave_s = self._random.uniform(0.1, sort.leaves_after_s) if sort.leaves_after_s else None
        connection = await self._connection()
        if connection is None:
            return
        began_s = time.monotonic()
        connection.send(_request(sort, feature, number))
        how, status = await self._answer(connection, leave_s)
        ended_s = time.monotonic()
        is_kept = how == "answered" and not connection.is_over and connection.calls < IDLE_CALLS
        closes = not is_kept and not connection.is_over
        _tell(
            Call(
                f"{number}", feature, name, connection.number, began_s, ended_s, how, status, closes
            )
        )
        if is_kept:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop(self._random.randrange(len(self._idle)))
            if not connection.is_over:
                return connection
            connection.close()
        self._connections += 1
        number = self._connections
        with suppress(OSError):
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(
                lambda: Connection(number), self._host, self._port
            )
            return made
        await asyncio.sleep(AFTER_NOBODY_S)
        return None

    async def _answer(
        self, connection: Connection, leave_s: float | None
    ) -> tuple[Left, int | None]:
        head = b""
        try:
            async with asyncio.timeout(leave_s or PATIENCE_S):
                head = await connection.reader.readuntil(b"\r\n\r\n")
                await _read_body(connection.reader, head.lower())
        except TimeoutError:
            return ("broken" if leave_s is None else "left"), _status(head)
        except asyncio.IncompleteReadError as error:
            return ("broken" if head or error.partial else "unsent"), None
        except ConnectionError:
            return ("broken" if head else "unsent"), None
        return "answered", _status(head)


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    _, _, length = head.partition(b"content-length:")
    if length:
        await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
        return
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        await reader.readexactly(size + 2)
        if not size:
            return


def _status(head: bytes) -> int | None:
    return int(head.split(b" ", 2)[1]) if head else None


def _request(sort: Sort, feature: str, number: int) -> bytes:
    kind = sort.kind
    tags = f"call:{number},env:soak,team:t{number % TEAMS}"
    headers = [
        ("host", "gateway"),
        ("content-type", "application/json"),
        ("x-feature", feature),
        ("x-tags", tags),
        *kind.headers,
        ("content-length", str(len(kind.body))),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"POST {kind.target} HTTP/1.1\r\n{lines}\r\n".encode() + kind.body


def _tell(value: Call | Lost) -> None:
    sys.stdout.write(json.dumps(written(value)) + "\n")


async def main() -> None:
    """Run until standard input ends."""
    url, rate, seed = sys.argv[1:4]
    ending = asyncio.Event()
    stdin = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    running = asyncio.create_task(Load(url, rate=float(rate), seed=int(seed)).run(ending))
    await stdin.read()
    ending.set()
    await running


if __name__ == "__main__":
    asyncio.run(main())
