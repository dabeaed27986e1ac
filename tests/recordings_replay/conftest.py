"""One gateway for the tests of a module, with an upstream for every recorded provider."""

import sys
from collections.abc import Callable, Iterator

import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.recordings_replay.routes import upstreams
from tests.recordings_replay.through import Caller

Report = Callable[[str], None]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Return a function that prints a line whatever becomes of the test."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")

    return write


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    with GatewayProcess(upstreams=upstreams(provider.base_url), environ=sink.environ) as running:
        yield running


@pytest.fixture(scope="module")
def caller(gateway: GatewayProcess, provider: ReplayProvider) -> Iterator[Caller]:
    opened = Caller(gateway.url, provider)
    yield opened
    opened.close()
