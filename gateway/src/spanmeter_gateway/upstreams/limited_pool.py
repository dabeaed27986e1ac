"""A pool with a limit: over it calls wait in order, as long as they may take to connect."""

import asyncio
from contextlib import ExitStack

from spanmeter_gateway.upstreams.connection import UpstreamConnection
from spanmeter_gateway.upstreams.pool import ConnectFailed, Pool
from spanmeter_gateway.upstreams.way import Way

_Turn = asyncio.Future[UpstreamConnection | None]
"""Brings a free connection, or the right to open one: `None`."""


class LimitedPool(Pool):
    """At most `max_connections` connections, those that are being made among them.

    A class of its own, so that a pool without a limit counts nothing.
    """

    def __init__(self, way: Way, *, max_connections: int) -> None:
        super().__init__(way)
        self._room = max_connections
        self._waiting: dict[_Turn, None] = {}
        """In order of arrival; a dictionary, because those who give up leave from the middle."""

    async def connect(self, *, fresh: bool = False) -> UpstreamConnection:
        """Open a connection, or wait until one is free; raises `ConnectFailed`."""
        handed = await self._admit()
        if handed is not None and not fresh and not handed.is_closed:
            return handed
        if handed is not None:
            self._room -= 1  # below zero until `connection_lost`, if it is still open
            handed.close()
        with ExitStack() as undo:
            undo.callback(self._leave_room)
            connection = await super().connect()
            undo.pop_all()
        return connection

    async def _admit(self) -> UpstreamConnection | None:
        if self._room > 0:
            self._room -= 1
            return None
        idle = self.take()
        if idle is not None:
            return idle
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            return await asyncio.wait_for(turn, self._way.connect_s)
        except TimeoutError as late:
            raise ConnectFailed("connections_exhausted") from late
        finally:
            self._waiting.pop(turn, None)

    def _call_next(self, connection: UpstreamConnection | None) -> bool:
        while self._waiting:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _give_back(self, connection: UpstreamConnection) -> None:
        if not self._call_next(connection):
            super()._give_back(connection)

    def _drop(self, connection: UpstreamConnection) -> None:
        super()._drop(connection)
        self._leave_room()

    def _leave_room(self) -> None:
        if self._room < 0 or not self._call_next(None):
            self._room += 1
