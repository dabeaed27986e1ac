"""The same code, once through a gateway and once straight to the provider: one telemetry.

Every recording is played both ways by one application, whose clients are hooked; what the gateway
sends as the CLIENT span and prints as GenAI metrics is compared with what the application makes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.recordings import Recording, all_recordings
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.in_app.direct.application import Application, hooked
from tests.otlp_series import Series, series_of_page
from tests.recordings_replay.routes import target, upstreams

import spanmeter
from spanmeter.genai_metrics import GENAI_METRICS, TIME_PER_CHUNK

FEATURE = "played both ways"
TAGS = {"env": "prod", "team": "ml", "plan": "pro"}
SETTINGS = {
    "semconv": "both",
    "metrics": {"time_per_output_chunk": True},
    "cardinality": {"tasks": 1000, "models": 1000},
}

OF_THE_GATEWAY_ALONE = {
    "spanmeter.cost.amount",  # prices are the gateway's
    "spanmeter.cost.currency",
    "spanmeter.cost.source",
    "spanmeter.cost.price_version",
}
"""Attributes that an application does not give to its spans; there is none the other way round."""
MEASURED = {"gen_ai.response.time_to_first_chunk"}
"""Attributes that both have, with values that two runs cannot share."""


@dataclass(frozen=True)
class BothWays:
    """What came of all recordings, played twice."""

    gateway_spans: Mapping[str, SinkSpan]
    """By recording."""
    direct_spans: Mapping[str, list[ReadableSpan]]
    gateway_series: Series
    direct_series: Series


def encoding(played: Recording) -> str:
    return ("identity", "gzip", "br")[sum(played.id.encode()) % 3]


def play(client: httpx2.Client, played: Recording, url: str) -> None:
    headers = {
        **dict(played.request_headers),
        "x-replay": played.id,
        "x-replay-encoding": encoding(played),
        "x-replay-chunking": "events",
        "accept-encoding": "gzip, br",
    }
    try:
        with (
            spanmeter.feature(FEATURE),
            spanmeter.task(played.id),
            spanmeter.tags(TAGS),
            client.stream("POST", url, headers=headers, content=played.request_body) as answer,
        ):
            for _ in answer.iter_bytes():
                pass
    except httpx2.RemoteProtocolError:
        assert played.is_aborted


def direct_runs(client: httpx2.Client, provider: ReplayProvider) -> Iterator[Application]:
    """Play all recordings directly, those of each provider as an application that knows it."""
    for name in sorted({played.expected["provider"] for played in all_recordings()}):
        with hooked(Application(provider.base_url, name)) as application:
            for played in all_recordings():
                if played.expected["provider"] == name:
                    play(client, played, provider.base_url + played.path)
            yield application


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client() as opened:
        yield opened


@pytest.fixture(scope="module")
def both(client: httpx2.Client, provider: ReplayProvider, sink: OtlpSink) -> BothWays:
    count = len(all_recordings())
    with GatewayProcess(
        upstreams=upstreams(provider.base_url), settings=SETTINGS, environ=sink.environ
    ) as gateway:
        with hooked(Application(provider.base_url), gateway.url) as application:
            for played in all_recordings():
                play(client, played, gateway.url + target(played))
            assert application.calls == []
        gateway.wait_metrics(lambda seen: seen.total("spanmeter_calls_total") >= count)
        page = gateway.metrics().text
        spans = sink.wait(lambda spans: sum(span.kind == "CLIENT" for span in spans) >= count)
    direct_spans: dict[str, list[ReadableSpan]] = {}
    direct_series: dict[Any, float] = {}
    for application in direct_runs(client, provider):
        direct_series |= application.series()
        for span in application.calls:
            played_id = str((span.attributes or {})["spanmeter.task"])
            direct_spans.setdefault(played_id, []).append(span)
    return BothWays(
        gateway_spans={
            str(span.attributes["spanmeter.task"]): span for span in spans if span.kind == "CLIENT"
        },
        direct_spans=direct_spans,
        gateway_series=genai(series_of_page(page)),
        direct_series=direct_series,
    )


def genai(series: Series) -> Series:
    names = tuple(metric.prometheus_name for metric in GENAI_METRICS)
    return {key: value for key, value in series.items() if key[0].startswith(names)}


def test_every_call_makes_one_span(both: BothWays) -> None:
    assert {played_id: len(spans) for played_id, spans in both.direct_spans.items()} == {
        played.id: 1 for played in all_recordings()
    }
    assert both.direct_spans.keys() == both.gateway_spans.keys()


@pytest.mark.parametrize("played_id", [played.id for played in all_recordings()])
def test_a_span_is_the_gateways(both: BothWays, played_id: str) -> None:
    theirs, ours = both.gateway_spans[played_id], both.direct_spans[played_id][0]

    wanted = {
        name: value
        for name, value in theirs.attributes.items()
        if name not in OF_THE_GATEWAY_ALONE | MEASURED
    }
    attributes = dict(ours.attributes or {})
    assert {name: value for name, value in attributes.items() if name not in MEASURED} == wanted
    assert MEASURED & attributes.keys() == MEASURED & theirs.attributes.keys()
    assert (ours.name, ours.status.status_code.name) == (theirs.name, theirs.status)


def is_time(name: str) -> bool:
    return "_seconds_" in name and not name.endswith("_count")


def is_of_chunks(name: str) -> bool:
    """How many reads an answer takes, or whether one is enough, is the network's affair."""
    return name.startswith(TIME_PER_CHUNK.prometheus_name)


def test_the_metrics_are_the_gateways(both: BothWays) -> None:
    ours, theirs = (
        {
            (name, labels): -1 if is_time(name) else value
            for (name, labels), value in series.items()
            if not is_of_chunks(name)
        }
        for series in (both.direct_series, both.gateway_series)
    )

    assert ours == theirs
    assert len({name for name, _ in ours}) > 20


def test_the_times_between_chunks_have_the_labels_of_the_gateways(both: BothWays) -> None:
    ours, theirs = (
        {frozenset(dict(labels)) for name, labels in series if is_of_chunks(name)}
        for series in (both.direct_series, both.gateway_series)
    )

    assert ours == theirs != set()


def test_the_buckets_are_the_gateways(both: BothWays) -> None:
    def bounds(series: Series) -> set[tuple[str, str]]:
        return {(name, dict(labels)["le"]) for name, labels in series if name.endswith("_bucket")}

    assert bounds(both.direct_series) == bounds(both.gateway_series)
    assert len({name for name, _ in bounds(both.direct_series)}) == 8
