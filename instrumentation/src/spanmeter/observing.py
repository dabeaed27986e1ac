"""What stands between the hooks of HTTP libraries and whoever wants to know of their requests.

A hook asks its `Observer` what to add to a request, and tells a metered call what becomes of it.
Nothing that fails here or behind it reaches the application's call.
"""

import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeVar

from spanmeter.propagation import Propagation

Result = TypeVar("Result")

_logger = logging.getLogger("spanmeter")
_reported: set[str] = set()


class Call(Protocol):
    """One call that is metered. Its methods are called one after the other, by any thread."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the answer's head; not called when none came. Names are in lower case."""

    def received(self, data: bytes) -> None:
        """Take a piece of the body as on the wire, perhaps content-encoded, in order."""

    def ended(self, error: BaseException | None, *, is_whole: bool) -> None:
        """Take the end, exactly once: whole, or failed with an error, or closed by its reader.

        A reader may close a stream behind its last event and before its last byte.
        """


class Meter(Protocol):
    """Meters the calls that do not go through a gateway."""

    def begin(
        self, *, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Call | None:
        """Begin a call; `None` when the request is none, or is not to be metered.

        Names of headers are in lower case. `body` is `None` when it is streamed.
        """


class Observer:
    """What the hooks of one library ask. What it says may change while requests run."""

    def __init__(self) -> None:
        self.propagation = Propagation()
        self.meter: Meter | None = None
        self.holds_baggage = False
        """Whether OpenTelemetry's baggage is kept from all but `propagation.services`."""

    def forget(self) -> None:
        """Add nothing and meter nothing any more."""
        self.propagation, self.meter, self.holds_baggage = Propagation(), None, False


class MeteredCall:
    """A call whose meter may fail: then the metering ends, and the call goes on.

    As a context manager it takes what is raised in the block as the call's end.
    """

    def __init__(self, call: Call) -> None:
        self._call: Call | None = call

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """As `Call.answered`."""
        self._tell(lambda call: call.answered(status, headers))

    def received(self, data: bytes) -> None:
        """As `Call.received`."""
        self._tell(lambda call: call.received(data))

    def ended(self, error: BaseException | None = None, *, is_whole: bool = False) -> None:
        """As `Call.ended`; only the first time counts."""
        self._tell(lambda call: call.ended(error, is_whole=is_whole))
        self._call = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, GeneratorExit):  # the reader of a stream went away
            self.ended()
        elif error is not None:
            self.ended(error)

    def _tell(self, report: Callable[[Call], None]) -> None:
        if (call := self._call) is None:
            return

        def tell() -> bool:
            report(call)
            return True

        if not guarded(tell):
            self._call = None


def guarded(ask: Callable[[], Result]) -> Result | None:
    """Return what a function of ours returns; `None` when it fails, which is logged once."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a fault of ours is never the application's
        _report(error)
        return None


def _report(error: BaseException) -> None:
    # Not the error's text: a prompt or a key may stand in it.
    trace: Any = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    if place not in _reported:
        _reported.add(place)
        _logger.warning(
            "%s in %s: a call went on without what spanmeter adds or meters; this is logged once",
            type(error).__name__,
            place,
        )
