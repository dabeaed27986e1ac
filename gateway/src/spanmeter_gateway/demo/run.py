"""`spanmeter demo`: pretend provider, gateway, traffic and live table, and their orderly end."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from spanmeter_gateway import top_table
from spanmeter_gateway.config import Config
from spanmeter_gateway.demo.traffic import Traffic
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.start import Start
from spanmeter_gateway.upstreams.providers import well_known_upstreams

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
DRAIN_S = 5.0


def demo(console: Console, data_dir: Path | None) -> None:
    """Show the gateway at work until interrupted."""
    # SIGINT too: a shell starts its background jobs with it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), ExitStack() as running:
        folder = data_dir or Path(running.enter_context(tempfile.TemporaryDirectory()))
        config = demo_config(folder, running.enter_context(_provider()))
        running.enter_context(_gateway(config))
        traffic = Traffic(config.listen_host, config.listen_port)
        traffic.start()
        running.callback(traffic.stop)
        console.print(
            f"A pretend provider answers; no key is needed. The gateway is {config.url}, "
            f"its metrics are {config.books_url}/metrics. Ctrl-C ends it.",
            soft_wrap=True,
        )
        _wait_for(f"{config.books_url}/metrics")
        top_table.follow(console, config.books_url)


def demo_config(folder: Path, provider_url: str) -> Config:
    """Configure a gateway whose every upstream is the pretend provider."""
    default = Config()
    return replace(
        default,
        listen_port=_free_port(default.listen_port),
        books_port=_free_port(default.books_port),
        data_dir=folder,
        drain_s=DRAIN_S,
        upstreams=tuple(replace(row, base_url=provider_url) for row in well_known_upstreams()),
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _provider() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = [sys.executable, "-m", "spanmeter_gateway.demo.provider", str(listener.fileno())]
        with _child(argv, b"", fds=(listener.fileno(),)):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _gateway(config: Config) -> Iterator[None]:
    argv = [sys.executable, "-m", "spanmeter_gateway.demo.gateway"]
    with _child(argv, Start(config).to_line()):
        _wait_for(f"{config.url}/readyz")
        yield


@contextmanager
def _child(argv: Sequence[str], first_line: bytes, fds: Sequence[int] = ()) -> Iterator[None]:
    # Its own process group: Ctrl-C reaches us alone, and we end the parts in order. Its standard
    # input ends with us, however we end.
    with subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=fds, process_group=0) as process:
        assert process.stdin is not None
        process.stdin.write(first_line)
        process.stdin.flush()
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise StartError(f"the demonstration did not come up: no answer at {url}")


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise StartError("no port of 127.0.0.1 is free")
