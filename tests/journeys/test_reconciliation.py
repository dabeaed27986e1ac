"""Somebody deletes a segment of the spool: how many receipts are missing is said, to the last."""

from pathlib import Path

from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import PRICES, Traffic


def waiting(gateway: GatewayProcess) -> list[Path]:
    return sorted((gateway.data_dir / "spool").glob("*.ndjson"))


def receipts_in(segment: Path) -> int:
    return segment.read_bytes().count(b'{"type":"receipt"')


def test_the_receipts_of_a_segment_deleted_while_books_are_away_are_the_difference(
    provider: ReplayProvider, sink: OtlpSink
) -> None:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here},
        settings={"prices": PRICES},
        environ=sink.environ,
    ) as gateway:
        books = processes.books(gateway)
        with Traffic(gateway.url, "known", clients=2, pause_s=0.005) as traffic:
            traffic.wait_more(50)
        before = gateway.wait_metrics(
            lambda now: Account.read(now, "known").total == len(traffic.made)
        )
        with processes.frozen(books):
            with Traffic(gateway.url, "less", clients=2, pause_s=0.005) as traffic:
                processes.wait_until(lambda: len(waiting(gateway)) > 4)
            made = len(traffic.made)
            victim = waiting(gateway)[2]
            gone = receipts_in(victim)
            victim.unlink()
            processes.kill(books)
        processes.wait_until(lambda: processes.is_answering(f"{gateway.books_url}/healthz"))
        after = gateway.wait_metrics(lambda now: Account.read(now, "less").total >= made - gone)
        gateway.stop()
        gateway.start()
        later = gateway.wait_metrics(lambda now: len(differences(now)) == len(NONE_DIFFERS))

    assert gone > 0
    assert differences(before) == NONE_DIFFERS
    assert Account.read(after, "less").total == made - gone
    for seen in (after, later):
        assert differences(seen) == NONE_DIFFERS | {"written_entered": gone}
        assert seen.by("spanmeter_receipts_dropped_total", "reason") == {"segment_lost": gone}
