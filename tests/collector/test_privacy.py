"""What another application lets slip ends at the Collector."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.view import View
from tests.collector.other_application import CANARY, RESOURCE, SECRETS, meter, send_spans
from tests.collector_process import CollectorProcess
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink, SinkSpan


@pytest.fixture(scope="module")
def collector(sink: OtlpSink) -> Iterator[CollectorProcess]:
    with grpc_door(sink) as door, CollectorProcess(traces_to=door) as running:
        yield running


@pytest.fixture(scope="module")
def spans(collector: CollectorProcess, sink: OtlpSink) -> list[SinkSpan]:
    send_spans(collector.http_endpoint)
    send_spans(collector.grpc_endpoint, grpc=True)
    return sink.wait(lambda arrived: len(arrived) >= 4)


def test_of_content_nothing_leaves_in_spans(spans: list[SinkSpan], sink: OtlpSink) -> None:
    assert [name for name in (CANARY, *SECRETS) if name.encode() in b"".join(sink.bodies)] == []
    assert len(spans) == 4


def test_a_span_of_content_keeps_what_is_harmless(spans: list[SinkSpan]) -> None:
    indiscreet = [span for span in spans if span.status == "ERROR"]

    assert [
        (span.name, span.attributes, span.resource, span.events, span.scope) for span in indiscreet
    ] == 2 * [("span", {}, RESOURCE, (), "shop.orders")]


def test_secrets_in_values_that_may_leave_are_masked(spans: list[SinkSpan]) -> None:
    masked = [span for span in spans if span.status != "ERROR"]

    assert [(span.name, span.attributes) for span in masked] == 2 * [
        (
            "chat model-****",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "model-****",
                "spanmeter.feature": "****",
                "spanmeter.tag.note": '["****","****","****","****","****","kept"]',
            },
        )
    ]


def test_of_content_nothing_leaves_in_metrics(collector: CollectorProcess) -> None:
    only_known = View(instrument_name="shop.asked", attribute_keys={"gen_ai.request.model"})
    with meter(collector.http_endpoint, views=[only_known]) as shop:
        asked = shop.create_counter("shop.asked")
        asked.add(1, {"gen_ai.request.model": "m", "gen_ai.prompt": "canary, in an exemplar"})
        told = shop.create_counter("shop.told")
        told.add(1, {"url.full": "https://example.invalid/?key=canary", "spanmeter.feature": "a"})
        told.add(2, {"spanmeter.feature": SECRETS[0]})

    page = collector.metrics()

    assert [name for name in (CANARY, *SECRETS) if name in page] == []
    assert 'shop_asked_total{gen_ai_request_model="m",instance="shop-1",job="shop"} 1.0' in page
    assert 'shop_told_total{instance="shop-1",job="shop",spanmeter_feature="a"} 1.0' in page
    assert 'target_info{instance="shop-1",job="shop"} 1' in page


def test_series_that_an_unknown_attribute_told_apart_add_up(collector: CollectorProcess) -> None:
    with meter(collector.http_endpoint) as shop:
        sold = shop.create_counter("shop.sold")
        waited = shop.create_histogram("shop.waited", explicit_bucket_boundaries_advisory=[1.0])
        for user in range(3):
            sold.add(10 + user, {"user": f"canary-{user}", "error.type": "timeout"})
            waited.record(user, {"user": f"canary-{user}"})

    page = collector.metrics()

    assert 'shop_sold_total{error_type="timeout",instance="shop-1",job="shop"} 33.0' in page
    assert 'shop_waited_bucket{instance="shop-1",job="shop",le="1.0"} 2' in page
    assert 'shop_waited_sum{instance="shop-1",job="shop"} 3.0' in page


def test_series_that_only_a_secret_tells_apart_stay_apart(collector: CollectorProcess) -> None:
    with meter(collector.http_endpoint) as shop:
        kept = shop.create_counter("shop.kept")
        kept.add(1, {"spanmeter.feature": SECRETS[0]})
        kept.add(2, {"spanmeter.feature": f"{SECRETS[0]}-other"})

    lines = [line for line in collector.metrics().splitlines() if line.startswith("shop_kept_")]

    assert sorted(line.rsplit(" ", 1)[1] for line in lines) == ["1.0", "2.0"]


def test_logs_are_not_accepted(collector: CollectorProcess) -> None:
    request = urllib.request.Request(
        f"{collector.http_endpoint}/v1/logs",
        data=b'{"resourceLogs": []}',
        headers={"content-type": "application/json"},
    )

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)

    refused.value.close()
    assert refused.value.code == 404


def test_of_content_nothing_is_logged_or_kept_on_disk(
    collector: CollectorProcess, spans: list[SinkSpan]
) -> None:
    kept = {path.name: path.read_bytes() for path in collector.folder.rglob("*") if path.is_file()}

    assert [name for name, body in kept.items() if CANARY.encode() in body] == []
    assert CANARY not in collector.own_metrics()
    assert spans
