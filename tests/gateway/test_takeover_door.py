"""The door between two gateways: a real socket in a folder, without the gateways."""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.processes import wait_until

from spanmeter_gateway import takeover
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.takeover import Door, Place, Predecessor, ask

PLACE = Place(("127.0.0.1", 8080), ("127.0.0.1", 9464))
TIMEOUT_S = 20.0


def open_door(folder: Path, scenario: Callable[[], Awaitable[None]]) -> list[str]:
    """Run a scenario while a gateway attends; what happened to that one."""
    events: list[str] = []

    async def hand_over() -> None:
        events.append("handed over")

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            attending = asyncio.create_task(Door(folder, PLACE, listener).attend(hand_over))
            await asyncio.to_thread(wait_until, (folder / "take-over").exists)
            async with asyncio.timeout(TIMEOUT_S):
                await scenario()
            attending.cancel()
            await asyncio.wait([attending])

    asyncio.run(run())
    return events


async def asked(folder: Path) -> Predecessor:
    found = await asyncio.to_thread(ask, folder)
    assert found is not None
    return found


def leave(predecessor: Predecessor) -> None:
    predecessor.connection.close()
    predecessor.listener.close()


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder whose name is longer than a socket's address may be."""
    folder = tmp_path / ("long-" * 20) / ("name-" * 20)
    folder.mkdir(parents=True)
    return folder


def test_who_asks_gets_the_socket_and_the_word_that_the_folder_is_free(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = await asked(tmp_path)
        assert found.place == PLACE
        assert found.listener.getsockname()[0] == "127.0.0.1"
        assert await found.hand_over(TIMEOUT_S)
        leave(found)

    assert open_door(tmp_path, scenario) == ["handed over"]
    assert not (tmp_path / "take-over").exists()


def test_a_folder_with_a_long_name_has_a_door_too(deep: Path) -> None:
    async def scenario() -> None:
        found = await asked(deep)
        assert await found.hand_over(TIMEOUT_S)
        leave(found)

    assert open_door(deep, scenario) == ["handed over"]


def test_who_leaves_changes_nothing_and_the_next_may_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        leave(await asked(tmp_path))
        leave(await asked(tmp_path))

    assert open_door(tmp_path, scenario) == []


def test_a_word_that_is_not_known_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = await asked(tmp_path)
        found.connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        leave(found)
        leave(await asked(tmp_path))

    assert open_door(tmp_path, scenario) == []


def test_the_door_is_its_owners_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        mode = stat.S_IMODE((tmp_path / "take-over").stat().st_mode)
        assert mode == 0o600

    open_door(tmp_path, scenario)


def test_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with pytest.raises(StartError, match="of another user; it goes on"):
            await asked(tmp_path)

    ours = os.getuid()
    monkeypatch.setattr(takeover, "ALWAYS", frozenset())
    monkeypatch.setattr(os, "getuid", lambda: ours + 1)

    assert open_door(tmp_path, scenario) == []


def test_a_folder_without_a_gateway_has_no_predecessor(tmp_path: Path) -> None:
    assert ask(tmp_path) is None


def test_a_door_that_a_killed_gateway_left_has_no_predecessor(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "take-over"))
        left.listen()

    assert ask(tmp_path) is None
