"""Many callers at once who all send the same request: one thread, and the request held once."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

_SLICE_BYTES = 1 << 18
_TURN_S = 0.2


@dataclass(slots=True)
class _Member:
    sent: int = 0
    answer: bytes = b""


@dataclass(slots=True)
class Crowd:
    """`with Crowd(url, request, callers=1000) as crowd:`; each sends until it gets an answer."""

    url: str
    request: bytes
    callers: int
    answers: list[bytes] = field(default_factory=list)
    """Status line, head and body of each; of a caller whose connection broke, what had come."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def __enter__(self) -> Self:
        address = urlsplit(self.url)
        for _ in range(self.callers):
            caller = socket.create_connection((address.hostname, address.port), timeout=30)
            caller.setblocking(False)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.register(caller, both, _Member())
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    @property
    def statuses(self) -> Counter[bytes]:
        """Count the answers by status; `b""` where the connection broke before one came."""
        return Counter(answer[9:12] for answer in self.answers)

    def go_on(self, until: Callable[[], bool], *, timeout_s: float = 60) -> None:
        """Send and receive until something is so; raises `TimeoutError`."""
        end = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"not so within {timeout_s} s: {dict(self.statuses)}")
            for key, events in self._selector.select(_TURN_S):
                caller, member = key.fileobj, key.data
                assert isinstance(caller, socket.socket)
                if events & selectors.EVENT_READ and self._receive(caller, member):
                    continue
                if events & selectors.EVENT_WRITE:
                    self._send(caller, member)

    def _receive(self, caller: socket.socket, member: _Member) -> bool:
        """Read; true when the answer is there or the connection has ended."""
        try:
            piece = caller.recv(_SLICE_BYTES)
        except ConnectionError:
            piece = b""
        member.answer += piece
        if piece and not member.answer.endswith(b"}"):
            return False
        self.answers.append(member.answer)
        self._selector.unregister(caller)
        caller.close()
        return True

    def _send(self, caller: socket.socket, member: _Member) -> None:
        if member.sent < len(self.request):
            part = memoryview(self.request)[member.sent : member.sent + _SLICE_BYTES]
            try:
                member.sent += caller.send(part)
            except BlockingIOError:
                return
            except ConnectionError:  # refused: the answer is there to read
                member.sent = len(self.request)
        else:
            self._selector.modify(caller, selectors.EVENT_READ, member)
