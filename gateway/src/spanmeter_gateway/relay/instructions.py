"""What the supervisor says after the start: the next configuration, in two steps, and its own end.

Heard on a thread: opening a configuration reads files and certificates, for which no stream waits.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from spanmeter_gateway.board import Column, Field
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.relay.opening import Opened, open_configuration
from spanmeter_gateway.start import Readable, Step

log = logging.getLogger("spanmeter.relay")


class Instructions:
    """Opens what is to be prepared, answers on the board, and calls back on the event loop.

    `commit` is given the configuration to serve from now on; `end` is called at the pipe's end.
    """

    def __init__(
        self,
        lines: Readable,
        opened: Opened,
        column: Column,
        *,
        commit: Callable[[Opened], None],
        end: Callable[[], None],
    ) -> None:
        self._lines = lines
        self._opened = opened
        self._column = column
        self._commit = commit
        self._end = end
        self._next: Opened | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Say on the board what is served, and listen; call it once the relay serves."""
        self._column.set(Field.CONFIG_ANSWER, self._opened.generation)
        # Not waited for at the end: it may be reading, and only the supervisor could end that.
        threading.Thread(target=self._run, name="instructions", daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):  # standard input is closed: started by hand, without a supervisor
            while line := self._lines.readline():
                self._follow(Step.read(line))
        with suppress(RuntimeError):  # the loop is closed: we end anyway
            self._loop.call_soon_threadsafe(self._end)

    def _follow(self, step: Step) -> None:
        if step.do == "prepare":
            answer = step.generation if self._prepare(step) else -step.generation
            self._column.set(Field.CONFIG_ANSWER, answer)
        elif step.do == "drop":
            self._next = None
            self._column.set(Field.CONFIG_ANSWER, self._opened.generation)
        elif self._next is not None and self._next.generation == step.generation:
            self._opened, self._next = self._next, None
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._commit, self._opened)

    def _prepare(self, step: Step) -> bool:
        assert step.config is not None
        self._next = None
        try:
            self._next = open_configuration(step.config, step.generation, self._opened)
        except StartError as error:
            log.error("cannot use the new configuration: %s", error)
            return False
        return True
