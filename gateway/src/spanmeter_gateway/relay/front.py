"""The relay's place in uvicorn: its HTTP protocol with the parser and the ASGI cycle taken out.

uvicorn keeps what it is good at: TLS, signals and the order of a graceful stop. What the caller
sends goes to a `CallerConnection`, which is compiled; this class cannot be, as it is uvicorn's.
Pinned to a uvicorn release line, because it leans on attributes of `HttpToolsProtocol`.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanmeter_gateway.relay.caller_connection import CallerConnection


class RelayProtocol(HttpToolsProtocol):
    """One caller's connection, as event loop and uvicorn see it."""

    connection_type = CallerConnection

    def connection_made(self, transport: Any) -> None:
        """Begin; uvicorn counts the connection."""
        super().connection_made(transport)
        del self.parser  # uvicorn's own: it would keep this object alive
        self.connection = self.connection_type(
            self.config.loaded_app,
            transport,
            flow=self.flow,
            address=self.client[0] if self.client is not None else "",
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call that the caller left."""
        self.connections.discard(self)
        self.connection.connection_lost()

    def data_received(self, data: bytes) -> None:
        """Parse what the caller sent."""
        self.connection.data_received(data)

    def pause_writing(self) -> None:
        """Hold the answer back: the caller's connection is full."""
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        self.connection.resume_writing()

    def shutdown(self) -> None:
        """Stop gracefully: the answer under way may end, or one more request may be answered."""
        self.connection.shutdown()
