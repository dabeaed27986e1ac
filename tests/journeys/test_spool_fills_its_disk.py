"""A spool that fills its own disk while books stand still does not lock itself in for ever."""

from pathlib import Path

from tests import processes
from tests.accounts import Account
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.small_disk import small_disk
from tests.traffic import PRICES, Traffic


def test_books_enter_what_fills_the_disk(provider: ReplayProvider, tmp_path: Path) -> None:
    here = {"base_url": provider.base_url}
    with (
        small_disk(tmp_path, 2_000_000),
        GatewayProcess(
            upstreams={"openai": here, "anthropic": here},
            settings={"prices": PRICES, "data_dir": str(tmp_path / "data")},
        ) as gateway,
    ):
        with processes.frozen(processes.books(gateway)), Traffic(gateway.url, "self") as traffic:
            traffic.wait_more(4000)
        gateway.wait_metrics(
            lambda now: (
                Account.read(now, "self").total + now.total("spanmeter_receipts_dropped_total")
                >= len(traffic.made)
            )
        )
