import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from tests.gateway.telemetry.samples import (
    ATTEMPT_SPAN,
    BILL,
    START_NS,
    TRACE,
    a_receipt,
    an_attempt,
)
from tests.prometheus_process import PrometheusProcess

from spanmeter_gateway.receipt import Receipt, Trace
from spanmeter_gateway.telemetry import names
from spanmeter_gateway.telemetry.cells import Exemplar
from spanmeter_gateway.telemetry.exemplars import exemplar_filter_from_env
from spanmeter_gateway.telemetry.exposition import render
from spanmeter_gateway.telemetry.metric import ExemplarFilter, MetricSettings
from spanmeter_gateway.telemetry.registry import Registry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
EVERYTHING = MetricSettings(semconv="both", switches=frozenset({"metrics.operation_cost"}))
UNSAMPLED = msgspec.structs.replace(TRACE, sampled=False)
OTHER = Trace(trace_id="1" * 32, span_id="2" * 16)


def _collected(registry: Registry, name: str) -> list[tuple[Exemplar | None, ...]]:
    registry.collect()
    return [
        point.exemplars
        for family in registry.collect()
        for point in family.points
        if family.metric.name == name and any(point.numbers)
    ]


def _with(*receipts: Receipt, settings: MetricSettings = EVERYTHING) -> Registry:
    registry = Registry((), settings=settings)
    for receipt in receipts:
        registry.enter(receipt, BILL)
    return registry


def test_a_call_is_an_example_by_its_server_span_and_an_attempt_by_its_own() -> None:
    registry = _with(a_receipt())

    assert _collected(registry, names.CALLS.name) == [
        (Exemplar(TRACE.trace_id, TRACE.span_id, 1, START_NS + 1_500_000_000),)
    ]
    assert _collected(registry, names.ATTEMPTS.name) == [
        (Exemplar(TRACE.trace_id, ATTEMPT_SPAN, 1, START_NS + 1_401_000_000),)
    ]


def test_exactly_the_metrics_that_say_so_have_exemplars() -> None:
    stream = a_receipt(stream=True, attempts=(an_attempt(first_chunk_ns=5_000_000),))
    registry = _with(a_receipt(operation="embeddings"), stream, a_receipt(kind="passthrough"))
    registry.collect()

    having = {
        family.metric.name
        for family in registry.collect()
        for point in family.points
        if point.exemplars
    }

    assert having == {metric.name for metric in names.METRICS if metric.has_exemplars}


def test_the_spans_of_exemplars_are_those_of_calls_or_of_attempts() -> None:
    registry = _with(a_receipt(stream=True, attempts=(an_attempt(first_chunk_ns=5_000_000),)))
    registry.collect()

    span_ids = {
        (family.metric.name.startswith("gen_ai"), exemplar.span_id)
        for family in registry.collect()
        if family.metric is not names.ATTEMPTS
        for point in family.points
        for exemplar in point.exemplars
        if exemplar
    }

    assert span_ids == {(False, TRACE.span_id), (True, ATTEMPT_SPAN)}


def test_each_bucket_remembers_its_last_observation() -> None:
    fast, slow = 200_000_000, 1_500_000_000
    registry = _with(
        a_receipt(duration_ns=fast),
        a_receipt(duration_ns=slow),
        a_receipt(duration_ns=slow + 1, trace=OTHER),
    )

    [exemplars] = _collected(registry, names.CALL_DURATION.name)

    assert [(exemplar.trace_id, exemplar.amount) for exemplar in exemplars if exemplar] == [
        (TRACE.trace_id, fast),
        (OTHER.trace_id, slow + 1),
    ]
    assert len(exemplars) == len(names.CALL_DURATION.buckets) + 1


def test_a_new_series_that_is_shown_at_zero_shows_no_exemplar() -> None:
    points = [point for family in _with(a_receipt()).collect() for point in family.points]

    assert [point.exemplars for point in points if point.exemplars] == []


@pytest.mark.parametrize(
    ("wanted", "trace_ids"),
    [("always_off", []), ("trace_based", ["1" * 32]), ("always_on", ["1" * 32, TRACE.trace_id])],
)
def test_the_filter_says_whose_calls_are_examples(
    wanted: ExemplarFilter, trace_ids: list[str]
) -> None:
    registry = _with(
        a_receipt(feature="a", trace=OTHER),
        a_receipt(feature="b", trace=UNSAMPLED),
        settings=MetricSettings(exemplar_filter=wanted),
    )

    exemplars = _collected(registry, names.CALLS.name)

    assert [exemplar.trace_id for [exemplar] in filter(None, exemplars) if exemplar] == trace_ids


def test_exemplars_are_not_saved() -> None:
    registry = _with(a_receipt())

    registry.restore(registry.changed())

    assert _collected(registry, names.CALLS.name) == [()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", "trace_based"), ("always_off", "always_off"), (" Always_On ", "always_on")],
)
def test_the_standard_variable_chooses_the_filter(text: str, wanted: str) -> None:
    assert exemplar_filter_from_env({"OTEL_METRICS_EXEMPLAR_FILTER": text}) == wanted


def test_a_filter_that_nobody_knows_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        wanted = exemplar_filter_from_env({"OTEL_METRICS_EXEMPLAR_FILTER": "some"})

    assert (wanted, caplog.messages) == (
        "trace_based",
        ["OTEL_METRICS_EXEMPLAR_FILTER is none of always_off, always_on, trace_based: some"],
    )


def test_openmetrics_has_the_ids_the_amount_in_its_unit_and_the_exact_time() -> None:
    registry = _with(a_receipt(duration_ns=1_500_000_001))
    registry.collect()

    body, _ = render(registry, OPENMETRICS)

    printed = [
        sample.exemplar
        for family in read_openmetrics(body.decode())
        if family.name == "spanmeter_call_duration_seconds"
        for sample in family.samples
        if sample.exemplar
    ]
    ids = {"trace_id": TRACE.trace_id, "span_id": TRACE.span_id}
    assert [(one.labels, one.value, str(one.timestamp)) for one in printed] == [
        (ids, 1.500000001, "1790000001.500000001")
    ]


def test_the_classic_text_has_no_exemplars() -> None:
    registry = _with(a_receipt())
    registry.collect()

    body, _ = render(registry, None)

    assert TRACE.trace_id.encode() not in body


@contextmanager
def _served(registry: Registry) -> Iterator[str]:
    """Serve a registry as the books do, and give the address."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = render(registry, self.headers["Accept"])
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_prometheus_finds_the_trace_of_a_call() -> None:
    registry = _with(a_receipt(trace=OTHER))
    flags = ["--enable-feature=exemplar-storage"]

    with (
        _served(registry) as address,
        PrometheusProcess({"books": address}, flags=flags) as prometheus,
    ):
        prometheus.wait_scrapes(2, job="books")
        found = {
            name: prometheus.get(f"/api/v1/query_exemplars?start=1&end=9e9&query={name}")
            for name in ("spanmeter_calls_total", "gen_ai_client_inference_duration_seconds_bucket")
        }

    assert [
        (name, exemplar["labels"])
        for name, series in found.items()
        for one in series
        for exemplar in one["exemplars"]
    ] == [
        ("spanmeter_calls_total", {"trace_id": OTHER.trace_id, "span_id": OTHER.span_id}),
        (
            "gen_ai_client_inference_duration_seconds_bucket",
            {"trace_id": OTHER.trace_id, "span_id": ATTEMPT_SPAN},
        ),
    ]
