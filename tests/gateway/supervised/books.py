"""Stands for the books: ends when told."""

import os
import signal
import sys
import threading

from spanmeter_gateway.start import Start

start = Start.read(sys.stdin.buffer)
stop = threading.Event()


def note(text: str) -> None:
    """Tell the test."""
    with (start.config.data_dir / "events").open("a") as events:
        events.write(f"books 0 {text} {os.getpid()}\n")


def watch() -> None:
    """End with the supervisor."""
    sys.stdin.buffer.read()
    stop.set()


def obey() -> None:
    """End when told; on a thread, because a handler could interrupt the wait and hang on it."""
    signal.sigwait({signal.SIGTERM})
    stop.set()


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
for told in (watch, obey):
    threading.Thread(target=told, daemon=True).start()
note("up")
stop.wait()
note("down")
os._exit(0)
