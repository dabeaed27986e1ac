"""The copy of an answer: whatever happens to it, the caller gets the bytes."""

import gzip
from dataclasses import replace

import brotli
import pytest
import zstandard
from tests.fakes.scripts import chat_chunks, chat_completion

from spanmeter import decoding
from spanmeter.dialects.dialect import ResponseFacts, Tally
from spanmeter.dialects.openai_chat import OPENAI_CHAT
from spanmeter.usage import Usage
from spanmeter_gateway.relay.meter import Meter

ANSWER = chat_completion("gpt-4o")
USAGE = Usage(input_tokens=12, output_tokens=3)


class Broken:
    """A tally that fails at its nth piece, or at the end."""

    def __init__(self, *, fails_at: int) -> None:
        self._left = fails_at

    def feed(self, piece: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            raise ZeroDivisionError(piece)

    def close(self) -> ResponseFacts:
        raise ZeroDivisionError


def meter(
    *,
    encoding: bytes | None = None,
    is_stream: bool = False,
    hides_usage: bool = False,
    tally: Tally | None = None,
) -> Meter:
    dialect = OPENAI_CHAT if tally is None else replace(OPENAI_CHAT, tally=lambda **_: tally)
    return Meter(
        dialect,
        status=200,
        content_type="text/event-stream" if is_stream else "application/json",
        content_encoding=encoding,
        is_stream=is_stream,
        hides_usage=hides_usage,
    )


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, ANSWER),
        (b"identity", ANSWER),
        (b"gzip", gzip.compress(ANSWER)),
        (b"br", brotli.compress(ANSWER)),
        (b"zstd", zstandard.compress(ANSWER)),
    ],
)
def test_the_caller_gets_the_bytes_and_we_read_them(encoding: bytes | None, body: bytes) -> None:
    reading = meter(encoding=encoding)

    shown = b"".join(reading.read(body[at : at + 7]) for at in range(0, len(body), 7))

    assert shown + reading.rest() == body
    assert (reading.close().usage, reading.unread) == (USAGE, None)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", ANSWER),
        (b"br", b"\xff" * 99),
        (b"zstd", ANSWER),
        (b"lzma", ANSWER),
        (b"gzip, br", ANSWER),
    ],
)
def test_what_cannot_be_decoded_goes_on_and_is_said_to_be_unreadable(
    encoding: bytes, body: bytes
) -> None:
    reading = meter(encoding=encoding)

    shown = reading.read(body) + reading.read(body) + reading.rest()

    assert shown == body + body
    assert (reading.close(), reading.unread) == (ResponseFacts(), "unreadable")


def test_an_answer_that_decodes_to_too_much_goes_on_and_is_said_to_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "LIMIT_BYTES", 1000)
    body = gzip.compress(b" " * 100_000)
    reading = meter(encoding=b"gzip")

    assert reading.read(body) == body
    assert (reading.close(), reading.unread) == (ResponseFacts(), "too_large")


@pytest.mark.parametrize("fails_at", [1, 2, 99])
def test_a_tally_that_fails_costs_the_reading_and_not_the_call(
    fails_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    reading = meter(tally=Broken(fails_at=fails_at))

    shown = [reading.read(piece) for piece in (b"secret", b"prompt", b"answer")]

    assert (shown, reading.rest()) == ([b"secret", b"prompt", b"answer"], b"")
    assert (reading.close(), reading.unread) == (ResponseFacts(), "unreadable")
    assert [record.message.rsplit(": ")[-1] for record in caplog.records] == ["ZeroDivisionError"]


@pytest.mark.parametrize("fails_at", [2, 3])
def test_a_tally_that_fails_leaves_the_bytes_in_order(fails_at: int) -> None:
    body = b"".join(chat_chunks("gpt-4o", with_usage=False))
    reading = meter(is_stream=True, hides_usage=True, tally=Broken(fails_at=fails_at))

    shown = b"".join(reading.read(body[at : at + 50]) for at in range(0, len(body), 50))

    assert shown + reading.rest() == body


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_usage_that_was_asked_for_on_the_callers_behalf_is_read_and_hidden(size: int) -> None:
    body = b"".join(chat_chunks("gpt-4o", with_usage=True))
    reading = meter(is_stream=True, hides_usage=True)

    shown = b"".join(reading.read(body[at : at + size]) for at in range(0, len(body), size))

    assert reading.rewrites
    assert b'"choices":[],' not in shown + reading.rest()
    assert (shown + reading.rest()).endswith(b"data: [DONE]\n\n")
    assert reading.close().usage == USAGE


def test_a_stream_that_is_compressed_against_our_wish_is_shown_whole() -> None:
    body = gzip.compress(b"".join(chat_chunks("gpt-4o", with_usage=True)))
    reading = meter(encoding=b"gzip", is_stream=True, hides_usage=True)

    assert (reading.rewrites, reading.read(body)) == (False, body)
    assert reading.close().usage == USAGE
