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


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threading.Thread(target=watch, daemon=True).start()
note("up")
stop.wait()
note("down")
os._exit(0)
