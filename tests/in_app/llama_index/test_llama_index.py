"""LlamaIndex' client of OpenAI, unchanged, through a real gateway."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.components import require
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[3]
CHAT = Path(__file__).with_name("chat.py")
TRACE, PARENT = f"{0xAB:032x}", f"{0xCD:016x}"
KINDS = {"llama chat", "llama stream", "llama chat async", "llama stream async"}


@pytest.fixture
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    upstreams = {"openai": {"provider": "openai", "base_url": provider.base_url}}
    with GatewayProcess(upstreams=upstreams, environ=sink.environ) as running:
        yield running


def test_llama_index_calls_are_attributed(gateway: GatewayProcess, sink: OtlpSink) -> None:
    python = require("llama-index")

    ran = subprocess.run(
        [str(python), str(CHAT), gateway.url, f"00-{TRACE}-{PARENT}-01"],
        env={"PYTHONPATH": str(ROOT / "instrumentation/src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (0, "")

    def of(kind: str, spans: list[SinkSpan]) -> list[SinkSpan]:
        return [span for span in spans if span.kind == kind]

    spans = sink.wait(lambda came: len(of("CLIENT", came)) >= len(KINDS))
    calls = [span.attributes for span in of("CLIENT", spans)]
    assert {call["spanmeter.feature"] for call in calls} == KINDS
    assert {(call["spanmeter.task"], *call["spanmeter.tags"]) for call in calls} == {
        ("answer", "env:test")
    }
    assert {call["spanmeter.outcome"] for call in calls} == {"ok"}
    servers = of("SERVER", spans)
    assert {(span.trace_id, span.parent_id) for span in servers} == {(TRACE, PARENT)}
    assert b"CANARY" not in b"".join(sink.bodies)
