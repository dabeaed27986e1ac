"""Metrics over OTLP from a real gateway: they are those of its last page, whatever the backend."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics
from tests.otlp_series import (
    labels_of,
    metrics_of,
    points_of,
    series_of_page,
    series_of_requests,
)
from tests.traffic import PLAIN, PRICES, call

PROTOCOLS = ("http/protobuf", "grpc")
CALLS = 5
STOP_S = 12.0
SOON = {"OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}


@contextmanager
def open_sink(protocol: str) -> Iterator[tuple[OtlpSink, dict[str, str]]]:
    """Serve a sink; the variables that send spans and metrics there."""
    with OtlpSink() as sink, grpc_door(sink) as door:
        endpoint = {"http/protobuf": sink.endpoint, "grpc": door}[protocol]
        yield (
            sink,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            },
        )


def gateway_to(provider: ReplayProvider, environ: dict[str, str]) -> GatewayProcess:
    upstreams = {
        "openai": {"base_url": provider.base_url},
        "refused": {"provider": "openai", "base_url": "http://127.0.0.1:1"},
    }
    return GatewayProcess(upstreams=upstreams, settings={"prices": PRICES}, environ=environ)


def make_calls(gateway: GatewayProcess, name: str) -> list[int | None]:
    """Make some that end well and one that reaches nobody; their statuses."""
    with RawClient(gateway.url) as client:
        seen = [call(client, PLAIN, name, "same") for _ in range(CALLS)]
        headers = [("x-feature", f'{name} "q" ü'), *PLAIN.headers]
        seen.append(client.call(f"/refused{PLAIN.target}", PLAIN.body, headers=headers).status)
    return seen


def settled_page(gateway: GatewayProcess, calls: int) -> Metrics:
    """Wait until all calls are counted, their spans sent, and the page stands still."""
    last = ""

    def is_settled(now: Metrics) -> bool:
        nonlocal last
        before, last = last, now.text
        return (
            now.text == before
            and now.total("spanmeter_calls_total") == calls
            and now.total("spanmeter_spans_total", result="sent") == 2 * calls
        )

    return gateway.wait_metrics(is_settled)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_was_sent_at_the_stop_is_the_last_page(
    provider: ReplayProvider, protocol: str
) -> None:
    with open_sink(protocol) as (sink, environ):
        with gateway_to(provider, environ) as gateway:
            seen = make_calls(gateway, "checkout")
            page = settled_page(gateway, len(seen))
            gateway.stop()
        sent = series_of_requests(sink.metrics)

    assert seen == [200] * CALLS + [503]
    assert sent == series_of_page(page.text)


def instances(sink: OtlpSink) -> set[str]:
    """Name the `service.instance.id` of everything that came."""
    of_spans = {str(span.resource["service.instance.id"]) for span in sink.spans}
    return of_spans | {
        pair.value.string_value
        for request in sink.metrics
        for group in request.resource_metrics
        for pair in group.resource.attributes
        if pair.key == "service.instance.id"
    }


def test_deltas_of_two_runs_add_up_to_the_page_and_come_from_one_instance(
    provider: ReplayProvider,
) -> None:
    delta = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    with open_sink("http/protobuf") as (sink, environ):
        with gateway_to(provider, environ | delta) as gateway:
            make_calls(gateway, "checkout")
            gateway.stop()
            gateway.start()
            make_calls(gateway, "checkout")
            page = gateway.wait_metrics(
                lambda now: now.total("spanmeter_calls_total") == 2 * (CALLS + 1)
            )
            gateway.stop()
        calls = [
            (labels_of(point)["spanmeter_outcome"], point.as_int)
            for metric in metrics_of(sink.metrics)
            if metric.name == "spanmeter.calls"
            for point in points_of(metric)
        ]
        found = instances(sink)

    sums = {outcome: sum(n for one, n in calls if one == outcome) for outcome, _ in calls}
    assert {outcome: total for outcome, total in sums.items() if total} == page.by(
        "spanmeter_calls_total", "spanmeter_outcome"
    )
    assert len(found) == 1


@contextmanager
def silent_port() -> Iterator[int]:
    """Take every connection and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()


@contextmanager
def dead_port() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("backend", [dead_port, silent_port])
def test_a_dead_or_silent_backend_costs_neither_calls_nor_pages_nor_a_slow_stop(
    provider: ReplayProvider, backend: Callable[[], AbstractContextManager[int]], protocol: str
) -> None:
    with backend() as port:
        environ = SOON | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        with gateway_to(provider, environ) as gateway:
            seen = make_calls(gateway, "checkout")
            page = gateway.wait_metrics(
                lambda now: (
                    now.total("spanmeter_metric_exports_total", result="failed") > 1
                    and now.total("spanmeter_calls_total") == len(seen)
                    and now.total("spanmeter_span_queue_size_bytes") > 0
                )
            )
            gateway.stop(timeout_s=STOP_S)
            warnings = gateway.errors.count("OTLP metrics: ")

    assert seen == [200] * CALLS + [503]
    assert page.total("spanmeter_metric_exports_total", result="sent") == 0
    assert page.total("spanmeter_span_queue_capacity_bytes") == 32 << 20
    assert warnings == 1
