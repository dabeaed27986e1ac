"""The world around a gateway, for every test that runs a real one: provider and collector."""

from collections.abc import Iterator

import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider


@pytest.fixture(scope="session")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider() as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running
