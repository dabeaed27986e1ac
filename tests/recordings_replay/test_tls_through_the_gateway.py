"""The same bytes over TLS to the provider, through two relay workers, and only if it is trusted."""

from collections.abc import Iterator

import pytest
from tests.fakes.raw_client import RawClient
from tests.fakes.recordings import all_recordings, recording
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.recordings_replay.routes import upstreams
from tests.recordings_replay.through import Caller, How


@pytest.fixture(scope="module")
def tls_provider() -> Iterator[ReplayProvider]:
    with ReplayProvider(tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def tls_gateway(tls_provider: ReplayProvider) -> Iterator[GatewayProcess]:
    trusting = upstreams(tls_provider.base_url, ca_file=str(tls_provider.ca_file))
    doubting = {"doubting": {"provider": "openai", "base_url": tls_provider.base_url}}
    kept = {"cardinality": {"pinned": {"features": ["two workers"]}}}
    with GatewayProcess(upstreams=trusting | doubting, workers=2, settings=kept) as running:
        yield running


@pytest.fixture(scope="module")
def tls_caller(tls_gateway: GatewayProcess, tls_provider: ReplayProvider) -> Iterator[Caller]:
    opened = Caller(tls_gateway.url, tls_provider)
    yield opened
    opened.close()


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_every_recording_passes_unchanged_over_tls(tls_caller: Caller, framing: str) -> None:
    exchanges = tls_caller.play_all(all_recordings(), How("random:3", "gzip", framing))

    assert {each.recording.id: [*each.differences()] for each in exchanges} == {
        played.id: [] for played in all_recordings()
    }


def test_both_workers_are_counted_in_one_place(
    tls_gateway: GatewayProcess, tls_caller: Caller
) -> None:
    tls_caller.play_all(all_recordings(), How("whole"), feature="two workers")

    counted = tls_gateway.wait_metrics(
        lambda seen: seen.total("spanmeter_calls_total", spanmeter_feature="two workers") >= 150
    )
    assert counted.total("spanmeter_calls_total", spanmeter_feature="two workers") == 150


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    tls_gateway: GatewayProcess,
) -> None:
    played = recording("openai-chat/basic")

    with RawClient(tls_gateway.url) as client:
        answer = client.call(f"/doubting{played.path}", played.request_body)

    assert (answer.status, b"provider_unreachable" in answer.body) == (503, True)
