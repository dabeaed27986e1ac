"""Between a caller's connection and the requests on it: what each side asks of the other."""

from collections.abc import Callable
from typing import Protocol

from mypy_extensions import mypyc_attr

from spanmeter_gateway.errors import GatewayError


@mypyc_attr(allow_interpreted_subclasses=True)
class Caller:
    """The caller's connection, as a request on it uses it; derived from, as `AnswerSink` is."""

    send: Callable[[bytes], None]
    """Write to the caller."""

    def cut(self) -> None:
        """Reset the connection, where no framing tells the caller that the answer is cut."""

    def call_ended(self, *, keep_alive: bool) -> None:
        """Go on to the connection's next call."""

    def pause_caller(self) -> None:
        """Stop reading the caller's body."""

    def resume_caller(self) -> None:
        """Read the caller's body again."""


class Inbound(Protocol):
    """What a request becomes: a call or a health check."""

    @property
    def received_bytes(self) -> int:
        """How much of the request's body has come."""
        ...

    def open(self) -> None: ...
    def body(self, piece: bytes) -> None: ...
    def body_end(self) -> None: ...
    def body_broken(self, error: GatewayError) -> None: ...
    def caller_left(self) -> None: ...
    def caller_paused(self) -> None: ...
    def caller_resumed(self) -> None: ...
    def end_keep_alive(self) -> None: ...


class Flow(Protocol):
    """Whether the caller's connection is read; uvicorn's `FlowControl`."""

    read_paused: bool

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
