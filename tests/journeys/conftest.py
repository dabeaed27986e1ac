"""One gateway with short patience, and one pretend provider, for all journeys of this folder."""

from collections.abc import Iterator

import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess


@pytest.fixture(scope="module")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider() as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {
        "openai": here,
        "anthropic": here | {"provider": "anthropic"},
        "gemini": here | {"provider": "gemini"},
        "impatient": here | {"timeouts": {"first_byte_s": 0.5, "idle_s": 0.5}},
        "refused": {"provider": "openai", "base_url": "http://127.0.0.1:1"},
        "unroutable": {
            "provider": "openai",
            "base_url": "http://127.0.0.1.invalid",
        },
        "held": here | {"credential": {"env": "HELD_KEY"}},
    }
    environ = {**sink.environ, "HELD_KEY": "held-secret"}
    settings = {"limits": {"body_bytes": 1_000_000}}
    with GatewayProcess(upstreams=upstreams, settings=settings, environ=environ) as running:
        yield running
