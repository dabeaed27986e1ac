"""A receiver of Alertmanager's notifications on loopback, which keeps what it is sent."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.processes import wait_until


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: the path it was posted to, and its payload as Alertmanager wrote it."""

    path: str
    payload: dict[str, Any]

    @property
    def status(self) -> str:
        """`firing` or `resolved`, of the group."""
        return str(self.payload["status"])

    @property
    def labels(self) -> dict[str, str]:
        """What all alerts of the message have in common."""
        return dict(self.payload["commonLabels"])


class Webhook:
    """`with Webhook() as webhook:` listens in a thread of its own; `received` is in order."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        received = self.received

        class _Listener(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append(Notification(self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Listener)
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def select(self, **labels: str) -> list[Notification]:
        """List the messages whose alerts all carry these labels."""
        return [each for each in self.received if labels.items() <= each.labels.items()]

    def wait(self, status: str, *, timeout_s: float = 60, **labels: str) -> Notification:
        """Wait for a message with this status and these labels; return the first."""

        def found() -> list[Notification]:
            return [each for each in self.select(**labels) if each.status == status]

        try:
            wait_until(found, timeout_s=timeout_s)
        except TimeoutError as error:
            seen = [(each.path, each.status, each.labels) for each in self.received]
            raise TimeoutError(f"no {status} message of {labels}, but {seen}") from error
        return found()[0]
