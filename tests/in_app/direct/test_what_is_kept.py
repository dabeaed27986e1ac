"""Nothing of a prompt, an answer or a key is kept or printed, and metering breaks no call."""

import gc
import json
import logging
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.fakes.canaries import CANARY, KEYS, calls, tell
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.in_app.direct.application import Application, hooked

import spanmeter
from spanmeter.dialects.answer import AnswerTally
from spanmeter.direct import call as direct_call
from spanmeter.direct.meter import DirectMeter
from spanmeter.metric import Semconv

PATH = "/v1/chat/completions"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "ping"}]}
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"a" * 900 + b'"}}]}\n\n'


@pytest.fixture(scope="module")
def telling() -> Iterator[ReplayProvider]:
    with ReplayProvider(scripts={"tell": tell}) as running:
        yield running


def test_no_canary_is_printed(telling: ReplayProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spanmeter")
    application = Application(telling.base_url)
    with hooked(application), httpx2.Client(timeout=1) as client:
        for each in calls():
            if each.target.startswith("/") and len(each.body) < 100_000:
                headers = [*KEYS, *each.headers, ("x-script", each.script)]
                with suppress(httpx2.HTTPError):
                    client.request(
                        each.method,
                        telling.base_url + each.target,
                        content=each.body,
                        headers=headers,
                    )
        written = application.written()

    assert len(application.calls) > 50
    assert CANARY not in written
    assert CANARY not in caplog.text


def stream(meter: DirectMeter) -> Any:
    call = meter.begin(
        method="POST",
        url="https://api.openai.com/v1/chat/completions",
        headers={},
        body=json.dumps(CHAT | {"stream": True}).encode(),
    )
    assert call is not None
    call.answered(200, {"content-type": "text/event-stream"})
    return call


def test_a_streams_memory_does_not_grow_with_it() -> None:
    call = stream(DirectMeter())
    for _ in range(1000):
        call.received(PIECE)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(20_000):
            call.received(PIECE)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    call.ended(None, is_whole=True)

    assert held_bytes < 100_000


@pytest.mark.parametrize(
    ("owner", "name"), [(AnswerTally, "feed"), (AnswerTally, "close"), (direct_call, "judge")]
)
def test_a_fault_of_the_meter_breaks_no_call(
    application: Application,
    provider: ReplayProvider,
    monkeypatch: pytest.MonkeyPatch,
    *,
    owner: Any,
    name: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(owner, name, fail)
    with httpx2.Client() as client:
        answer = client.post(provider.base_url + PATH, json=CHAT, headers={"x-script": "chat"})

    assert answer.json()["choices"]


def test_an_answer_that_cannot_be_read_still_ends_its_span(
    application: Application, provider: ReplayProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(AnswerTally, "feed", fail)
    with httpx2.Client() as client:
        client.post(provider.base_url + PATH, json=CHAT, headers={"x-script": "chat"})

    assert application.attributes["spanmeter.outcome"] == "ok"
    assert application.attributes["spanmeter.usage.source"] == "none"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "raw-deflate", "br", "zstd"])
def test_every_coding_is_undone(
    application: Application, provider: ReplayProvider, encoding: str
) -> None:
    played = recording("openai-chat/stream-include-usage")
    headers = {"x-replay": played.id, "x-replay-encoding": encoding, "x-replay-chunking": "bytes"}
    with (
        httpx2.Client() as client,
        client.stream(
            "POST", provider.base_url + played.path, content=played.request_body, headers=headers
        ) as answer,
    ):
        for _ in answer.iter_raw():
            pass

    found = application.attributes["gen_ai.usage.output_tokens"]
    assert found == played.expected["output_tokens"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"not json", {}),
        (b"\x00", {"content-encoding": "gzip"}),
        (b"{}", {"content-encoding": "x"}),
    ],
)
def test_a_request_that_cannot_be_read_is_metered_without_its_model(
    application: Application, provider: ReplayProvider, body: bytes, headers: dict[str, str]
) -> None:
    with httpx2.Client() as client:
        client.post(
            provider.base_url + PATH, content=body, headers={**headers, "x-script": "status 400"}
        )

    assert application.call.name == "chat"
    assert "gen_ai.request.model" not in application.attributes


def test_a_body_that_is_streamed_is_metered_without_its_model(
    application: Application, provider: ReplayProvider
) -> None:
    pieces = iter([json.dumps(CHAT).encode()])
    with httpx2.Client() as client:
        client.post(provider.base_url + PATH, content=pieces, headers={"x-script": "chat"})

    attributes = application.attributes
    assert "gen_ai.request.model" not in attributes
    assert attributes["gen_ai.response.model"] == "gpt-4o-mini"


def test_attribution_is_that_of_the_line_that_called(
    application: Application, provider: ReplayProvider
) -> None:
    with (
        spanmeter.feature("chat"),
        spanmeter.task("answer"),
        spanmeter.tags(env="prod", plan="pro"),
        httpx2.Client() as client,
    ):
        client.post(provider.base_url + PATH, json=CHAT, headers={"x-script": "chat"})

    attributes = application.attributes
    assert attributes["spanmeter.feature"] == "chat"
    assert attributes["spanmeter.task"] == "answer"
    assert attributes["spanmeter.tag.plan"] == ("pro",)
    assert attributes["spanmeter.tags"] == ("env:prod", "plan:pro")
    labels = dict(next(labels for _, labels in application.series()))
    assert labels["spanmeter_feature"] == "chat"
    assert labels["spanmeter_tag_env"] == "prod"
    assert "spanmeter_tag_plan" not in labels


@pytest.mark.parametrize(
    ("semconv", "old", "new"), [("latest", 0, 1), ("v1_41", 1, 0), ("both", 1, 1)]
)
def test_a_generation_of_the_conventions_can_be_chosen(
    provider: ReplayProvider, semconv: Semconv, *, old: int, new: int
) -> None:
    application = Application(provider.base_url, semconv=semconv)
    with hooked(application), httpx2.Client() as client:
        client.post(provider.base_url + PATH, json=CHAT, headers={"x-script": "chat"})
        series = application.series()

    counts = {name: value for (name, _), value in series.items() if name.endswith("_count")}
    assert counts.get("gen_ai_client_operation_duration_seconds_count", 0) == old
    assert counts.get("gen_ai_client_inference_duration_seconds_count", 0) == new


def test_the_times_between_chunks_are_counted_only_where_that_is_asked_for() -> None:
    def counted(times_chunks: bool) -> bool:  # noqa: FBT001 - one argument
        reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[reader])
        call = stream(DirectMeter(times_chunks=times_chunks, meter_provider=meters))
        call.received(PIECE)
        call.received(PIECE)
        call.ended(None, is_whole=True)
        printed = reader.get_metrics_data()
        meters.shutdown()
        assert printed is not None
        return "time_per_output_chunk" in printed.to_json()

    assert [counted(False), counted(True)] == [False, True]


def test_without_telemetry_a_call_is_metered_into_nothing() -> None:
    call = stream(DirectMeter())

    call.received(PIECE)
    call.ended(None, is_whole=True)
