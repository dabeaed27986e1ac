"""The relays of one gateway: started, given each new configuration together, and stopped.

A configuration is published in two steps, so that all relays serve by it or none: each opens
everything that it names and says on the board whether it could; only then do all go over to it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spanmeter_gateway.board import Board, Field, Notice
from spanmeter_gateway.children import Child, stop
from spanmeter_gateway.config import Config
from spanmeter_gateway.start import Start, Step

PREPARE_S = 30.0
"""Opening a configuration takes a fraction of a second; a relay that needs so long is stuck."""
ANSWER_POLL_S = 0.02
RELAY_GRACE_S = 5.0
"""What a relay may need after its drain has ended, to write its last receipts."""

log = logging.getLogger("spanmeter")


@dataclass(frozen=True, slots=True)
class Outfit:
    """What every relay is started with."""

    command: Sequence[str]
    environ: Mapping[str, str]
    listener_fd: int
    board: Board
    board_fd: int


class Crew:
    """The relays."""

    def __init__(self, config: Config, outfit: Outfit) -> None:
        self.outfit = outfit
        self.generation = 1
        """Of the configuration in force."""
        self._attempts = 1
        self._config = config
        self._relays: dict[int, Child] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}

    @property
    def relays(self) -> list[Child]:
        """Those that are to serve, not those that drain."""
        return list(self._relays.values())

    def start(self, group: asyncio.TaskGroup, hurry: asyncio.Event) -> None:
        """Start as many relays as the configuration says; they run in the group."""
        self._group, self._hurry = group, hurry
        board = self.outfit.board
        board.tell(Notice.GENERATION, self.generation)
        board.tell(Notice.LAST_RELOAD_OK, 1)
        self._fit()

    def is_serving(self) -> bool:
        """Say whether every relay serves by the configuration in force."""
        return all(self._answer(worker) == self.generation for worker in self._relays)

    async def publish(self, config: Config) -> tuple[str, ...]:
        """Let all relays serve by another configuration; or none, and say why."""
        # Never a number twice: what a relay answered to the last attempt must not count for this.
        self._attempts += 1
        generation = self._attempts
        problem = await self._prepare(config, generation)
        if problem is not None:
            self._tell(Step("drop", generation))
            return (problem,)
        self._config, self.generation = config, generation
        for worker, relay in self._relays.items():
            relay.first_line = self._first_line(worker)
        self._tell(Step("commit", generation))
        self._fit()
        board = self.outfit.board
        board.tell(Notice.GENERATION, generation)
        board.tell(Notice.RELOADS_OK, board.notice(Notice.RELOADS_OK) + 1)
        board.tell(Notice.LAST_RELOAD_OK, 1)
        log.info("the new configuration is in force, generation %d", generation)
        return ()

    def note_refused(self, problems: Sequence[str]) -> None:
        """Log and count a configuration that does not come into force."""
        for problem in problems:
            log.error("the new configuration is refused, the old one stays: %s", problem)
        board = self.outfit.board
        board.tell(Notice.RELOADS_REFUSED, board.notice(Notice.RELOADS_REFUSED) + 1)
        board.tell(Notice.LAST_RELOAD_OK, 0)

    async def stop(self) -> None:
        """Stop all relays, and wait for those that drain already."""
        await stop(self.relays, self._hurry, self._config.drain_s + RELAY_GRACE_S)
        await asyncio.gather(*self._leaving.values())

    async def _prepare(self, config: Config, generation: int) -> str | None:
        """Have every relay open a configuration; the reason if one cannot."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PREPARE_S
        line = Step("prepare", generation, config).to_line()
        told: dict[int, int] = {}
        while True:
            waiting = False
            for worker, relay in self._relays.items():
                # One that does not run now will begin with whatever is in force then.
                if relay.pid is not None and told.get(worker) != relay.pid:
                    told[worker] = relay.pid
                    relay.tell(line)
                answer = self._answer(worker)
                if relay.pid is not None and answer == -generation:
                    return f"{relay.name} cannot use it, its line above says why"
                waiting |= relay.pid is not None and answer != generation
            if not waiting:
                return None
            if loop.time() > until:
                return f"a relay did not answer within {PREPARE_S:g} s"
            await asyncio.sleep(ANSWER_POLL_S)

    def _tell(self, step: Step) -> None:
        line = step.to_line()
        for relay in self._relays.values():
            relay.tell(line)

    def _fit(self) -> None:
        """Have as many relays as the configuration says: start what is missing, drain the rest."""
        for worker in list(self._relays)[self._config.workers :]:
            relay = self._relays.pop(worker)
            self._leaving[worker] = self._group.create_task(self._drain(worker, relay))
        board = self.outfit.board
        free = (one for one in range(board.capacity) if not self._is_in_use(one))
        while len(self._relays) < self._config.workers:
            worker = next(free)
            board.use(worker)
            self._relays[worker] = self._relay(worker)
            self._group.create_task(self._relays[worker].keep_alive())

    def _is_in_use(self, worker: int) -> bool:
        return worker in self._relays or worker in self._leaving

    async def _drain(self, worker: int, relay: Child) -> None:
        await stop([relay], self._hurry, self._config.drain_s + RELAY_GRACE_S)
        del self._leaving[worker]

    def _relay(self, worker: int) -> Child:
        outfit = self.outfit
        return Child(
            name=f"relay {worker}",
            argv=outfit.command,
            first_line=self._first_line(worker),
            fds=(outfit.listener_fd, outfit.board_fd),
            environ=outfit.environ,
            on_end=lambda: outfit.board.clear_live(worker),
        )

    def _first_line(self, worker: int) -> bytes:
        return Start(
            self._config, worker, self.outfit.listener_fd, self.outfit.board_fd, self.generation
        ).to_line()

    def _answer(self, worker: int) -> int:
        return self.outfit.board.column(worker).get(Field.CONFIG_ANSWER)
