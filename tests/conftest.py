"""The world around a gateway, for every test that runs a real one: provider and collector."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider

# A machine that does much else at a moment is no fault of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider() as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running
