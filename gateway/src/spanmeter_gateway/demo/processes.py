"""Children of the demonstration: started in order, waited for, ended however we end."""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from spanmeter_gateway.errors import StartError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


@contextmanager
def child(
    argv: Sequence[str],
    first_line: bytes = b"",
    *,
    fds: Sequence[int] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that ends when its standard input does, and end it."""
    # Its own process group: Ctrl-C reaches us alone, and we end the parts in order. Its standard
    # input ends with us, however we end.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, pass_fds=fds, process_group=0, env=environ
    ) as process:
        assert process.stdin is not None
        process.stdin.write(first_line)
        process.stdin.flush()
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until an address answers; raises `StartError`, at once if the process has ended."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise StartError(f"the demonstration did not come up: no answer at {url}")


def free_port(wanted: int) -> int:
    """Take this port of 127.0.0.1, or any other that is free."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise StartError("no port of 127.0.0.1 is free")
