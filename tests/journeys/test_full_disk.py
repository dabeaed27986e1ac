"""No room for receipts: calls go on, what is dropped is counted, and counting goes on after."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest
from tests import processes
from tests.accounts import Account
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics
from tests.small_disk import Disk, ForbiddenDisk, small_disk
from tests.traffic import PRICES, Traffic

DISK_BYTES = 4_000_000
SPOOL_BYTES = 100_000
"""Some flushes of the paced traffic here, which takes about 1 KB a call."""


class Site(NamedTuple):
    """A gateway, and the disk that it writes to."""

    gateway: GatewayProcess
    disk: Disk


@pytest.fixture(scope="module", params=["a small disk", "a disk that refuses"])
def site(
    request: pytest.FixtureRequest,
    provider: ReplayProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    here = {"base_url": provider.base_url}
    folder = tmp_path_factory.mktemp("disk")
    with ExitStack() as opened:
        disk = opened.enter_context(DISKS[request.param](folder))
        gateway = GatewayProcess(
            upstreams={"openai": here, "anthropic": here},
            settings={
                "prices": PRICES,
                "data_dir": str(folder / "data"),
                "spool": {"max_bytes": SPOOL_BYTES},
            },
        )
        yield Site(opened.enter_context(gateway), disk)


def a_small_disk(folder: Path) -> AbstractContextManager[Disk]:
    return small_disk(folder, DISK_BYTES)


def a_disk_that_refuses(folder: Path) -> AbstractContextManager[Disk]:
    return nullcontext(ForbiddenDisk(folder))


DISKS = {"a small disk": a_small_disk, "a disk that refuses": a_disk_that_refuses}


def dropped(metrics: Metrics) -> Counter[str]:
    """Count the receipts that were lost, by reason."""
    by_reason = metrics.by("spanmeter_receipts_dropped_total", "reason")
    return Counter({reason: round(receipts) for reason, receipts in by_reason.items()})


def settled(gateway: GatewayProcess, traffic: Traffic, before: Counter[str]) -> Metrics:
    """Wait until each call of some traffic is counted or dropped."""

    def is_settled(now: Metrics) -> bool:
        lost = (dropped(now) - before).total()
        return Account.read(now, traffic.name).total + lost >= len(traffic.made)

    return gateway.wait_metrics(is_settled)


def wait_counting(gateway: GatewayProcess, name: str) -> None:
    """Call until calls are counted, and then until all are settled."""
    before = dropped(gateway.metrics())
    with Traffic(gateway.url, name, clients=1, pause_s=0.05) as traffic:
        gateway.wait_metrics(lambda now: Account.read(now, name).total > 0)
    settled(gateway, traffic, before)


def test_calls_over_the_spools_limit_are_answered_and_counted_as_dropped(site: Site) -> None:
    gateway = site.gateway
    with (
        processes.frozen(processes.books(gateway)),
        Traffic(gateway.url, "over", clients=2, pause_s=0.01) as traffic,
    ):
        traffic.wait_more(400)
    seen = settled(gateway, traffic, Counter())
    counted = Account.read(seen, "over").total

    assert [each for each in traffic.made if each.status != each.kind.status] == []
    assert counted > 0
    assert dropped(seen) == {"spool_full": len(traffic.made) - counted}
    wait_counting(gateway, "again-over")


def test_calls_on_a_full_disk_are_answered_and_counted_as_dropped(site: Site) -> None:
    gateway, disk = site
    wait_counting(gateway, "before-full")
    before = dropped(gateway.metrics())
    disk.fill(gateway)
    with Traffic(gateway.url, "full", pause_s=0.05) as traffic:
        traffic.wait_more(100)
    disk.make_room(gateway)
    seen = settled(gateway, traffic, before)
    lost = dropped(seen) - before

    assert [each for each in traffic.made if each.status != each.kind.status] == []
    assert lost.total() > 0
    assert Account.read(seen, "full").total + lost.total() == len(traffic.made)
    wait_counting(gateway, "again-full")
