"""OpenAI's SDK for Node with another base URL and one header: the same answers, the same errors."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.components import require
from tests.drop_in.counted import calls_by_outcome, tokens_by_class
from tests.drop_in.node_sdk import node_modules
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

SCRIPT = Path(__file__).parent / "node" / "journeys.cjs"

Ask = Callable[[str, str, dict[str, str]], Any]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Run a journey in Node: its name, the base URL, the default headers."""
    node = require("node")
    environ = {**os.environ, "NODE_PATH": str(node_modules())}

    def run(journey: str, base_url: str, headers: dict[str, str]) -> Any:
        options = {"journey": journey, "baseURL": base_url, "headers": headers}
        finished = subprocess.run(
            [str(node), str(SCRIPT), json.dumps(options)],
            check=True,
            capture_output=True,
            timeout=60,
            env=environ,
        )
        return json.loads(finished.stdout)

    return run


@pytest.mark.parametrize(
    ("journey", "replay", "tokens"),
    [
        ("chat", "openai-chat/basic", {"input": 22, "output": 3}),
        ("chatStream", "openai-chat/stream-no-usage", {"input": 9, "output": 4}),
        ("embeddings", "openai-embeddings/float-list", {"input": 4}),
        ("response", "openai-responses/tool-call", {"input": 72, "output": 8}),
        ("responseStream", "openai-responses/stream-emoji", {"input": 9, "output": 12}),
    ],
)
def test_the_answer_is_the_one_that_the_provider_gives(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    journey: str,
    replay: str,
    tokens: dict[str, float],
) -> None:
    feature = f"node {journey}"
    headers = {
        "x-replay": replay,
        "x-replay-chunking": "random:1",
        "x-replay-usage": "9,4",
    }

    direct = ask(journey, f"{provider.base_url}/v1", headers)
    through = ask(journey, f"{gateway.url}/v1", headers | {"X-Feature": feature})

    assert through == direct
    assert "answer" in direct
    assert calls_by_outcome(gateway, feature) == {"ok": 1}
    assert tokens_by_class(gateway, feature) == tokens


@pytest.mark.parametrize(
    ("replay", "error", "outcome"),
    [
        ("openai-chat/error-404", "NotFoundError", "caller_error"),
        ("openai-chat/error-401", "AuthenticationError", "caller_error"),
        ("derived/openai-quota-429", "RateLimitError", "provider_error"),
    ],
)
def test_an_error_of_the_provider_is_thrown_as_without_a_gateway(
    provider: ReplayProvider,
    gateway: GatewayProcess,
    ask: Ask,
    replay: str,
    error: str,
    outcome: str,
) -> None:
    feature = f"node {replay}"
    headers = {"x-replay": replay}

    direct = ask("chat", f"{provider.base_url}/v1", headers)
    through = ask("chat", f"{gateway.url}/v1", headers | {"X-Feature": feature})

    assert through == direct
    assert direct["error"] == error
    assert calls_by_outcome(gateway, feature) == {outcome: 1}


def test_an_unreachable_provider_is_a_503(gateway: GatewayProcess, ask: Ask) -> None:
    thrown = ask("chat", f"{gateway.url}/nowhere/v1", {"X-Feature": "node nowhere"})

    assert thrown == {
        "error": "InternalServerError",
        "status": 503,
        "code": "provider_unreachable",
    }
    assert calls_by_outcome(gateway, "node nowhere") == {"provider_error": 1}
