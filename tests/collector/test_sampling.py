"""Which traces are kept, and that all of a kept trace is."""

from collections.abc import Iterable
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context
from tests.collector_process import CollectorProcess
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.gateway_process import Metrics
from tests.processes import wait_until

START_NS = 1_700_000_000 * 10**9
DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled"


class Call(NamedTuple):
    """What a call's two spans say."""

    feature: str
    duration_ms: int = 1000
    cost_usd: float = 0.01
    status: StatusCode = StatusCode.UNSET


def test_failed_slow_and_expensive_calls_are_kept_and_no_others() -> None:
    calls = [
        Call("plain"),
        Call("failed", status=StatusCode.ERROR),
        Call("slow", duration_ms=20_001),
        Call("not-slow", duration_ms=20_000),
        Call("expensive", cost_usd=0.26),
        Call("not-expensive", cost_usd=0.25),
    ]

    kept = _kept_of(calls, sample_percent=0)

    assert sorted((span.attributes["spanmeter.feature"], span.kind) for span in kept) == [
        ("expensive", "CLIENT"),
        ("expensive", "SERVER"),
        ("failed", "CLIENT"),
        ("failed", "SERVER"),
        ("slow", "CLIENT"),
        ("slow", "SERVER"),
    ]


def test_a_share_of_the_rest_is_kept() -> None:
    kept = _kept_of([Call("plain")] * 200, sample_percent=50)

    # A fair coin leaves these bounds, six standard deviations, less than once in 100 million runs.
    assert 100 - 43 <= len({span.trace_id for span in kept}) <= 100 + 43


def _kept_of(calls: list[Call], *, sample_percent: int) -> list[SinkSpan]:
    with (
        OtlpSink() as sink,
        grpc_door(sink) as door,
        CollectorProcess(traces_to=door, sample_percent=sample_percent) as collector,
    ):
        _send(calls, collector.http_endpoint)
        wait_until(lambda: _decided(collector) == len(calls))
        kept = int(_decided(collector, decision="sampled"))
        return sink.wait(lambda spans: len(spans) >= 2 * kept)


def _decided(collector: CollectorProcess, **labels: str) -> float:
    return Metrics(collector.own_metrics()).total(DECIDED, **labels)


def _send(calls: Iterable[Call], endpoint: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    for call in calls:
        _record(call, provider.get_tracer("gateway"))
    provider.shutdown()


def _record(call: Call, tracer: Tracer) -> None:
    end_ns = START_NS + call.duration_ms * 10**6
    feature = {"spanmeter.feature": call.feature}
    server = tracer.start_span(
        "POST", kind=SpanKind.SERVER, attributes=feature, start_time=START_NS
    )
    client = tracer.start_span(
        "chat",
        context=set_span_in_context(server),
        kind=SpanKind.CLIENT,
        attributes=feature | {"spanmeter.cost.amount": call.cost_usd},
        start_time=START_NS,
    )
    client.set_status(call.status)
    client.end(end_ns)
    server.end(end_ns)
