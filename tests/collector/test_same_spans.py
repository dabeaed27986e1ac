"""The gateway's spans leave the Collector as they came: the contract passes every net."""

from tests.collector.gateway_traffic import OTHERS, drive, gateway_with
from tests.collector_process import CollectorProcess
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink, SinkSpan
from tests.fakes.otlp_tee import otlp_tee
from tests.fakes.replay_provider import ReplayProvider


def test_spans_of_the_gateway_pass_unaltered(provider: ReplayProvider) -> None:
    with (
        OtlpSink() as before,
        OtlpSink() as after,
        grpc_door(after) as door,
        CollectorProcess(traces_to=door) as collector,
        otlp_tee([before.endpoint, collector.http_endpoint]) as tee,
    ):
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": tee, "OTEL_METRICS_EXPORTER": "none"}
        with gateway_with(provider, environ) as gateway:
            calls = len(drive(gateway)) + OTHERS
            # Each call has a SERVER span and one of its attempt, but for one that had none.
            sent = before.wait(lambda spans: len(spans) >= 2 * calls - 1)
            passed = after.wait(lambda spans: len(spans) >= len(sent))

    assert _in_order(passed) == _in_order(sent)
    assert {name for span in sent for name, _ in span.events} == {"tags.dropped"}
    assert "gen_ai.usage.cost" in {name for span in sent for name in span.attributes}


def _in_order(spans: list[SinkSpan]) -> list[SinkSpan]:
    return sorted(spans, key=lambda span: span.span_id)
