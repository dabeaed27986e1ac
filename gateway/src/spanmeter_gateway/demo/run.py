"""`spanmeter demo`: pretend provider, gateway, traffic and live table, and their orderly end."""

import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from spanmeter_gateway import top_table
from spanmeter_gateway.config import Config
from spanmeter_gateway.demo import beside
from spanmeter_gateway.demo.processes import child, free_port, wait_for
from spanmeter_gateway.demo.traffic import Traffic
from spanmeter_gateway.start import Start
from spanmeter_gateway.upstreams.providers import well_known_upstreams

DRAIN_S = 5.0


def demo(console: Console, data_dir: Path | None) -> None:
    """Show the gateway at work until interrupted."""
    # SIGINT too: a shell starts its background jobs with it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), ExitStack() as running:
        folder = data_dir or Path(running.enter_context(tempfile.TemporaryDirectory()))
        config = running.enter_context(gateway(folder))
        traffic = Traffic(config.listen_host, config.listen_port)
        traffic.start()
        running.callback(traffic.stop)
        wait_for(f"{config.books_url}/metrics")
        shown = running.enter_context(
            beside.programs(folder, config.books_url.removeprefix("http://"))
        )
        console.print(
            f"A pretend provider answers; no key is needed. The gateway is {config.url}, "
            f"its metrics are {config.books_url}/metrics. Ctrl-C ends it.",
            *shown,
            sep="\n",
            soft_wrap=True,
        )
        top_table.follow(console, config.books_url)


@contextmanager
def gateway(folder: Path) -> Iterator[Config]:
    """Run a gateway before the pretend provider; yields what it serves by once it answers."""
    with _provider() as provider_url:
        config = demo_config(folder, provider_url)
        with _gateway(config):
            yield config


def demo_config(folder: Path, provider_url: str) -> Config:
    """Configure a gateway whose every upstream is the pretend provider."""
    default = Config()
    return replace(
        default,
        listen_port=free_port(default.listen_port),
        books_port=free_port(default.books_port),
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
        with child(argv, b"", fds=(listener.fileno(),)):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _gateway(config: Config) -> Iterator[None]:
    argv = [sys.executable, "-m", "spanmeter_gateway.demo.gateway"]
    with child(argv, Start(config).to_line()):
        wait_for(f"{config.url}/readyz")
        yield
