"""Stands for a relay: takes its place on the board, answers 200 on the socket, ends when told."""

import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.start import Start

start = Start.read(sys.stdin.buffer)
folder = start.config.data_dir
stop = threading.Event()


def note(text: str) -> None:
    """Tell the test."""
    with (folder / "events").open("a") as events:
        events.write(f"relay {start.worker} {text} {os.getpid()}\n")


class Ready(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        """Answer 200."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def told(*_: object) -> None:
    """Take note of SIGTERM; a stubborn relay does no more."""
    note("told")
    if not (folder / "stubborn").exists():
        stop.set()


def watch() -> None:
    """End with the supervisor."""
    sys.stdin.buffer.read()
    stop.set()


signal.signal(signal.SIGTERM, told)
column = Board.open(folder / "board").column(start.worker)
column.add(Field.CALLS_IN_FLIGHT)
column.add(Field.RECEIPTS_DROPPED_SPOOL_FULL)
assert start.fd is not None
server = ThreadingHTTPServer(("", 0), Ready, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=start.fd)
threading.Thread(target=watch, daemon=True).start()
threading.Thread(target=server.serve_forever, daemon=True).start()
note("up")
stop.wait()
note("down")
os._exit(0)
