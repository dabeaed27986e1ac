"""What stands between one odd receipt and the books, which it must not stop for good."""

import logging
from types import TracebackType

_log = logging.getLogger(__name__)


class Guard:
    """`with Guard("billed"):` lets a fault pass, logs its kind and counts it.

    The text of the fault is not logged: it may quote what a caller sent.
    """

    def __init__(self, done: str) -> None:
        self._done = done
        self.faults = 0

    def __enter__(self) -> None:
        """Begin with one receipt, or with those of a segment."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.faults += 1
        _log.error("a receipt could not be %s: %s", self._done, type(error).__name__)
        return True
