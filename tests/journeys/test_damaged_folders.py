"""What books keep is taken away or cannot be read, under a running gateway: calls go on."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics
from tests.traffic import PRICES, EndlessStream, Traffic

OPEN_CHUNKS = 20
"""At 0.05 s each: a stream that has outlived several flushes."""


@pytest.fixture
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here}, settings={"prices": PRICES}
    ) as running:
        yield running


def copied(file: Path, folder: Path, *, version: int | None = None) -> Path:
    """Copy a database with its log, and bring both into one file; perhaps of another version."""
    folder.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        shutil.copy(part, folder)
    connection = sqlite3.connect(folder / file.name)
    connection.execute(f"PRAGMA user_version = {version or 1}")
    connection.close()
    return folder / file.name


def wrong(traffic: Traffic) -> list[object]:
    """List the calls that were not answered as they should be."""
    return [each for each in traffic.made if each.status != each.kind.status]


def dropped(metrics: Metrics) -> Counter[str]:
    counts = metrics.by("spanmeter_receipts_dropped_total", "reason")
    return Counter({reason: int(count) for reason, count in counts.items()})


def test_calls_go_on_while_the_spool_is_deleted_and_open_ones_are_counted_once(
    gateway: GatewayProcess,
) -> None:
    with EndlessStream(gateway.url, "open", "open-1") as stream:
        stream.wait_chunks(OPEN_CHUNKS)
        with Traffic(gateway.url, "gone", clients=2, pause_s=0.02) as traffic:
            traffic.wait_more(50)
            shutil.rmtree(gateway.data_dir / "spool")
            traffic.wait_more(50)
            made = len(traffic.made)
            stream.wait_chunks(3 * OPEN_CHUNKS)
            traffic.wait_more(made)
    seen = gateway.wait_metrics(
        lambda now: (
            Account.read(now, "gone").total + dropped(now).total() >= len(traffic.made)
            and now.total("spanmeter_calls_total", spanmeter_feature="open") > 0
        )
    )

    assert wrong(traffic) == []
    assert dropped(seen).keys() <= {"segment_lost", "spool_error"}
    assert Account.read(seen, "gone").total + dropped(seen).total() == len(traffic.made)
    assert Account.read(seen, "open").calls == {("open", "cancelled", "client_disconnected"): 1}
    assert seen.total("spanmeter_relay_lost_calls_total") == 0


def test_calls_go_on_while_books_cannot_read_their_counters_and_all_are_counted_after_it(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = gateway.data_dir / "books.sqlite"
    before = processes.books(gateway)
    with Traffic(gateway.url, "later", clients=2, pause_s=0.02) as traffic:
        gateway.wait_metrics(lambda now: Account.read(now, "later").total > 20)
        with processes.frozen(before):
            kept = copied(file, tmp_path / "kept")
            newer = copied(file, tmp_path / "newer", version=99)
            for part in file.parent.glob(f"{file.name}*"):
                part.unlink()
            newer.rename(file)
            processes.kill(before)
        processes.wait_until(lambda: "was written by a newer spanmeter" in gateway.errors)
        traffic.wait_more(20)
        kept.rename(file)
        processes.wait_until(lambda: processes.is_answering(f"{gateway.books_url}/healthz"))
    seen = gateway.wait_metrics(lambda now: Account.read(now, "later").total >= len(traffic.made))

    assert wrong(traffic) == []
    assert Account.read(seen, "later") == Account.of(traffic.made)
    assert differences(seen) == NONE_DIFFERS
