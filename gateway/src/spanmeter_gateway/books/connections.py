"""Connections to the books' port: few, short of patience, and never a burden on the entry.

h11 bounds a request's head to 64 KiB. A reader who is slow or silent is cut off, because what
waits for it is a whole page of metrics, and each connection is a file that the spool may need.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
"""Scrapers keep one or two each, and are few."""
PATIENCE_S = 30.0
"""To send a request, or to take an answer. Prometheus' own patience with a target is 10 s
(scrape_timeout)."""


class BooksProtocol(H11Protocol):
    """uvicorn's protocol with a bound on connections, and on the time of each request."""

    _patience: asyncio.TimerHandle | None = None
    _cycle_seen: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._patience = self.loop.call_later(PATIENCE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Cut a connection off on which nothing was finished since the last look.

        Between two requests uvicorn closes it by itself, sooner.
        """
        if self.cycle is self._cycle_seen:
            self.transport.abort()
            return
        self._cycle_seen = self.cycle
        self._patience = self.loop.call_later(PATIENCE_S, self._look)
