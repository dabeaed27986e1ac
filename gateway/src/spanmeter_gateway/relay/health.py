"""`/healthz` and `/readyz` on the relay port: answered here, counted nowhere."""

from spanmeter_gateway.errors import GatewayError
from spanmeter_gateway.relay.caller import Caller
from spanmeter_gateway.relay.refusal import error_body, plain_answer


class HealthCheck:
    """One question of a load balancer. Ready never depends on books."""

    __slots__ = ("_front", "_is_ready", "_keep_alive", "received_bytes")

    def __init__(self, front: Caller, *, is_ready: bool, keep_alive: bool) -> None:
        self.received_bytes = 0
        self._front = front
        self._is_ready = is_ready
        self._keep_alive = keep_alive

    def open(self) -> None:
        """Wait for the request's end."""

    def body(self, piece: bytes) -> None:
        """Ignore a body."""
        self.received_bytes += len(piece)

    def body_end(self) -> None:
        """Answer."""
        status, body = (
            (200, b'{"status":"ok"}') if self._is_ready else (503, b'{"status":"draining"}')
        )
        self._front.send(plain_answer(status, body, keep_alive=self._keep_alive))
        self._front.call_ended(keep_alive=self._keep_alive)

    def body_broken(self, error: GatewayError) -> None:
        """Answer what is wrong, and close."""
        answer = plain_answer(error.status, error_body(error, "openai"), keep_alive=False)
        self._front.send(answer)
        self._front.call_ended(keep_alive=False)

    def caller_left(self) -> None:
        """Nothing is under way."""

    def caller_paused(self) -> None:
        """The answer is short."""

    def caller_resumed(self) -> None:
        """The answer is short."""

    def end_keep_alive(self) -> None:
        """Close after this answer."""
        self._keep_alive = False
