"""Spans wait on disk while their backend is away, and over an end of the Collector."""

from collections.abc import Callable

import pytest
from tests.collector.other_application import send_spans
from tests.collector_process import CollectorProcess
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink
from tests.gateway_process import Metrics
from tests.processes import wait_until


@pytest.mark.parametrize("end", [CollectorProcess.stop, CollectorProcess.kill])
def test_spans_outlive_a_backend_that_is_away_and_an_end(
    end: Callable[[CollectorProcess], None],
) -> None:
    with OtlpSink() as sink:
        with grpc_door(sink) as door:
            port = int(door.rpartition(":")[2])
        with CollectorProcess(traces_to=door) as collector:
            send_spans(collector.http_endpoint)
            # Both are decided on and on disk, where a kill does not reach them.
            wait_until(lambda: _queued(collector) == 2)
            end(collector)
            collector.start()
            with grpc_door(sink, port):
                spans = sink.wait(lambda arrived: len(arrived) >= 2)

    assert sorted(span.name for span in spans) == ["chat model-****", "span"]


def _queued(collector: CollectorProcess) -> float:
    return Metrics(collector.own_metrics()).total("otelcol_exporter_queue_size")
