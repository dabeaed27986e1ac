"""The supervisor with stand-in children: real processes, sockets and signals, but no gateway."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from spanmeter_gateway.board import Board, Field
from spanmeter_gateway.children import Child, stop
from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.listening import bind

TIMEOUT_S = 30.0
SERVE = Path(__file__).parent / "supervised" / "serve.py"


class Event(NamedTuple):
    """What a stand-in told."""

    name: str
    what: str
    pid: int


class Gateway:
    """A supervisor in a process of its own."""

    def __init__(self, config: Config, relay: str = "relay.py", *, level: str = "WARNING") -> None:
        self.folder = config.data_dir
        self.process = subprocess.Popen(
            [sys.executable, str(SERVE), config.to_json(), relay, level],
            stderr=subprocess.PIPE,
            text=True,
        )

    def events(self) -> list[Event]:
        with suppress(FileNotFoundError, NotADirectoryError):
            lines = [line.split() for line in (self.folder / "events").read_text().splitlines()]
            return [Event(f"{name} {worker}", what, int(pid)) for name, worker, what, pid in lines]
        return []

    def told(self, what: str) -> list[Event]:
        return [event for event in self.events() if event.what == what]

    def until(self, seen: Callable[[], object]) -> None:
        """Wait for something to be so."""
        deadline = time.monotonic() + TIMEOUT_S
        while not seen():
            assert time.monotonic() < deadline, self.events()
            time.sleep(0.02)

    def until_up(self) -> None:
        self.until(lambda: (self.folder / "ready").exists() and self.told("up")[2:])

    def end(self) -> tuple[int, list[str]]:
        """Wait for the end; exit status and log."""
        _, log = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, log.splitlines()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    return Config(
        listen_port=ports[0], books_port=ports[1], workers=2, data_dir=tmp_path, upstreams=()
    )


@pytest.fixture
def gateways() -> Iterator[list[Gateway]]:
    """Ends what a test leaves running."""
    started: list[Gateway] = []
    yield started
    for gateway in started:
        gateway.process.kill()
        gateway.process.communicate()
        for event in gateway.events():
            with suppress(ProcessLookupError):
                os.kill(event.pid, signal.SIGKILL)


@pytest.fixture
def gateway(config: Config, gateways: list[Gateway]) -> Gateway:
    """Two relays and books, all up."""
    gateways.append(Gateway(config))
    gateways[0].until_up()
    return gateways[0]


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_every_relay_has_a_place_of_its_own_and_books_come_up_beside_them(
    gateway: Gateway,
) -> None:
    assert sorted(event.name for event in gateway.told("up")) == ["books 0", "relay 0", "relay 1"]


def test_a_ctrl_c_in_the_terminal_reaches_no_child(gateway: Gateway) -> None:
    groups = {os.getpgid(event.pid) for event in gateway.told("up")}

    assert groups == {event.pid for event in gateway.told("up")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_ends_relays_first_and_books_last(gateway: Gateway, number: signal.Signals) -> None:
    gateway.process.send_signal(number)

    assert gateway.end() == (0, [])
    names = [event.name for event in gateway.told("down")]
    assert sorted(names) == ["books 0", "relay 0", "relay 1"]
    assert names[2] == "books 0"


def test_the_log_holds_the_start_the_stop_and_the_end(
    config: Config, gateways: list[Gateway]
) -> None:
    gateways.append(Gateway(replace(config, drain_s=7), level="INFO"))
    gateways[0].until_up()
    gateways[0].process.terminate()

    status, (start, *others) = gateways[0].end()

    assert start.startswith(
        f"starting 0.1.0: relay {config.url}, books {config.books_url}, workers: 2, "
    )
    assert (status, others) == (0, ["stopping: calls in flight: 2, drain_s: 7", "stopped"])


def test_a_dead_relay_is_replaced_in_its_place_and_said_in_one_line(gateway: Gateway) -> None:
    victim = next(event for event in gateway.told("up") if event.name == "relay 1")

    os.kill(victim.pid, signal.SIGKILL)
    gateway.until(lambda: gateway.told("up")[3:])
    gateway.process.terminate()

    assert gateway.told("up")[3].name == "relay 1"
    assert gateway.end() == (0, ["relay 1 ended: signal SIGKILL; the next starts in 0.1 s"])


def test_a_dead_relays_calls_in_flight_leave_the_board(gateway: Gateway) -> None:
    victim = next(event for event in gateway.told("up") if event.name == "relay 0")
    board = Board.open(gateway.folder / "board")

    os.kill(victim.pid, signal.SIGKILL)
    gateway.until(lambda: gateway.told("up")[3:])

    totals = [Field.CALLS_IN_FLIGHT, Field.RECEIPTS_DROPPED_SPOOL_FULL]
    assert [board.total(field) for field in totals] == [2, 3]


def test_dead_books_are_replaced_while_the_relays_go_on(gateway: Gateway) -> None:
    books = next(event for event in gateway.told("up") if event.name == "books 0")
    relays = [event.pid for event in gateway.told("up") if event.name != "books 0"]

    os.kill(books.pid, signal.SIGKILL)
    gateway.until(lambda: gateway.told("up")[3:])

    assert gateway.told("up")[3].name == "books 0"
    assert [is_alive(pid) for pid in relays] == [True, True]


def test_no_child_outlives_a_killed_supervisor(gateway: Gateway) -> None:
    gateway.process.kill()

    gateway.until(lambda: not any(is_alive(event.pid) for event in gateway.told("up")))
    assert len(gateway.told("down")) == 3


def test_a_second_signal_ends_relays_that_would_drain_for_minutes(
    gateway: Gateway,
) -> None:
    (gateway.folder / "stubborn").touch()

    gateway.process.send_signal(signal.SIGINT)
    gateway.until(lambda: len(gateway.told("told")) == 2)
    gateway.process.send_signal(signal.SIGINT)

    assert gateway.end() == (
        0,
        [
            "relay 0 did not end in time and was killed",
            "relay 1 did not end in time and was killed",
        ],
    )
    assert len(gateway.told("told")) == 4
    assert [event.name for event in gateway.told("down")] == ["books 0"]


def test_a_relay_that_never_starts_ends_the_start(config: Config, gateways: list[Gateway]) -> None:
    gateways.append(Gateway(replace(config, workers=1), relay="broken.py"))

    status, log = gateways[0].end()

    assert status == 1
    assert log[-1] == "no relay starts; the lines above say why"
    assert not (config.data_dir / "ready").exists()


def test_a_data_folder_serves_one_gateway_at_a_time(
    config: Config, gateway: Gateway, gateways: list[Gateway]
) -> None:
    gateways.append(Gateway(config))

    assert gateways[1].end() == (
        1,
        [
            f"data_dir: {config.data_dir} is in use by another gateway; stop it, take its place "
            "with `spanmeter serve --take-over`, or give this one a data_dir of its own"
        ],
    )


def test_a_port_in_use_is_named_with_the_key_that_changes_it(
    config: Config, gateways: list[Gateway]
) -> None:
    with socket.create_server(("127.0.0.1", config.books_port)):
        gateways.append(Gateway(config))
        ended = gateways[0].end()

    assert ended == (
        1,
        [
            f"books.listen: 127.0.0.1:{config.books_port} is in use by another program; stop it, "
            "or choose another port in the configuration"
        ],
    )


def test_a_data_folder_that_cannot_be_written_is_refused(
    config: Config, gateways: list[Gateway]
) -> None:
    (config.data_dir / "file").touch()
    folder = config.data_dir / "file" / "folder"
    gateways.append(Gateway(replace(config, data_dir=folder)))

    assert gateways[0].end() == (
        1,
        [
            f"data_dir: cannot write to {folder}: Not a directory; the gateway keeps its receipts "
            "there and needs a folder of its own"
        ],
    )


def test_a_host_that_is_not_ours_is_refused_in_words() -> None:
    with pytest.raises(StartError, match=r"listen: 192\.0\.2\.1 is no address of this machine"):
        bind("192.0.2.1", 8080, "listen")


def test_an_ipv6_address_can_be_listened_on() -> None:
    with bind("::1", 0, "listen") as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as connection:
            assert connection.family is socket.AF_INET6


DEAF = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[1]), b"x")
signal.pause()
"""
QUICK = """
import os, signal, sys
os.write(int(sys.argv[1]), b"x")
signal.pause()
"""


def test_a_renewed_child_that_does_not_end_in_time_is_killed_and_the_next_one_starts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        child = Child("deaf", (sys.executable, "-c", DEAF, str(write_end)), b"", fds=(write_end,))
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            group.create_task(child.keep_alive())
            await asyncio.to_thread(os.read, read_end, 1)
            child.renew(patience_s=0.1)
            await asyncio.to_thread(os.read, read_end, 1)
            await stop([child], asyncio.Event(), patience_s=0)

    read_end, write_end = os.pipe()

    asyncio.run(scenario())

    os.close(read_end)
    os.close(write_end)
    assert caplog.messages == ["deaf did not end in time and was killed"] * 2


def test_a_renewed_child_that_ends_by_itself_is_not_followed_by_a_kill(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> bool:
        child = Child("quick", (sys.executable, "-c", QUICK, str(write_end)), b"", fds=(write_end,))
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            group.create_task(child.keep_alive())
            await asyncio.to_thread(os.read, read_end, 1)
            late = asyncio.Event()
            child.renew(patience_s=0.1)
            asyncio.get_running_loop().call_later(0.2, late.set)
            await asyncio.to_thread(os.read, read_end, 1)
            await late.wait()
            is_running = child.pid is not None
            await stop([child], asyncio.Event(), patience_s=TIMEOUT_S)
        return is_running

    read_end, write_end = os.pipe()

    is_running = asyncio.run(scenario())

    os.close(read_end)
    os.close(write_end)
    assert (is_running, caplog.messages) == (True, [])


def test_a_child_that_does_not_end_in_time_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        child = Child("deaf", (sys.executable, "-c", DEAF, str(write_end)), b"", fds=(write_end,))
        async with asyncio.TaskGroup() as group:
            group.create_task(child.keep_alive())
            await asyncio.to_thread(os.read, read_end, 1)
            await stop([child], asyncio.Event(), patience_s=0.2)

    read_end, write_end = os.pipe()

    asyncio.run(scenario())

    os.close(read_end)
    os.close(write_end)
    assert caplog.messages == ["deaf did not end in time and was killed"]
