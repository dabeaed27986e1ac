"""What the configuration chooses is printed, and a trace is found from the metrics of its call."""

from collections.abc import Iterator

import pytest
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.prometheus_process import PrometheusProcess
from tests.traffic import PRICES, STREAMED

CHOSEN = (
    "spanmeter_operation_cost_usd_count",
    "gen_ai_client_inference_duration_seconds_count",
    "gen_ai_client_operation_duration_seconds_count",
    "gen_ai_client_operation_time_to_first_chunk_seconds_count",
    "http_server_request_duration_seconds_count",
)
METRICS = {"operation_cost": True, "time_per_output_chunk": True}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    here = {"base_url": provider.base_url}
    settings = {"prices": PRICES, "semconv": "both", "metrics": METRICS}
    with GatewayProcess(
        upstreams={"openai": here, "anthropic": here}, settings=settings
    ) as running:
        yield running


def test_the_chosen_metrics_are_printed_and_lead_to_the_trace(gateway: GatewayProcess) -> None:
    headers = [*STREAMED.headers, ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01")]
    books = {"books": gateway.books_url.removeprefix("http://")}
    flags = ["--enable-feature=exemplar-storage"]
    with RawClient(gateway.url) as client:
        assert client.call(STREAMED.target, STREAMED.body, headers=headers).status == 200
    gateway.wait_metrics(lambda metrics: metrics.total("spanmeter_calls_total") == 1)

    with PrometheusProcess(books, flags=flags) as prometheus:
        counts = {
            name: prometheus.wait(f"sum({name})", lambda samples: samples and samples[0].value)
            for name in CHOSEN
        }
        exemplars = prometheus.get(
            "/api/v1/query_exemplars?start=1&end=9e9&query=spanmeter_calls_total"
        )

    assert {name: sample.value for name, [sample] in counts.items()} == dict.fromkeys(CHOSEN, 1)
    assert [one["labels"]["trace_id"] for row in exemplars for one in row["exemplars"]] == [
        TRACE_ID
    ]


def test_the_times_between_chunks_are_counted_for_a_stream(gateway: GatewayProcess) -> None:
    headers = [("x-feature", "dripping"), ("x-script", "drip 0.03")]
    name = "gen_ai_client_inference_time_per_output_chunk_seconds"
    with RawClient(gateway.url) as client:
        answer = client.call(STREAMED.target, STREAMED.body, headers=headers)

    seen = gateway.wait_metrics(
        lambda now: now.total(f"{name}_count", spanmeter_feature="dripping") > 0
    )

    chunks = answer.body.count(b"data: ")
    assert 2 <= seen.total(f"{name}_count", spanmeter_feature="dripping") <= chunks
    assert seen.total(f"{name}_sum", spanmeter_feature="dripping") > 0.03
