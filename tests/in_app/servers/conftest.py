"""A gateway before a pretend provider, for applications of all kinds."""

from collections.abc import Iterator

import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.in_app.servers.arrivals import Arrivals

import spanmeter


@pytest.fixture(scope="session")
def arrivals(provider: ReplayProvider) -> Iterator[Arrivals]:
    """The gateway and what it tells of calls; the provider answers with `x-script: chat`."""
    upstreams = {"openai": {"provider": "openai", "base_url": provider.base_url}}
    with (
        OtlpSink() as sink,
        GatewayProcess(upstreams=upstreams, environ=sink.environ) as gateway,
    ):
        yield Arrivals(gateway.url, sink)


@pytest.fixture(scope="module")
def instrumented(arrivals: Arrivals) -> Iterator[Arrivals]:
    """The same, and this process tells that gateway what its calls are for."""
    spanmeter.instrument(arrivals.url)
    yield arrivals
    spanmeter.uninstrument()
    spanmeter.set_default()
