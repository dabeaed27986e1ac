"""What all calls of one relay process share: endpoints, rules, the spool, the board, the sweep."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import msgspec

from spanmeter_gateway.board import Column, Field
from spanmeter_gateway.errors import GatewayError
from spanmeter_gateway.receipt import OpenCall, Receipt
from spanmeter_gateway.relay.admission import Admission
from spanmeter_gateway.relay.endpoint import Endpoint
from spanmeter_gateway.relay.journey import Rules
from spanmeter_gateway.relay.refusal import body_too_large, too_many_bodies
from spanmeter_gateway.relay.trace import Sampler

SWEEP_S = 0.25
"""How often deadlines are looked at: one pass over the open calls is cheaper than a timer for each
piece of each stream, and no time-out needs to be finer."""
SMALL_BODY_BYTES = 1_000_000
KEPT_FOR_SMALL = 8
"""One part in so many of the memory for bodies is only for small ones: a crowd of large bodies does
not turn calls of the usual size away."""
OPEN_AFTER_S = 0.25
"""A call older than a flush leaves an `open` line."""

log = logging.getLogger("spanmeter.relay")


class Sweepable(Protocol):
    """A call under way, as the sweep sees it."""

    opened_s: float
    is_noted_open: bool
    """Its `open` line says all that is known by now."""
    has_left_open: bool
    """It has left an `open` line."""

    def look_at_clock(self, now_s: float) -> None:
        """End the call if a deadline has passed."""

    def as_open(self) -> OpenCall | None:
        """Write the call's `open` line, or `None` while there is nothing to say."""

    def abandon(self) -> None:
        """End the call because the relay stops."""


class Spool(Protocol):
    """Where receipts go."""

    def put(self, line: bytes, *, ends_open: bool = False) -> None:
        """Take one line without its line end; never waits. `ends_open`: see `SpoolWriter.put`."""


class Limits(Protocol):
    """What one relay worker accepts; see `config.Limits`."""

    @property
    def body_bytes(self) -> int: ...
    @property
    def held_body_bytes(self) -> int: ...
    @property
    def header_bytes(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def connections_per_address(self) -> int | None: ...
    @property
    def head_s(self) -> float: ...
    @property
    def body_s(self) -> float: ...


class Relay:
    """One relay process."""

    def __init__(
        self,
        *,
        endpoints: Mapping[str, Endpoint],
        rules: Rules,
        sampler: Sampler,
        spool: Spool,
        column: Column,
        limits: Limits,
        listen: tuple[str, int],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.endpoints = endpoints
        self.rules = rules
        self.sampler = sampler
        self.limits = limits
        self.listen = listen
        self.is_draining = False
        self.idle_drain_s = 0.0
        """How long an idle caller may still send a request while the relay drains."""
        self.calls: set[Sweepable] = set()
        self.connections: set[Quiet] = set()
        self.admission = Admission(column)
        self._spool = spool
        self._column = column
        self._encode = msgspec.json.Encoder().encode
        self._held_bytes = 0

    @property
    def is_full(self) -> bool:
        """There are more callers' connections than the configuration allows."""
        return len(self.connections) > self.limits.max_connections

    def reconfigure(
        self, *, endpoints: Mapping[str, Endpoint], rules: Rules, limits: Limits
    ) -> None:
        """Serve what begins from now on by another configuration; calls under way keep theirs."""
        kept = {id(endpoint.pool) for endpoint in endpoints.values()}
        for endpoint in self.endpoints.values():
            if id(endpoint.pool) not in kept:
                endpoint.pool.close()
        self.endpoints, self.rules, self.limits = endpoints, rules, limits

    def begin(self, call: Sweepable) -> None:
        """Know of a call from now on."""
        self.calls.add(call)

    def end(self, call: Sweepable, receipt: Receipt) -> None:
        """Forget a call and keep its receipt: the one place where a call ends."""
        self.calls.discard(call)
        self._spool.put(self._encode(receipt), ends_open=call.has_left_open)

    def judge_length(self, declared_bytes: int) -> GatewayError | None:
        """Refuse a body at its head rather than in its middle, where its length says enough."""
        if declared_bytes > self.limits.body_bytes:
            return body_too_large(self.limits.body_bytes)
        has_room = self._has_room(declared_bytes, of_bytes=declared_bytes)
        return None if has_room else too_many_bodies()

    def hold_piece(self, more_bytes: int, *, of_bytes: int) -> GatewayError | None:
        """Hold a piece of a body that then has `of_bytes`, or say why not."""
        if of_bytes > self.limits.body_bytes:
            return body_too_large(self.limits.body_bytes)
        return None if self.hold(more_bytes, of_bytes=of_bytes) else too_many_bodies()

    def _has_room(self, more_bytes: int, *, of_bytes: int) -> bool:
        limit = self.limits.held_body_bytes
        if of_bytes > SMALL_BODY_BYTES:
            limit -= limit // KEPT_FOR_SMALL
        return self._held_bytes + more_bytes <= limit

    def hold(self, more_bytes: int, *, of_bytes: int = 0) -> bool:
        """Hold more of a body that then has `of_bytes`; false when too much is held already."""
        if not self._has_room(more_bytes, of_bytes=of_bytes):
            return False
        self._held_bytes += more_bytes
        return True

    def release(self, body_bytes: int) -> None:
        """Give reserved memory back."""
        self._held_bytes -= body_bytes

    def sweep(self) -> None:
        """Look at every deadline once, and leave `open` lines for calls that outlived a flush."""
        now_s = self.loop.time()
        self._column.set(Field.CALLS_IN_FLIGHT, len(self.calls))
        self._column.set(Field.CONNECTIONS, len(self.connections))
        self._column.set(Field.BODY_BYTES_HELD, self._held_bytes)
        for call in list(self.calls):
            call.look_at_clock(now_s)
            if not call.is_noted_open and now_s - call.opened_s > OPEN_AFTER_S:
                line = call.as_open()
                if line is not None:
                    call.is_noted_open = call.has_left_open = True
                    self._spool.put(self._encode(line))
        for connection in list(self.connections):
            connection.look_at_clock(now_s)
        self.admission.report(now_s)
        for endpoint in self.endpoints.values():
            endpoint.pool.sweep(now_s)

    async def sweep_forever(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def close(self) -> None:
        """End what is still open, and every idle connection."""
        for call in list(self.calls):
            call.abandon()
        for endpoint in self.endpoints.values():
            endpoint.pool.close()


class Quiet(Protocol):
    """A caller's connection, as the sweep sees it."""

    def look_at_clock(self, now_s: float) -> None:
        """Close the connection if it was quiet for too long."""
