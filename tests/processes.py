"""The processes of a running gateway, as the operating system shows them (Linux, `/proc`)."""

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.gateway_process import GatewayProcess

RELAY = "spanmeter_gateway.relay.process"
BOOKS = "spanmeter_gateway.books.main"
WAIT_S = 30.0
STILL_S, STILL_TICKS = 0.5, 3
"""CPU of a relay at rest in so long: it sweeps on, and writes a line for each open call once."""
PAUSE_S = 0.01
_ESTABLISHED = "01"


def wait_until(is_so: Callable[[], object], *, timeout_s: float = WAIT_S) -> None:
    """Wait for something to be so; raises `TimeoutError`."""
    until = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"not so within {timeout_s} s")
        time.sleep(PAUSE_S)


def relays(gateway: GatewayProcess) -> list[int]:
    """List the process ids of the relays that run."""
    return _children(gateway, RELAY)


def books(gateway: GatewayProcess) -> int:
    """Wait until books run, and return their process id."""
    wait_until(lambda: _children(gateway, BOOKS))
    return _children(gateway, BOOKS)[0]


def is_answering(url: str) -> bool:
    """Say whether a health page answers."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that ended and was not waited for does not."""
    return _state(pid) not in {"", "Z"}


def kill(pid: int) -> None:
    """End a process as a crash would, and wait until it has ended."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))


def freeze(pid: int) -> None:
    """Stop a process where it stands, and wait until it stands."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _state(pid) == "T")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Hold a process still for a while; it may be killed meanwhile."""
    freeze(pid)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def connections(pid: int, port: int) -> int:
    """Count the connections that a process has taken on a port of 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == _ESTABLISHED}
    return len(ours & set(_sockets(pid)))


def memory_bytes(pid: int) -> int:
    """Return what a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wait_still(pid: int) -> None:
    """Wait until a process has had next to nothing to do for a while."""
    wait_until(lambda: _ticks_spent(pid, STILL_S) <= STILL_TICKS)


def blocked_signals(pid: int) -> set[int]:
    """List the signals that a process' main thread does not take: proc(5), `SigBlk`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def _children(gateway: GatewayProcess, module: str) -> list[int]:
    return [pid for pid in gateway.child_pids if module in _command(pid) and is_running(pid)]


def _command(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _ticks_spent(pid: int, seconds: float) -> int:
    before = _cpu_ticks(pid)
    time.sleep(seconds)
    return _cpu_ticks(pid) - before


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _state(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _sockets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            kind, _, inode = str(entry.readlink()).partition(":")
            if kind == "socket":
                yield inode.strip("[]")
