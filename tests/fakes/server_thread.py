"""An asyncio server with a loop and a thread of its own: what pretend peers run on."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ServerThread:
    """Takes connections of 127.0.0.1 from `start` to `stop`."""

    def __init__(self, talk: Talk, *, name: str, tls: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._tls = tls
        self._faults: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, fault: self._faults.append(fault))
        self._thread = threading.Thread(target=self._loop.run_forever, name=name)

    def start(self, *, port: int = 0, limit_bytes: int = 1 << 16) -> int:
        """Begin to listen; returns the port. `limit_bytes` bounds what is read at once."""
        self._thread.start()
        starting = self._start(port, limit_bytes)
        return asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)

    def stop(self) -> None:
        """Break every connection and end; fails if the server itself did."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        assert not self._faults, f"the fake itself failed: {self._faults}"

    async def _start(self, port: int, limit_bytes: int) -> int:
        self._server = await asyncio.start_server(
            self._talk, "127.0.0.1", port, ssl=self._tls, limit=limit_bytes
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
