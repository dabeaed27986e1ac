"""The whole gateway ends, by a crash or in order, and the next one on the same folder goes on."""

import os
import signal
from collections.abc import Iterator

import pytest
from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import PLAIN, PRICES, EndlessStream, Traffic, call

WORKERS = 2
OPEN_CHUNKS = 20
"""At 0.05 s each: a stream that has outlived several flushes."""


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here},
        workers=WORKERS,
        settings={"prices": PRICES},
    ) as running:
        yield running


def waiting_segments(gateway: GatewayProcess) -> int:
    return len(list((gateway.data_dir / "spool").glob("*.ndjson")))


def test_what_a_killed_supervisor_left_is_entered_by_the_next(gateway: GatewayProcess) -> None:
    children = gateway.child_pids
    books = processes.books(gateway)
    with Traffic(gateway.url, "left") as traffic, processes.frozen(books):
        traffic.wait_more(200)
        processes.wait_until(lambda: waiting_segments(gateway))
        os.kill(gateway.pid, signal.SIGKILL)
        processes.kill(books)
        processes.wait_until(lambda: not any(map(processes.is_running, children)))
    left = waiting_segments(gateway)
    gateway.kill()
    gateway.start()
    done = [each for each in traffic.made if each.status is not None]
    seen = gateway.wait_metrics(lambda now: Account.read(now, "left").total >= len(done))

    assert left > 0
    assert Account.read(seen, "left") == Account.of(done)
    assert differences(seen) == NONE_DIFFERS


def test_a_new_gateway_starts_while_the_last_call_of_a_killed_one_goes_on(
    gateway: GatewayProcess,
) -> None:
    children, books = gateway.child_pids, processes.books(gateway)
    with EndlessStream(gateway.url, "on", "on-1") as stream:
        stream.wait_chunks(OPEN_CHUNKS)
        os.kill(gateway.pid, signal.SIGKILL)
        processes.wait_until(lambda: not gateway.child_pids and not processes.is_running(books))
        gateway.kill()
        gateway.start()
        stream.wait_chunks(stream.chunks + OPEN_CHUNKS)
    seen = gateway.wait_metrics(lambda now: Account.read(now, "on").total > 0)

    assert not stream.is_broken
    assert Account.read(seen, "on").calls == {("on", "cancelled", "client_disconnected"): 1}
    processes.wait_until(lambda: not any(map(processes.is_running, children)))


def test_a_stop_with_a_backlog_loses_nothing_and_totals_go_on_after_it(
    gateway: GatewayProcess,
) -> None:
    before = Account.read(gateway.metrics(), "left")
    relays = processes.relays(gateway)
    with processes.frozen(processes.books(gateway)):
        with Traffic(gateway.url, "late") as traffic:
            traffic.wait_more(200)
        os.kill(gateway.pid, signal.SIGTERM)
        processes.wait_until(lambda: not any(map(processes.is_running, relays)))
        backlog = waiting_segments(gateway)
    gateway.wait_end()
    gateway.stop()
    left = waiting_segments(gateway)
    gateway.start()
    seen = gateway.metrics()
    with RawClient(gateway.url) as client:
        call(client, PLAIN, "late-0", "one-more")
    later = gateway.wait_metrics(lambda now: Account.read(now, "late").total > len(traffic.made))

    assert backlog > 0
    assert left == 0
    assert Account.read(seen, "late") == Account.of(traffic.made)
    assert Account.read(seen, "left") == before
    assert Account.read(later, "late").total == len(traffic.made) + 1
    assert differences(later) == NONE_DIFFERS
