"""`/healthz` and `/readyz` on the relay port: answered here, counted nowhere."""

from spanmeter_gateway.relay.caller import Caller
from spanmeter_gateway.relay.refusal import plain_answer


class HealthCheck:
    """One question of a load balancer. Ready never depends on books."""

    __slots__ = ("_front", "_is_ready", "_keep_alive")

    def __init__(self, front: Caller, *, is_ready: bool, keep_alive: bool) -> None:
        self._front = front
        self._is_ready = is_ready
        self._keep_alive = keep_alive

    def open(self) -> None:
        """Wait for the request's end."""

    def body(self, piece: bytes) -> None:
        """Ignore a body."""

    def body_end(self) -> None:
        """Answer."""
        status, body = (
            (200, b'{"status":"ok"}') if self._is_ready else (503, b'{"status":"draining"}')
        )
        self._front.send(plain_answer(status, body, keep_alive=self._keep_alive))
        self._front.call_ended(keep_alive=self._keep_alive)

    def caller_left(self) -> None:
        """Nothing is under way."""

    def caller_paused(self) -> None:
        """The answer is short."""

    def caller_resumed(self) -> None:
        """The answer is short."""

    def end_keep_alive(self) -> None:
        """Close after this answer."""
        self._keep_alive = False
