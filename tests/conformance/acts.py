"""What the pretend provider does in each row: `x-script: act <row> <column>`."""

import json
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tests.conformance.columns import COLUMN_BY_ID, Column
from tests.fakes.exchange import Answer, Exchange
from tests.fakes.replay_provider import replay
from tests.fakes.scripts import never

HOLDING_S = 0.02
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_MARKUP = [("content-type", "text/html")]
_JSON = [("content-type", "application/json")]


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def open(self) -> None:
        """Let every answer go on."""
        self._opened.set()

    def close(self) -> None:
        """Hold what comes from now on."""
        self._opened.clear()

    async def passed(self, exchange: Exchange) -> bool:
        """Wait for the gate; false when the peer left before it opened."""
        while not self._opened.is_set():
            if await exchange.gone_within(HOLDING_S):
                return False
        return True


class Acts:
    """The rows' acts. The answers of the rows about kills wait at the gate."""

    def __init__(self) -> None:
        self.gate = Gate()

    async def act(self, exchange: Exchange, argument: str) -> bool:
        """Do what the row says, in the column's dialect; the script."""
        row, _, name = argument.partition(" ")
        column = COLUMN_BY_ID[name]
        if row in column.failures:
            status, body = column.failures[row]
            headers = _MARKUP if body.startswith(b"<") else _JSON
            return await exchange.send(Answer(status, headers, [body]))
        deed: Callable[[Exchange, Column], Awaitable[bool]] = {
            "ok": self._answer,
            "first-byte-timeout": self._be_silent,
            "cut": self._cut,
            "error-event": self._fail_midway,
            "left-before-usage": self._stop_before_usage,
            "left-after-usage": self._stop_before_end,
            "books-killed": self._pause,
            "relay-killed": self._pause,
        }[row]
        return await deed(exchange, column)

    async def _answer(self, exchange: Exchange, column: Column) -> bool:
        return await exchange.send(_good(exchange, column))

    async def _be_silent(self, exchange: Exchange, _: Column) -> bool:
        return await never(exchange, "")

    async def _cut(self, exchange: Exchange, column: Column) -> bool:
        answer = _good(exchange, column)
        pieces = _half(answer.pieces)
        if not column.is_stream:
            whole = b"".join(answer.pieces)
            pieces = [whole[: len(whole) // 2]]
        framing = "chunked" if column.is_stream else "length"
        return await exchange.send(replace(answer, pieces=pieces, framing=framing, is_aborted=True))

    async def _fail_midway(self, exchange: Exchange, column: Column) -> bool:
        answer = _good(exchange, column)
        end = [b"\n]"] if answer.pieces[-1].endswith(b"]") else []
        return await exchange.send(
            replace(answer, pieces=[*_half(answer.pieces), column.event, *end])
        )

    async def _stop_before_usage(self, exchange: Exchange, column: Column) -> bool:
        if not column.is_stream:
            return await never(exchange, "")
        answer = _good(exchange, column)
        places = (place for place, piece in enumerate(answer.pieces) if _USAGE.search(piece))
        await _begin(exchange, answer, list(answer.pieces[: next(places)]))
        return await never(exchange, "")

    async def _stop_before_end(self, exchange: Exchange, column: Column) -> bool:
        answer = _good(exchange, column)
        await _begin(exchange, answer, list(answer.pieces))
        return await never(exchange, "")

    async def _pause(self, exchange: Exchange, column: Column) -> bool:
        answer = _good(exchange, column)
        first = _half(answer.pieces) if column.is_stream else []
        if column.is_stream:
            await _begin(exchange, answer, first)
        if not await self.gate.passed(exchange):
            return False
        if not column.is_stream:
            return await exchange.send(answer)
        await exchange.send_pieces(answer.pieces[len(first) :], chunked=True)
        await exchange.write(b"0\r\n\r\n")
        return True


def last_words(column: Column) -> bytes:
    """Return the last bytes of a good answer, as many as are nowhere else in it."""
    if _is_array(column):
        return _array_ends(column)[-1]
    body = column.recording.response_body
    ends = (body[-size:] for size in range(12, len(body)))
    return next(end for end in ends if body.count(end) == 1)


def _good(exchange: Exchange, column: Column) -> Answer:
    answer = replay(exchange.received)
    return replace(answer, pieces=_array_ends(column)) if _is_array(column) else answer


def _is_array(column: Column) -> bool:
    return column.is_stream and column.recording.response_body.startswith(b"[")


def _array_ends(column: Column) -> list[bytes]:
    """Cut the answer after each object: Gemini sends one at a time."""
    objects = map(json.dumps, json.loads(column.recording.response_body))
    first, *others = (each.encode() for each in objects)
    return [b"[" + first, *(b",\n" + each for each in others), b"\n]"]


def _half(pieces: object) -> list[bytes]:
    assert isinstance(pieces, list)
    return pieces[: max(1, len(pieces) // 2)]


async def _begin(exchange: Exchange, answer: Answer, pieces: list[bytes]) -> None:
    await exchange.send_head(answer.status, [*answer.headers, ("transfer-encoding", "chunked")])
    await exchange.send_pieces(pieces, chunked=True)
