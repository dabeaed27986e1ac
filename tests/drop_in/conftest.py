"""A gateway in front of a pretend provider, as an application meets it: by its base URL."""

import socket
from collections.abc import Iterator

import pytest
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

BODY_LIMIT_BYTES = 100_000


@pytest.fixture(scope="session")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    upstreams = {
        name: {"provider": name, "base_url": provider.base_url}
        for name in ("openai", "anthropic", "gemini", "azure", "groq")
    }
    # A port that was bound and never listened on refuses every connection while it is held.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        upstreams["nowhere"] = {"provider": "openai", "base_url": nowhere}
        upstreams["nowhere-anthropic"] = {"provider": "anthropic", "base_url": nowhere}
        upstreams["nowhere-gemini"] = {"provider": "gemini", "base_url": nowhere}
        with GatewayProcess(
            upstreams=upstreams, settings={"limits": {"body_bytes": BODY_LIMIT_BYTES}}
        ) as running:
            yield running
