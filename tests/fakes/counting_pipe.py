"""A door before a server that counts the bytes which clients send through it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class CountingPipe:
    """How many bytes came from clients, and where they connect to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent_bytes = 0


@contextmanager
def counting_pipe(port: int) -> Iterator[CountingPipe]:
    """Pass connections on to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe = CountingPipe(listener.getsockname()[1])

        def count(size: int) -> None:
            pipe.sent_bytes += size

        def serve() -> None:
            with suppress(OSError):  # the listener is closed at the end
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    _start(_pump, client, server, count)
                    _start(_pump, server, client, lambda _size: None)

        _start(serve)
        yield pipe
        listener.shutdown(socket.SHUT_RDWR)


def _start(run: Callable[..., None], *args: object) -> None:
    threading.Thread(target=run, args=args, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, count: Callable[[int], None]) -> None:
    with suppress(OSError), source, sink:
        while data := source.recv(65536):
            count(len(data))
            sink.sendall(data)
