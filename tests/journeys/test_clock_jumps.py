"""The machine's clock is set while calls run: durations and counters do not know of it."""

import time
from collections.abc import Iterator

import pytest
from tests.accounts import NONE_DIFFERS, Account, differences, ends_by_call
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.shifted_clock import ShiftedClock
from tests.traffic import PRICES, EndlessStream, Traffic

HOUR_S = 3600
CLIENTS = 2


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> ShiftedClock:
    return ShiftedClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def gateway(
    provider: ReplayProvider, sink: OtlpSink, clock: ShiftedClock
) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here},
        settings={"prices": PRICES},
        environ=sink.environ | clock.environ,
    ) as running:
        yield running


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_a_clock_that_is_set_while_calls_run_changes_no_duration_and_no_counter(
    gateway: GatewayProcess, sink: OtlpSink, clock: ShiftedClock, jump_s: int
) -> None:
    name, across = f"jump{jump_s}", f"across{jump_s}"
    waited_s = gateway.metrics().total("spanmeter_call_duration_seconds_sum")
    clock.set(0)
    began_ns, began_s = time.time_ns(), time.monotonic()
    with (
        EndlessStream(gateway.url, across, across) as stream,
        Traffic(gateway.url, name, clients=CLIENTS, pause_s=0.02) as traffic,
    ):
        for shift_s in (jump_s, 0, jump_s):
            traffic.wait_more(25)
            gateway.wait_metrics(lambda now: Account.read(now, name).total > 0)
            clock.set(shift_s)
        traffic.wait_more(25)
        stream.wait_chunks(stream.chunks + 2)
    calls = len(traffic.made)
    seen = gateway.wait_metrics(
        lambda now: (Account.read(now, name).total, Account.read(now, across).total) == (calls, 1)
    )
    spans = sink.wait(
        lambda spans: (
            (len(ends_by_call(spans, name)), len(ends_by_call(spans, across))) == (calls, 1)
        )
    )
    took_s = time.monotonic() - began_s
    waited_s = seen.total("spanmeter_call_duration_seconds_sum") - waited_s
    own = [
        span for span in spans if span.attributes["spanmeter.feature"].startswith((name, across))
    ]
    lasted_s = [(span.end_ns - span.start_ns) / 1e9 for span in own]

    assert [call for call in traffic.made if call.status != call.kind.status] == []
    assert Account.read(seen, name) == Account.of(traffic.made)
    assert seen.by("spanmeter_receipts_dropped_total", "reason") == {}
    assert differences(seen) == NONE_DIFFERS
    assert 0 < waited_s < (CLIENTS + 1) * took_s
    assert [one for one in lasted_s if not 0 <= one < took_s] == []
    assert {round((span.start_ns - began_ns) / 1e9 / HOUR_S) for span in own} == {
        0,
        jump_s // HOUR_S,
    }
    assert 0 <= seen.total("spanmeter_books_lag_seconds") < 2 * HOUR_S
