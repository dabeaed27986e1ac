"""Relays and books are killed under traffic, and every call that could be counted is, once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.accounts import Account, ends_by_call
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.traffic import PRICES, STREAMED, EndlessStream, Kind, Traffic, call

WORKERS = 3
CERTAIN_S = 2.0
"""What ended so long before a kill must have been on disk: a flush, eight times over."""
OPEN_CHUNKS = 40
"""At 0.05 s each: a stream that has outlived several flushes."""
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


def kill_busiest_relay(gateway: GatewayProcess) -> tuple[float, int]:
    """Kill the relay that has most connections: when, and how many went with it."""
    port = urlsplit(gateway.url).port
    assert port is not None
    relays = processes.relays(gateway)
    victim = max(relays, key=lambda pid: processes.connections(pid, port))
    killed_s = time.monotonic()
    processes.freeze(victim)  # so that what it holds cannot change while it is counted
    held = processes.connections(victim, port)
    processes.kill(victim)
    processes.wait_until(lambda: len(processes.relays(gateway)) == WORKERS)
    return killed_s, held


def test_a_killed_relay_costs_only_its_own_calls_and_only_the_youngest_go_uncounted(
    gateway: GatewayProcess, sink: OtlpSink
) -> None:
    kills: list[tuple[float, int]] = []
    lost: set[str] = set()
    with ExitStack() as opened, Traffic(gateway.url, "busy", clients=9, pause_s=0.002) as traffic:
        streams: list[EndlessStream] = []
        for turn in range(2):
            fresh = [EndlessStream(gateway.url, "busy-s", f"{turn}-{n}") for n in range(3)]
            streams += [opened.enter_context(stream) for stream in fresh]
            for stream in fresh:
                stream.wait_chunks(OPEN_CHUNKS)
            traffic.wait_more(150)
            kills.append(kill_busiest_relay(gateway))
            traffic.wait_more(150)
        lost = {stream.id for stream in streams if stream.is_broken}
    made = [each for each in traffic.made if each.status is not None]
    certain = [
        each
        for each in made
        if not any(each.ended_s <= at < each.ended_s + CERTAIN_S for at, _ in kills)
    ]
    must = {each.id: each.end for each in certain}
    must |= {each.id: (each.feature, "cancelled", "client_disconnected") for each in streams}
    must |= {name: ("busy-s", "gateway_error", "relay_lost") for name in lost}
    must_be_known = {*must}
    import sys
    try:
        sink.wait(lambda spans: must_be_known <= ends_by_call(spans, "busy").keys())
    except TimeoutError:
        have = ends_by_call(sink.spans, "busy")
        t0 = kills[0][0]
        print("kills", [(a-t0,h) for a,h in kills], "made", len(made), "known", len(have), "lost", lost, "broken", [(b.id, b.ended_s-t0) for b in traffic.broken])
        print("missing", sorted((m.ended_s-t0, m.id) for m in made if m.id in must_be_known - have.keys())[:50], [x for x in must_be_known-have.keys() if x[0] in "01"])
        print({k:v for k,v in have.items() if k[0] in "01"})
        print(os.listdir(gateway.data_dir/"spool"), gateway.errors)
        print(Account.read(gateway.metrics(), "busy"))
        raise
    metrics = gateway.wait_metrics(lambda now: now.total("spanmeter_calls_in_flight") == 0)
    ends = ends_by_call(sink.spans, "busy")
    counted = Account.read(metrics, "busy")
    by_id = {each.id: each for each in made}

    # Every connection of a killed relay broke one call, and no other relay's connection broke.
    assert len(traffic.broken) + len(lost) == sum(held for _, held in kills)
    assert [each for each in made if each.status != each.kind.status] == []
    assert {name: ends[name] for name in must} == must
    assert ends.keys() <= {each.id for each in traffic.made} | {each.id for each in streams}
    assert counted.calls == Counter(ends.values())
    metered = Account.of(by_id[name] for name in ends if name in by_id)
    assert (counted.tokens, counted.cost_nanos) == (metered.tokens, metered.cost_nanos)
