"""A gateway in front of a pretend provider, for the examples of the documentation."""

import time
from collections.abc import Iterator

import pytest
from tests.docs_examples.snippets import Recorded
from tests.fakes.exchange import Answer, Exchange
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.fakes.scripts import SCRIPTS
from tests.gateway_process import GatewayProcess

KEYS = {
    name: f"canary-{name.lower().replace('_', '-')}"
    for name in (
        *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "LITELLM_API_KEY"),
        *("HELICONE_API_KEY", "PORTKEY_API_KEY", "CF_API_TOKEN", "LECTR_KEY", "CASTAI_API_KEY"),
    )
}
"""The secrets that examples take from the environment."""
_PLAYED = {
    "messages": "anthropic-messages/basic",
    "embeddings": "openai-embeddings/base64",
    "responses": "openai-responses/basic",
}


async def fitting(exchange: Exchange, _: str) -> bool:
    """Answer whatever an example asks for."""
    ending = exchange.received.target.partition("?")[0].rpartition("/")[2]
    if ending not in _PLAYED:
        return await SCRIPTS["chat"](exchange, "")
    played = recording(_PLAYED[ending])
    return await exchange.send(Answer(200, played.response_headers, [played.response_body]))


@pytest.fixture(scope="package")
def provider() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts={"fitting": fitting}) as running:
        yield running


@pytest.fixture(scope="package")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running


@pytest.fixture(scope="package")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    upstreams = {
        name: {
            "provider": name,
            "base_url": provider.base_url,
            "headers": {"x-script": "fitting"},
        }
        for name in ("openai", "anthropic", "gemini")
    }
    with GatewayProcess(upstreams=upstreams, environ=sink.environ) as running:
        yield running


@pytest.fixture
def calls(sink: OtlpSink, gateway: GatewayProcess) -> "Calls":
    return Calls(sink)


class Calls:
    """The calls that begin from here on."""

    def __init__(self, sink: OtlpSink) -> None:
        self._sink = sink
        self._from_ns = time.time_ns()

    def spans(self, count: int) -> list[SinkSpan]:
        """Wait for the SERVER spans of so many calls, and return them in order."""
        self._sink.wait(lambda spans: len(self._ours(spans)) >= count)
        return sorted(self._ours(self._sink.spans).values(), key=lambda span: span.start_ns)

    def recorded(self, count: int = 1) -> list[Recorded]:
        """Wait for so many calls, and return what each was attributed to, in order."""
        return [recorded(span) for span in self.spans(count)]

    def _ours(self, spans: list[SinkSpan]) -> dict[str, SinkSpan]:
        return {
            span.span_id: span
            for span in list(spans)
            if span.kind == "SERVER" and span.start_ns >= self._from_ns
        }


def recorded(span: SinkSpan) -> Recorded:
    """Return what a call's span says that it was attributed to."""
    said = span.attributes
    return said["spanmeter.feature"], said.get("spanmeter.task"), said.get("spanmeter.tags", ())
