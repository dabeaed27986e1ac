"""Processes of a benchmark: pinned to a core, known by their tree, ended whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CANDIDATE_CPU = 0
RIG_CPU = 1
"""Mock upstream and load share it, so that the candidate has the other to itself."""

STOP_S = 10.0

AHEAD = -15
"""A niceness with which the scheduler leaves neighbours a few hundredths of a core."""


@contextmanager
def going_ahead() -> Iterator[None]:
    """Go before other processes of the machine, with everything that is started in this block.

    Where Linux groups processes by session, a niceness counts only within its group, and the
    group has one of its own (sched(7), the autogroup feature).
    """
    autogroup = Path("/proc/self/autogroup")
    has_groups = autogroup.exists()
    os.setpriority(os.PRIO_PROCESS, 0, AHEAD)
    if has_groups:
        autogroup.write_text(str(AHEAD))
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        if has_groups:
            autogroup.write_text("0")


class Failed(Exception):
    """A process did not do what it was started for."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path
    begun_at: float = 0.0
    """On the monotonic clock."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Name the process and everything that it started."""
        return tuple(tree(self.process.pid))

    @property
    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def complain(self, why: str) -> Failed:
        """Say what went wrong, with the end of the process's own output."""
        output = self.log.read_text(errors="replace")[-2000:]
        return Failed(f"{why} (exit status {self.process.poll()}); its output:\n{output}")


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def cpu_seconds(pids: Sequence[int]) -> float:
    """Add up the CPU time of processes: fields 14 and 15 of proc(5) stat."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pids: Sequence[int]) -> int:
    """Add up the resident memory of processes."""
    lines = [
        line
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return sum(int(line.split()[1]) * 1024 for line in lines)


@contextmanager
def running(
    command: Sequence[str],
    *,
    cpu: int | str,
    log: Path,
    pass_fds: Sequence[int] = (),
    environ: dict[str, str] | None = None,
    stdout: int | None = None,
    folder: Path | None = None,
) -> Iterator[Started]:
    """Run a command on one core; it ends with this block, or with us if we are killed.

    `cpu` may be a list as taskset(1) takes it; `folder` is the command's own, where it matters.
    """
    pinned = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cpu), *command]
    begun_at = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned,
            stdin=subprocess.PIPE,
            stdout=output if stdout is None else stdout,
            stderr=output,
            pass_fds=tuple(pass_fds),
            env=environ,
            cwd=folder,
            process_group=0,
        )
    try:
        yield Started(process, log, begun_at)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], patience_s: float = STOP_S) -> None:
    """End a process and what it started."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        print(f"bench: process {process.pid} did not stop, killing it", file=sys.stderr)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
