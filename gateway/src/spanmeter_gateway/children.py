"""One child process of the supervisor, kept alive: started, told what to do, started again.

Knows processes and pipes; knows nothing of what the children do.
"""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

FIRST_DELAY_S = 0.1
"""A crash is answered at once; only one that repeats is answered slowly."""
LONGEST_DELAY_S = 30.0
HURRY_S = 3.0
"""What a child gets after it was told a second time."""
STEADY_S = 10.0
"""A child that lived this long had started well: the next delay is the first one again."""
NOT_IN_TIME = "%s did not end in time and was killed"

log = logging.getLogger("spanmeter")


@dataclass(slots=True)
class Child:
    """One child: what to run, and what it reads first on its standard input.

    `first_line` may be changed while a child runs: it is for the next one.
    """

    name: str
    argv: Sequence[str]
    first_line: bytes
    fds: Sequence[int] = ()
    """Inherited."""
    environ: Mapping[str, str] | None = None
    """`None`: as ours."""
    on_end: Callable[[], None] = lambda: None
    """Called after every end, before another is started."""
    ended_early: int = 0
    """Ends in a row of children that had not lived for `STEADY_S`."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last process has ended and no other will be started."""
    has_begun: bool = False
    """It is, or was, kept alive."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no other is to be started."""
    _process: asyncio.subprocess.Process | None = None
    _is_renewed: bool = False
    """The process that runs was asked to make room for the next."""
    _told: signal.Signals | None = None
    """What a process that is just being started has missed."""

    @property
    def pid(self) -> int | None:
        """The process id of the child that runs now."""
        return self._process.pid if self._process else None

    async def keep_alive(self) -> None:
        """Run the child, and another when it ends, until `stopping` is set."""
        self.has_begun = True
        clock, stopping = asyncio.get_running_loop().time, self.stopping
        try:
            while not stopping.is_set():
                started = clock()
                status = await self._run()
                if stopping.is_set():
                    return
                if self._is_renewed:
                    self._is_renewed, self.ended_early = False, 0
                    continue
                self.ended_early = 0 if clock() - started > STEADY_S else self.ended_early + 1
                delay_s = min(FIRST_DELAY_S * 2 ** (self.ended_early - 1), LONGEST_DELAY_S)
                log.warning("%s ended: %s; the next starts in %.1f s", self.name, status, delay_s)
                await _either(stopping, delay_s)
        finally:
            self.ended.set()

    async def _run(self) -> str:
        # Its own process group: Ctrl-C in a terminal reaches the supervisor alone, which then
        # stops its children in order.
        process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=subprocess.PIPE,
            pass_fds=self.fds,
            env=self.environ,
            process_group=0,
        )
        self._process = process
        assert process.stdin is not None
        process.stdin.write(self.first_line)
        if self._told is not None:
            self.send(self._told)
        code = await process.wait()
        self._process = None
        process.stdin.close()
        self.on_end()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def tell(self, line: bytes) -> None:
        """Write one more line to the child that runs; none is kept for the next."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line)

    def renew(self, patience_s: float) -> None:
        """Let the child that runs end, and start the next with the first line as it is then.

        One that has not ended after `patience_s` is made to.
        """
        process = self._process
        if process is not None:
            self._is_renewed = True
            _send(process, signal.SIGTERM)
            asyncio.get_running_loop().call_later(patience_s, self._kill, process)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        if self._process is process:
            log.warning(NOT_IN_TIME, self.name)
            _send(process, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child that runs, or to the one that is being started."""
        self._told = number
        if self._process is not None:
            _send(self._process, number)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # Not by its own method, which first waits for an end without a pause: it would take the exit
    # status of a child that ends just now, and asyncio would never learn it.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


async def _all_ended(children: Sequence[Child]) -> None:
    for child in children:
        await child.ended.wait()


async def _hurried(hurry: asyncio.Event) -> None:
    await hurry.wait()


async def stop(children: Sequence[Child], hurry: asyncio.Event, patience_s: float) -> None:
    """Ask children to end; after `patience_s`, or soon after `hurry`, make them.

    `hurry` sends the request once more, which a child may take as "now", and then waits no more
    than `HURRY_S`.
    """
    for child in children:
        child.stopping.set()
        child.send(signal.SIGTERM)
    all_ended = asyncio.create_task(_all_ended(children))
    hurried = asyncio.create_task(_hurried(hurry))
    await asyncio.wait(
        {all_ended, hurried}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
    )
    hurried.cancel()
    if hurry.is_set() and not all_ended.done():
        for child in children:
            child.send(signal.SIGTERM)
        await asyncio.wait({all_ended}, timeout=HURRY_S)
    for child in children:
        if not child.ended.is_set():
            log.warning(NOT_IN_TIME, child.name)
            child.send(signal.SIGKILL)
    await all_ended
