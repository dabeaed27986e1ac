"""What keeps a gateway's processes to themselves: files, core dumps, and what a crash may say.

An exception's text may quote whatever it was raised over, so it is not logged: its type and the
places it came through are enough to find it, and those are ours.
"""

import logging
import os
import resource
import sys
import threading
from types import TracebackType

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Of the supervisor and its children alike: their lines stand in one log."""


def begin_process(level: int) -> None:
    """Keep to itself what this process and its children write, and log to standard error."""
    os.umask(0o077)
    # A core dump holds every key, and every body that is under way.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    logging.basicConfig(level=level, format=LOG_FORMAT)
    for each in logging.getLogger().handlers:
        each.setFormatter(_Discreet(LOG_FORMAT))
    sys.excepthook = _log_crash
    threading.excepthook = _log_lost
    sys.unraisablehook = _log_lost


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _Discreet(logging.Formatter):
    """Writes of an exception, and of what caused it, the type and the places."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """Write the places, the last call at the end, as Python does."""
        return places(ei[1])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Write the message; asyncio's goes on with what it was working on, bodies among it."""
        if record.name == "asyncio":
            record.message = record.message.partition("\n")[0]
        return super().formatMessage(record)


def places(error: BaseException | None) -> str:
    """Write where an exception came from, without its text."""
    lines = []
    while error is not None:
        lines.append("Traceback (most recent call last):")
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}')
            trace = trace.tb_next
        lines.append(type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("spanmeter").critical("crashed", exc_info=(kind, error, trace))


def _log_lost(crash: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
    if crash.exc_value is not None:
        _log_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)
