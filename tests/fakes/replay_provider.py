"""A pretend provider on loopback that plays recordings back, byte for byte, and remembers.

A request chooses its answer by headers that any gateway forwards as unknown ones:

    x-replay: <recording id>            or  x-script: <name> [argument] (see scripts.py)
    x-replay-chunking: whole | events | random:<seed> | bytes | bytes:<n> | recorded
    x-replay-encoding: identity | gzip | deflate | raw-deflate | br | zstd | recorded
    x-replay-framing: chunked | length | close
    x-replay-usage: <prompt>,<completion>   adds OpenAI's usage chunk to a stream recorded without,
                                    if the request asks for it
    x-replay-key: <text>                the name under which a test asks for what was received

Runs in a thread (`with ReplayProvider() as provider`) or alone
(`python -m tests.fakes.replay_provider`), with `GET` and `DELETE /-/received` in place of the API.
"""

import argparse
import asyncio
import base64
import itertools
import json
import ssl
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import trustme
from tests.fakes import wire
from tests.fakes.exchange import (
    HEAD_LIMIT_BYTES,
    Answer,
    Exchange,
    PeerLeft,
    Received,
    read_request,
)
from tests.fakes.recordings import Recording, recording
from tests.fakes.scripts import JSON, SCRIPTS, USAGE, Script, event
from tests.fakes.server_thread import ServerThread

CONTROL = "/-/received"

EXTRA_HEADERS = (("set-cookie", "a=1; Path=/"), ("X-Odd-Case", "caf\xe9"), ("set-cookie", "b=2"))
"""Recordings have lost their cookies: two of them and a byte beyond ASCII go with each replay."""


class ReplayProvider:
    """The server in a thread of its own. `received` holds every request, oldest first.

    `scripts` are further ones, by the name that `x-script` calls them.
    """

    def __init__(
        self, *, tls: bool = False, port: int = 0, scripts: Mapping[str, Script] | None = None
    ) -> None:
        self._scripts = SCRIPTS | dict(scripts or {})
        self.received: list[Received] = []
        self.port = port
        self.connections = 0
        self._arrived = threading.Condition()
        self._connection_numbers = itertools.count()
        self._folder = tempfile.TemporaryDirectory(prefix="replay-provider-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._tls = _server_tls(self.ca_file) if tls else None
        self._server = ServerThread(self._converse, name="replay-provider", tls=self._tls)

    @property
    def base_url(self) -> str:
        """Where it listens, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.port = self._server.start(port=self.port, limit_bytes=HEAD_LIMIT_BYTES)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._server.stop()
        finally:
            self._folder.cleanup()

    def take(self, key: str, *, timeout_s: float = 10) -> Received:
        """Wait for the request with this `x-replay-key` and forget it; raises `TimeoutError`."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._position(key) is not None, timeout_s):
                raise TimeoutError(f"no request with x-replay-key {key!r} arrived")
            position = self._position(key)
            assert position is not None
            return self.received.pop(position)

    def _position(self, key: str) -> int | None:
        # The newest first: with thousands of requests kept, the one asked for is near the end.
        for position in reversed(range(len(self.received))):
            if self.received[position].header("x-replay-key") == key:
                return position
        return None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._connection_numbers)
        self.connections += 1
        try:
            while received := await read_request(reader, writer, number):
                if not await self._answer(Exchange(received, reader, writer)):
                    break
        except (PeerLeft, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange) -> bool:
        received = exchange.received
        if received.target == CONTROL:
            return await exchange.send(self._control(received.method))
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        try:
            name, _, argument = received.header("x-script").partition(" ")
            if name:
                return await self._scripts[name](exchange, argument)
            return await exchange.send(replay(received))
        except PeerLeft:
            received.cut.set()
            raise

    def _control(self, method: str) -> Answer:
        if method == "DELETE":
            self.received.clear()
            return Answer(204, [])
        return Answer(200, JSON, [json.dumps([_printed(each) for each in self.received]).encode()])


def replay(received: Received) -> Answer:
    """Build the answer that a request's headers ask for."""
    wanted = received.header("x-replay")
    if not wanted:
        return Answer(404, JSON, [b'{"error":{"message":"no x-replay header","code":"no_replay"}}'])
    played = recording(wanted)
    pieces, encoding = _pieces(played, received)
    headers = [*played.response_headers, *EXTRA_HEADERS]
    if encoding:
        headers.append(("content-encoding", encoding))
    framing = received.header("x-replay-framing", "chunked")
    return Answer(played.status, headers, pieces, framing, is_aborted=played.is_aborted)


def answer_body(played: Recording, encoding: str, chunking: str) -> bytes:
    """Return the bytes that a replay sends as its body."""
    headers = [("x-replay-encoding", encoding), ("x-replay-chunking", chunking)]
    return b"".join(_pieces(played, Received("POST", "/", headers, b"", 0))[0])


def _pieces(played: Recording, received: Received) -> tuple[list[bytes], str]:
    chunking = received.header("x-replay-chunking", "whole")
    encoding = received.header("x-replay-encoding", "identity")
    body = _with_usage(played, received)
    if encoding == "recorded":
        assert played.wire_body is not None, f"{played.id} has no recorded encoding"
        pieces = wire.split(played.wire_body, chunking, ())
        return pieces, played.content_encoding or ""
    if encoding == "identity":
        return wire.split(body, chunking, played.chunk_sizes), ""
    if chunking in ("events", "recorded"):
        plain = wire.split(body, chunking, played.chunk_sizes)
        return wire.compress(plain, encoding), encoding.removeprefix("raw-")
    compressed = b"".join(wire.compress([body], encoding))
    return wire.split(compressed, chunking), encoding.removeprefix("raw-")


def _with_usage(played: Recording, received: Received) -> bytes:
    counts, body = received.header("x-replay-usage"), played.response_body
    if not counts or _asks_for_usage(played.request_body) or not _asks_for_usage(received.body):
        return body
    prompt, completion = map(int, counts.split(","))
    usage = USAGE | {"prompt_tokens": prompt, "completion_tokens": completion}
    chunk = event({"object": "chat.completion.chunk", "choices": [], "usage": usage})
    return body.replace(b"data: [DONE]", chunk + b"data: [DONE]")


def _asks_for_usage(body: bytes) -> bool:
    request = json.loads(body)
    return bool((request.get("stream_options") or {}).get("include_usage"))


def _printed(received: Received) -> dict[str, Any]:
    return {
        "method": received.method,
        "target": received.target,
        "headers": received.headers,
        "body_base64": base64.b64encode(received.body).decode(),
        "connection": received.connection,
        "cut": received.cut.is_set(),
    }


def _server_tls(ca_file: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def main() -> None:
    """Serve until standard input ends, so that the fake never outlives the one who started it."""
    parser = argparse.ArgumentParser(description="Play recordings back as a pretend provider.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with ReplayProvider(tls=options.tls, port=options.port) as provider:
        sys.stdout.write(f"{provider.base_url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
