"""No room for the books' counters alone: receipts wait in the spool, and each is entered once."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest
from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.small_disk import Disk, ForbiddenDisk, small_disk
from tests.traffic import PRICES, Traffic

COMMIT_FAILURES = "spanmeter_books_commit_failures_total"
DROPPED = "spanmeter_receipts_dropped_total"
DISK_BYTES = 1_000_000


class Site(NamedTuple):
    """A gateway whose books write to one disk and whose relays write to another."""

    gateway: GatewayProcess
    disk: Disk


class ForbiddenBooks(ForbiddenDisk):
    """The books that run now may not write to any file."""

    def pids(self, gateway: GatewayProcess) -> tuple[int, ...]:
        """Name the processes that may not write."""
        return (processes.books(gateway),)


def a_small_disk(folder: Path) -> AbstractContextManager[Disk]:
    return small_disk(folder, DISK_BYTES, otherwise=ForbiddenBooks(folder))


def a_disk_that_refuses(folder: Path) -> AbstractContextManager[Disk]:
    return nullcontext(ForbiddenBooks(folder))


@pytest.fixture(params=[a_small_disk, a_disk_that_refuses])
def site(
    request: pytest.FixtureRequest, provider: ReplayProvider, tmp_path: Path
) -> Iterator[Site]:
    here = {"base_url": provider.base_url}
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "spool").mkdir()
    with ExitStack() as opened:
        disk = opened.enter_context(request.param(folder))
        (folder / "spool").symlink_to(tmp_path / "spool")
        gateway = GatewayProcess(
            upstreams={"openai": here, "anthropic": here},
            settings={"prices": PRICES, "data_dir": str(folder)},
        )
        yield Site(opened.enter_context(gateway), disk)


def test_what_cannot_be_committed_is_counted_and_entered_once_when_there_is_room(
    site: Site,
) -> None:
    gateway, disk = site
    with Traffic(gateway.url, "before", pause_s=0.02) as before:
        before.wait_more(20)
    gateway.wait_metrics(lambda now: Account.read(now, "before").total == len(before.made))

    disk.fill(gateway)
    with Traffic(gateway.url, "full", pause_s=0.02) as full:
        full.wait_more(50)
        while_full = gateway.wait_metrics(lambda now: now.total(COMMIT_FAILURES) >= 2)
    disk.make_room(gateway)
    seen = gateway.wait_metrics(lambda now: Account.read(now, "full").total == len(full.made))

    made = [*before.made, *full.made]
    assert [call for call in made if call.status != call.kind.status] == []
    assert Account.read(while_full, "full").total < len(full.made)
    assert Account.read(seen, "before") == Account.of(before.made)
    assert Account.read(seen, "full") == Account.of(full.made)
    assert seen.total(DROPPED) == 0
    assert differences(seen) == NONE_DIFFERS
    assert seen.total(COMMIT_FAILURES) >= 2
