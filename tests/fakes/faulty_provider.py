"""A provider that answers each request as the fault asks that it names, byte for byte.

A request says `x-fault: <name>`; without one it is answered well, with its own `x-nonce` in the
answer, so that whose answer came back can be told.
"""

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.fakes.exchange import unacknowledged_bytes
from tests.fakes.raw_provider import RawProvider, Tls

EVENTS = b"content-type: text/event-stream\r\n"
JSON = b"content-type: application/json\r\n"
GOOD_USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its head as text, and how often this nonce has asked, from 1."""

    lines: Mapping[str, str]
    body: bytes
    times: int

    @property
    def nonce(self) -> str:
        """What tells this request from all others."""
        return self.lines.get("x-nonce", "")


@dataclass(slots=True)
class Peer:
    """The provider's end of a connection, on which one request has been read."""

    connection: socket.socket
    asked: Asked

    def say(self, *pieces: bytes) -> None:
        """Send each piece."""
        for piece in pieces:
            self.connection.sendall(piece)

    def drip(self, whole: bytes) -> None:
        """Send byte by byte, each in a packet of its own."""
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.say(*(whole[at : at + 1] for at in range(len(whole))))

    def reset(self) -> None:
        """End with a TCP reset, behind everything that was sent."""
        reset(self.connection)

    def hang_up(self) -> None:
        """End in order."""
        self.connection.close()

    def silence(self) -> None:
        """Say nothing more until the other side leaves."""
        with suppress(OSError):
            while self.connection.recv(65536):
                pass


Fault = Callable[[Peer], None]
"""Plays one fault; a connection that is still open then takes the next request."""


class FaultyProvider(RawProvider):
    """A `RawProvider` that knows faults by name."""

    def __init__(self, faults: Mapping[str, Fault], *, tls: Tls | None = None) -> None:
        super().__init__(self._converse_well, tls=tls)
        self.asked: Counter[str] = Counter()
        """How often each nonce came."""
        self._faults = faults
        self._lock = threading.Lock()

    def _converse_well(self, connection: socket.socket) -> None:
        while (asked := self._read(connection)) is not None:
            fault = self._faults.get(asked.lines.get("x-fault", ""), answer_well)
            fault(Peer(connection, asked))
            if connection.fileno() < 0:
                return

    def _read(self, connection: socket.socket) -> Asked | None:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.recv(65536)
            if not piece:
                return None
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
        length = 0 if "x-unread" in lines else int(lines.get("content-length", "0"))
        while len(body) < length:
            body += connection.recv(65536)
        with self._lock:
            self.asked[lines.get("x-nonce", "")] += 1
            return Asked(lines, body, self.asked[lines.get("x-nonce", "")])


def reset(connection: socket.socket) -> None:
    """End with a TCP reset, behind everything that was sent."""
    while unacknowledged_bytes(connection):
        time.sleep(0.0005)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def completion(nonce: str) -> bytes:
    """Print a whole chat answer."""
    message = {"role": "assistant", "content": nonce}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": nonce, "object": "chat.completion", "model": "gpt-4o-mini"}
    return json.dumps(answer | {"choices": [choice], "usage": GOOD_USAGE}).encode()


def events(nonce: str) -> list[bytes]:
    """Print a whole streamed chat answer with its usage."""
    chunk = {"id": nonce, "object": "chat.completion.chunk", "model": "gpt-4o-mini"}
    begin = {"index": 0, "delta": {"content": nonce}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    parts = [{"choices": [begin]}, {"choices": [end]}, {"choices": [], "usage": GOOD_USAGE}]
    return [*(b"data: %b\n\n" % json.dumps(chunk | part).encode() for part in parts),
            b"data: [DONE]\n\n"]  # fmt: skip


def with_length(body: bytes, status: bytes = b"200 OK", lines: bytes = JSON) -> bytes:
    """Frame a body by its length."""
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def chunked(*pieces: bytes, lines: bytes = EVENTS, end: bytes = b"0\r\n\r\n") -> bytes:
    """Frame pieces as chunks."""
    head = b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % lines
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + end


def until_close(body: bytes, lines: bytes = JSON) -> bytes:
    """Frame a body by the connection's close."""
    return b"HTTP/1.1 200 OK\r\n%bconnection: close\r\n\r\n%b" % (lines, body)


def well(asked: Asked) -> bytes:
    """Print the right answer to a request."""
    if b'"stream":true' in asked.body:
        return chunked(*events(asked.nonce))
    return with_length(completion(asked.nonce))


def answer_well(peer: Peer) -> None:
    """Send the right answer."""
    peer.say(well(peer.asked))
