"""What one hostile caller or provider can make a relay do and keep, however long it tries."""

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import brotli
import pytest
import zstandard
from tests.gateway.relay.doubles import World
from tests.gateway.relay.test_request import OPENAI, written

from spanmeter.decoding import LIMIT_BYTES, Undecodable, decode_whole
from spanmeter_gateway.relay.head import RequestHead, named_by_connection
from spanmeter_gateway.relay.response import Framing, write_head
from spanmeter_gateway.relay.upload import Upload
from spanmeter_gateway.upstreams.connection import AnswerHead

MEGABYTE = 1_000_000
CHAT = b"/v1/chat/completions"


class Memory:
    """What was held at the most, and at the end."""

    peak = 0
    kept = 0


@contextmanager
def traced() -> Iterator[Memory]:
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.kept, memory.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


class Measured(bytes):
    """Counts how often anybody asks for its length."""

    asked = 0

    def __len__(self) -> int:
        type(self).asked += 1
        return super().__len__()


def brotli_of_spaces(megabytes: int) -> bytes:
    engine = brotli.Compressor(quality=5)
    block = b" " * MEGABYTE
    return b"".join(engine.process(block) for _ in range(megabytes)) + bytes(engine.finish())


@pytest.mark.parametrize(
    ("coding", "make"),
    [
        (b"br", lambda: brotli_of_spaces(300)),
        (b"zstd", lambda: zstandard.compress(b" " * 300 * MEGABYTE)),
    ],
)
def test_a_bomb_of_a_few_bytes_is_given_up_at_the_limit(
    coding: bytes, make: Callable[[], bytes]
) -> None:
    bomb = make()
    assert len(bomb) < 100_000

    with traced() as memory, pytest.raises(Undecodable, match="too_large"):
        decode_whole(bomb, coding)

    assert memory.peak < 3 * LIMIT_BYTES


def test_header_names_of_any_length_are_not_remembered() -> None:
    with traced() as memory:
        for number in range(200):
            name = b"x-%d-" % number + b"a" * 60_000
            answer = AnswerHead()
            answer.headers = [(name, b"1")]
            RequestHead([(name, b"1")])
            write_head(answer, Framing.NONE, keep_alive=True)

    assert memory.kept < MEGABYTE


def test_what_connection_names_is_not_remembered_without_measure() -> None:
    with traced() as memory:
        for number in range(20):
            value = b",".join(b"%x-%x" % (number, token) for token in range(5000))
            assert len(named_by_connection(value)) == 5000
            written(OPENAI, [(b"connection", value)])

    assert memory.kept < MEGABYTE


def test_a_body_of_many_small_pieces_is_added_piece_by_piece() -> None:
    upload = Upload(b"1000", is_chunked=False)

    for _ in range(1000):
        upload.add(Measured(b"x"), connection=None)

    assert Measured.asked <= 10_000


def test_a_body_of_many_small_pieces_takes_the_memory_of_a_body() -> None:
    async def check() -> Memory:
        world = World()
        caller = world.caller()
        caller.front.data_received(
            b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % CHAT
        )
        piece = b"2\r\nab\r\n" * 5000
        with traced() as memory:
            for _ in range(20):
                caller.front.data_received(piece)
        caller.leave()
        return memory

    held_bytes = 20 * 5000 * 2

    assert asyncio.run(check()).kept < 4 * held_bytes
