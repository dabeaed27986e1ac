"""What goes through the gateway is counted there, what goes past it here, and nothing twice."""

from typing import Any

import httpx2
import openai
import pytest
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.recordings import recording
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.in_app.direct.application import Application, hooked

import spanmeter

PROMPT: Any = [{"role": "user", "content": "ping"}]


def ask(base_url: str, **options: Any) -> None:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=PROMPT, extra_headers={"x-script": "chat"}, **options
        )
        if options.get("stream"):
            assert {chunk.id for chunk in answer} == {"chatcmpl-1"}


def test_a_call_through_the_gateway_is_counted_there_alone(
    provider: ReplayProvider, sink: OtlpSink
) -> None:
    upstreams = {"openai": {"provider": "openai", "base_url": provider.base_url}}
    application = Application(provider.base_url)
    with (
        GatewayProcess(upstreams=upstreams, environ=sink.environ) as gateway,
        hooked(application, gateway.url),
    ):
        with application.tracer.start_as_current_span("request") as request, spanmeter.feature("c"):
            ask(gateway.url)
            ask(gateway.url, stream=True)
        counted = gateway.wait_metrics(lambda seen: seen.total("spanmeter_calls_total") >= 2)
        spans = sink.wait(lambda spans: sum(span.kind == "CLIENT" for span in spans) >= 2)

    assert counted.total("spanmeter_calls_total", spanmeter_feature="c") == 2
    assert application.calls == []
    assert application.series() == {}
    trace_id = f"{request.get_span_context().trace_id:032x}"
    assert {span.trace_id for span in spans} == {trace_id}


def test_a_call_past_the_gateway_is_counted_here_alone(provider: ReplayProvider) -> None:
    application = Application(provider.base_url)
    upstreams = {"openai": {"provider": "openai", "base_url": provider.base_url}}
    with GatewayProcess(upstreams=upstreams) as gateway, hooked(application, gateway.url):
        with application.tracer.start_as_current_span("request") as request, spanmeter.feature("d"):
            ask(provider.base_url)
        counted = gateway.metrics().total("spanmeter_calls_total")

    assert counted == 0
    assert application.attributes["spanmeter.feature"] == "d"
    parent = application.call.parent
    assert parent is not None
    assert parent.span_id == request.get_span_context().span_id
    assert application.total("gen_ai_client_inference_duration_seconds_count") == 1


def test_an_sdks_stream_is_one_span_that_went_well(
    application: Application, provider: ReplayProvider
) -> None:
    ask(provider.base_url, stream=True, stream_options={"include_usage": True})

    attributes = application.attributes
    assert attributes["spanmeter.outcome"] == "ok"
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.input_tokens"] > 0


def test_an_attempt_that_the_sdk_repeats_is_a_span_of_its_own(
    application: Application, provider: ReplayProvider
) -> None:
    script = {"x-script": "status 503"}
    with (
        openai.OpenAI(base_url=f"{provider.base_url}/v1", api_key="sk", max_retries=1) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="gpt-4o-mini", messages=PROMPT, extra_headers=script)

    ends = [(span.attributes or {})["error.type"] for span in application.calls]
    assert ends == ["503", "503"]


def test_what_asks_no_model_is_left_alone(
    application: Application, provider: ReplayProvider
) -> None:
    headers = {"x-script": "chat"}
    with httpx2.Client(base_url=provider.base_url, headers=headers) as client:
        client.get("/v1/models")
        client.get("/v1/chat/completions")
        client.post("/v1/files", content=b"{}")
        client.post("/v1/threads/1/messages", json={})
        client.post("/oauth/token", json={})

    assert application.calls == []
    assert application.series() == {}


def test_the_same_paths_of_a_stranger_are_left_alone(provider: ReplayProvider) -> None:
    played = recording("openai-chat/basic")
    stranger = Application(provider.base_url, None)
    with hooked(stranger), httpx2.Client() as client:
        client.post(
            provider.base_url + played.path,
            content=played.request_body,
            headers={"x-replay": played.id},
        )

    assert stranger.calls == []
    assert stranger.series() == {}
