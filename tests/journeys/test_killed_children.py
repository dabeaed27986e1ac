"""Relays and books are killed under traffic, and every call that could be counted is, once."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.accounts import NONE_DIFFERS, Account, differences, ends_by_call
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics
from tests.traffic import PRICES, STREAMED, EndlessStream, Kind, Made, Traffic, call

WORKERS = 3
CERTAIN_S = 2.0
"""What ended so long before a kill must have been on disk: a flush, eight times over."""
OPEN_CHUNKS = 40
"""At 0.05 s each: a stream that has outlived several flushes."""
LEFT = ("busy-s", "cancelled", "client_disconnected")
LOST = ("busy-s", "gateway_error", "relay_lost")
SLOW = Kind(
    STREAMED.body,
    (("x-script", "drip 0.3"),),
    tokens=STREAMED.tokens,
    cost_nanos=STREAMED.cost_nanos,
)


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here},
        workers=WORKERS,
        settings={"prices": PRICES},
        environ=sink.environ,
    ) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Kill:
    """When a relay was killed, and how many connections it held."""

    from_s: float
    until_s: float
    connections: int

    def may_hide(self, made: Made) -> bool:
        """Say whether the account of this call may have been lost with the relay's memory."""
        return self.from_s - CERTAIN_S < made.ended_s < self.until_s


def kill_busiest_relay(gateway: GatewayProcess) -> Kill:
    """Kill the relay that has most connections, and wait until another is in its place."""
    port = urlsplit(gateway.url).port
    assert port is not None
    from_s = time.monotonic()
    victim = max(processes.relays(gateway), key=lambda pid: processes.connections(pid, port))
    processes.freeze(victim)  # so that what it holds cannot change while it is counted
    held = processes.connections(victim, port)
    processes.kill(victim)
    until_s = time.monotonic()
    processes.wait_until(lambda: len(processes.relays(gateway)) == WORKERS)
    return Kill(from_s, until_s, held)


def test_a_killed_relay_breaks_only_its_own_calls_and_only_the_youngest_go_uncounted(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    kills: list[Kill] = []
    streams: list[EndlessStream] = []
    with ExitStack() as opened, Traffic(gateway.url, "busy", clients=9, pause_s=0.002) as traffic:
        for turn in range(2):
            fresh = [EndlessStream(gateway.url, "busy-s", f"{turn}-{n}") for n in range(3)]
            streams += [opened.enter_context(stream) for stream in fresh]
            for stream in fresh:
                stream.wait_chunks(OPEN_CHUNKS)
            kills.append(kill_busiest_relay(gateway))
            traffic.wait_more(150)
        lost = {stream.id for stream in streams if stream.is_broken}
    made = {each.id: each for each in traffic.made}
    answered = [each for each in made.values() if each.status is not None]
    certain = [each for each in answered if not any(kill.may_hide(each) for kill in kills)]
    must = {each.id: each.end for each in certain}
    must |= {stream.id: LEFT for stream in streams} | dict.fromkeys(lost, LOST)
    sink.wait(lambda spans: must.keys() <= ends_by_call(spans, "busy").keys())
    ends = ends_by_call(sink.spans, "busy")
    seen = gateway.wait_metrics(lambda now: Account.read(now, "busy").total == len(ends))
    counted = Account.read(seen, "busy")
    # A slow call may have left its open line, and been answered just before its relay was killed.
    told = {name for name, end in ends.items() if end[1:] != LOST[1:]}
    metered = Account.of(made[name] for name in told & made.keys())

    # Each connection of a killed relay broke one call, and no connection of another relay broke.
    assert len(traffic.broken) + len(lost) == sum(kill.connections for kill in kills)
    assert [each for each in answered if each.status != each.kind.status] == []
    assert {name: ends[name] for name in must} == must
    assert ends.keys() <= made.keys() | {stream.id for stream in streams}
    assert counted.calls == Counter(ends.values())
    assert (counted.tokens, counted.cost_nanos) == (metered.tokens, metered.cost_nanos)
    assert differences(seen) == NONE_DIFFERS
    gateway.wait_metrics(lambda now: now.total("spanmeter_request_active") == 0)


def test_killed_books_neither_lose_nor_double_a_call_and_no_caller_notices(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    moments = random.Random(20_260_101)
    health = f"{gateway.books_url}/healthz"
    with Traffic(gateway.url, "kept", clients=4, pause_s=0.005) as traffic:
        for status in (200, 503, 200, 503):
            sink.status = status  # while it refuses, segments that are entered stay on disk
            processes.wait_until(lambda: processes.is_answering(health))
            traffic.wait_more(moments.randrange(100, 400))
            processes.kill(processes.books(gateway))
        sink.status = 200
        traffic.wait_more(100)
    made = traffic.made
    processes.wait_until(lambda: processes.is_answering(health))
    seen = gateway.wait_metrics(lambda now: Account.read(now, "kept").total >= len(made))
    sink.wait(lambda spans: len(ends_by_call(spans, "kept")) >= len(made))

    assert [each for each in made if each.status != each.kind.status] == []
    assert Account.read(seen, "kept") == Account.of(made)
    assert ends_by_call(sink.spans, "kept") == {each.id: each.end for each in made}
    assert differences(gateway.metrics()) == NONE_DIFFERS


def test_a_stream_that_outlives_several_flushes_is_counted_once(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    with RawClient(gateway.url) as client:
        status = call(client, SLOW, "slow", "slow-1")
    seen = gateway.wait_metrics(lambda now: Account.read(now, "slow").total > 0)
    sink.wait(lambda spans: len(ends_by_call(spans, "slow")) > 0)

    assert status == 200
    assert Account.read(seen, "slow") == Account(
        {("slow", "ok", ""): 1}, SLOW.tokens, SLOW.cost_nanos, waits=1, attempts=1
    )
    assert ends_by_call(sink.spans, "slow") == {"slow-1": ("slow", "ok", "")}


def test_a_stream_whose_relay_is_killed_keeps_its_attribution(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    with EndlessStream(gateway.url, "torn", "torn-1") as stream:
        stream.wait_chunks(OPEN_CHUNKS)
        kill_busiest_relay(gateway)
        stream.wait_chunks(10**9)
    seen = gateway.wait_metrics(lambda now: Account.read(now, "torn").total > 0)
    sink.wait(lambda spans: len(ends_by_call(spans, "torn")) > 0)
    labels = [found for found, value in calls_of(seen, "torn") if value]

    assert labels == [
        {
            "spanmeter_feature": "torn",
            "spanmeter_task": "",
            "spanmeter_outcome": "gateway_error",
            "error_type": "relay_lost",
            "spanmeter_tag_env": "test",
            "spanmeter_tag_team": "",
            "spanmeter_tag_project": "",
            "spanmeter_tag_cost_center": "",
            "gen_ai_provider_name": "openai",
            "gen_ai_request_model": "gpt-4o-mini",
            "gen_ai_operation_name": "chat",
        }
    ]
    assert ends_by_call(sink.spans, "torn") == {"torn-1": ("torn", "gateway_error", "relay_lost")}


def calls_of(metrics: Metrics, feature: str) -> list[tuple[Mapping[str, str], float]]:
    return metrics.select("spanmeter_calls_total", spanmeter_feature=feature)
