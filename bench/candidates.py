"""What is compared: a running gateway and its doors."""

import http.client
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench.processes import Started
from bench.rig import Door
from bench.spool import SpoolFolder

START_LIMIT_S = 20.0
LOOK_S = 0.005
"""Between two looks at whether a candidate answers: the grain of its cold start."""
_PROBE = '{"model":"%s","messages":[{"role":"user","content":"Are you up?"}]}'


@dataclass(frozen=True, slots=True)
class Candidate:
    """A gateway that runs. A door that it does not have is `None`."""

    name: str
    started: Started | None
    """`None`: not a gateway, but the mock upstream itself."""
    calls: Door
    streams: Door | None = None
    secured: Door | None = None
    spool: SpoolFolder | None = None
    cold_start_s: float | None = None
    """From the start of its process to the first answer."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Name its processes."""
        return self.started.pids if self.started is not None else ()

    def require_spool(self) -> SpoolFolder:
        """Narrow the spool to one that is there."""
        if self.spool is None:
            raise LookupError(f"{self.name} writes no receipts")
        return self.spool

    def require(self, door: Door | None) -> Door:
        """Narrow a door to one that is there."""
        if door is None:
            raise LookupError(f"{self.name} does not take this kind of call")
        return door


def free_ports(count: int) -> list[int]:
    """Find loopback ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def await_answers(candidate: Candidate, started: Started, limit_s: float = START_LIMIT_S) -> float:
    """Wait until every door of a candidate answers with 200; give the first one's seconds."""
    until, cold_start_s = time.monotonic() + limit_s, 0.0
    for door in filter(None, (candidate.calls, candidate.streams, candidate.secured)):
        while (answer := _probe(door)) != "200":
            if time.monotonic() > until or not started.is_alive:
                raise started.complain(f"{candidate.name} answers {answer}")
            time.sleep(LOOK_S)
        cold_start_s = cold_start_s or time.monotonic() - started.begun_at
    return cold_start_s


def _probe(door: Door) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=START_LIMIT_S)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {door.key}"}
    headers.update((name, value) for name, _, value in (x.partition(": ") for x in door.headers))
    try:
        connection.request("POST", door.path, _PROBE % door.model, headers)
        return str(connection.getresponse().status)
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()
