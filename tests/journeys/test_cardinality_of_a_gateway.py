"""What the governor of a running gateway decides, as Prometheus and a restart see it."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests import processes
from tests.fakes.raw_client import RawClient
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess
from tests.prometheus_process import PrometheusProcess

FEATURES = 11
"""The pinned one, nine at first sight, and one by traffic."""


@pytest.fixture(scope="module")
def gateway(provider: ReplayProvider) -> Iterator[GatewayProcess]:
    with GatewayProcess(
        upstreams={"openai": {"base_url": provider.base_url}},
        settings={"cardinality": {"features": FEATURES, "pinned": {"features": ["vip"]}}},
    ) as running:
        yield running


def call(gateway: GatewayProcess, feature: str, *, model: str, script: str = "chat") -> int:
    body = json.dumps({"model": model, "messages": []}).encode()
    with RawClient(gateway.url) as client:
        headers = [("x-feature", feature), ("x-script", script)]
        return client.call("/v1/chat/completions", body, headers=headers).status


def test_the_first_error_of_a_model_never_seen_before_shows_in_increase(
    gateway: GatewayProcess,
) -> None:
    with PrometheusProcess({"books": urlsplit(gateway.books_url).netloc}) as prometheus:
        prometheus.wait_scrapes(2, job="books")
        status = call(gateway, "vip", model="gpt-unheard-of", script="status 404 model_not_found")

        grown = prometheus.wait(
            'increase(spanmeter_calls_total{gen_ai_request_model="gpt-unheard-of"}[1m]) > 0', bool
        )
        [total] = prometheus.query(
            'spanmeter_calls_total{gen_ai_request_model="gpt-unheard-of",error_type!=""}'
        )

    assert (status, total.value) == (404, 1)
    labels = ("spanmeter_feature", "spanmeter_outcome", "error_type")
    assert [tuple(sample.labels[label] for label in labels) for sample in grown] == [
        ("vip", "caller_error", "model_not_found")
    ]


def test_killed_books_count_each_feature_where_they_counted_it_before(
    gateway: GatewayProcess,
) -> None:
    features = [f"feature-{number}" for number in range(FEATURES)]
    statuses = [call(gateway, feature, model="gpt-4o-mini") for feature in features]
    before = gateway.wait_metrics(
        lambda now: now.total("spanmeter_calls_total", spanmeter_outcome="ok") == len(features)
    ).by("spanmeter_calls_total", "spanmeter_feature")

    processes.kill(processes.books(gateway))
    statuses += [call(gateway, feature, model="gpt-4o-mini") for feature in reversed(features)]
    processes.wait_until(lambda: processes.is_answering(f"{gateway.books_url}/healthz"))
    seen = gateway.wait_metrics(
        lambda now: now.total("spanmeter_calls_total", spanmeter_outcome="ok") == 2 * len(features)
    )

    after = seen.by("spanmeter_calls_total", "spanmeter_feature")
    assert set(statuses) == {200}
    kept = {f"feature-{number}": 1 for number in range(9)}
    assert {name: total for name, total in before.items() if name != "vip"} == {
        **kept, "__other__": 2,
    }  # fmt: skip
    assert after == {name: 2 * total if name != "vip" else total for name, total in before.items()}
    assert seen.by("spanmeter_label_overflow_total", "label") == {"spanmeter_feature": 4}
    assert seen.total("spanmeter_label_values", label="spanmeter_feature") == 10
