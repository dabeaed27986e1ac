"""The caller's trace goes through the gateway as W3C says, and what is not sampled is counted."""

from collections.abc import Iterator

import pytest
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = b'{"model":"gpt-4o-mini","messages":[]}'
SAMPLED, RANDOM, HAS_PARENT_PLACE, IS_REMOTE = 0x1, 0x2, 0x100, 0x200


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider, sink: OtlpSink) -> Iterator[GatewayProcess]:
    here = {"provider": "openai", "base_url": provider.base_url}
    upstreams = {"openai": here | {"forward_trace": True}, "private": here}
    environ = {
        **sink.environ,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0",
    }
    with GatewayProcess(upstreams=upstreams, environ=environ) as running:
        yield running


def call(gateway: GatewayProcess, feature: str, *context: tuple[str, str], upstream: str) -> None:
    lines = [("x-feature", feature), ("x-replay-key", feature), ("x-script", "chat"), *context]
    with RawClient(gateway.url) as client:
        client.call(f"/{upstream}/v1/chat/completions", BODY, headers=lines)


def spans_of(sink: OtlpSink, feature: str) -> list[SinkSpan]:
    def ours(spans: list[SinkSpan]) -> list[SinkSpan]:
        return [span for span in spans if span.attributes["spanmeter.feature"] == feature]

    found = ours(sink.wait(lambda spans: len(ours(spans)) >= 2))
    return sorted(found, key=lambda span: span.kind, reverse=True)


def test_the_caller_is_the_parent_and_its_state_and_flags_go_on(
    gateway: GatewayProcess, provider: ReplayProvider, sink: OtlpSink
) -> None:
    context = [
        ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-03"),
        ("tracestate", "a=1, b=2"),
        ("tracestate", "c=3"),
    ]

    call(gateway, "traced", *context, upstream="openai")

    server, client = spans_of(sink, "traced")
    received = provider.take("traced")
    assert (server.trace_id, server.parent_id) == (TRACE_ID, PARENT_ID)
    assert (client.trace_id, client.parent_id) == (TRACE_ID, server.span_id)
    assert (server.flags, client.flags) == (
        SAMPLED | RANDOM | HAS_PARENT_PLACE | IS_REMOTE,
        SAMPLED | RANDOM | HAS_PARENT_PLACE,
    )
    assert {server.trace_state, client.trace_state} == {"a=1,b=2,c=3"}
    assert received.header("traceparent") == f"00-{TRACE_ID}-{client.span_id}-03"
    assert received.header("tracestate") == "a=1,b=2,c=3"


def test_a_provider_sees_no_trace_unless_its_upstream_says_so(
    gateway: GatewayProcess, provider: ReplayProvider
) -> None:
    context = [("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01"), ("tracestate", "a=1")]

    call(gateway, "private", *context, upstream="private")

    received = provider.take("private")
    assert (received.header("traceparent"), received.header("tracestate")) == ("", "")


@pytest.mark.parametrize(
    ("feature", "context"),
    [
        ("own-trace", []),
        ("callers-trace", [("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00")]),
        ("two-parents", [("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")] * 2),
    ],
)
def test_what_is_not_sampled_has_no_span_but_is_counted_and_the_provider_is_told(
    gateway: GatewayProcess,
    provider: ReplayProvider,
    sink: OtlpSink,
    feature: str,
    context: list[tuple[str, str]],
) -> None:
    later = f"after-{feature}"

    call(gateway, feature, *context, upstream="openai")
    call(gateway, later, ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01"), upstream="private")

    flags = int(provider.take(feature).header("traceparent")[-2:], 16)
    gateway.wait_metrics(
        lambda now: now.total("spanmeter_calls_total", spanmeter_feature=feature) == 1
    )
    sent = {span.attributes["spanmeter.feature"] for span in (*spans_of(sink, later), *sink.spans)}
    counted = gateway.metrics().total(
        "gen_ai_client_inference_duration_seconds_count", spanmeter_feature=feature
    )
    assert flags & SAMPLED == 0
    assert (feature in sent, later in sent) == (False, True)
    assert counted == 1
