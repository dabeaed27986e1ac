"""One gateway, read three ways by real Prometheuses: the same series with the same values.

Directly (a scrape of the gateway), through the Collector (OTLP, then a scrape of the Collector),
and by Prometheus 3's own OTLP receiver. The gateway exports once; a tee gives both receivers the
same bytes.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from tests.accounts import Account
from tests.collector.gateway_traffic import OTHERS, drive, gateway_with
from tests.collector_process import CollectorProcess
from tests.fakes.otlp_grpc_door import grpc_door
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.otlp_tee import otlp_tee
from tests.fakes.replay_provider import ReplayProvider
from tests.gateway_process import GatewayProcess, Metrics
from tests.prometheus_process import PrometheusProcess, Samples
from tests.traffic import Made

EXPORT_MS = 250
# Of the scrape or of the sender, not of the gateway's metrics.
_FOREIGN_LABELS = {"job", "instance", "exported_job", "exported_instance"}
_FOREIGN_NAMES = re.compile("up|target_info|scrape_.*")
# Changed by the reading itself, or by time: only there must they be.
MOVING = {"spanmeter_metric_exports_total", "spanmeter_books_lag_seconds"}
WAYS = ("direct", "collector", "otlp")

Series = tuple[str, tuple[tuple[str, str], ...]]


class Readings(NamedTuple):
    """What each way read when the traffic had ended, and what the traffic was."""

    by_way: Mapping[str, Mapping[Series, float]]
    made: list[Made]


@pytest.fixture(scope="module")
def readings(provider: ReplayProvider) -> Iterator[Readings]:
    with ExitStack() as running:
        sink = running.enter_context(OtlpSink())
        door = running.enter_context(grpc_door(sink))
        collector = running.enter_context(CollectorProcess(traces_to=door))
        third = running.enter_context(_prometheus3())
        tee = running.enter_context(otlp_tee([collector.http_endpoint, f"{third.url}/api/v1/otlp"]))
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{tee}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_MS),
        }
        gateway = running.enter_context(gateway_with(provider, environ))
        debian = running.enter_context(
            PrometheusProcess(
                {
                    "direct": gateway.books_url.removeprefix("http://"),
                    "collector": collector.metrics_target,
                }
            )
        )
        made = drive(gateway)
        _wait_settled(gateway, debian, calls=len(made))
        yield Readings(
            {
                "direct": _series(debian.query('{job="direct"}')),
                "collector": _series(debian.query('{job="collector"}')),
                "otlp": _series(third.query('{__name__=~".+"}')),
            },
            made,
        )


@pytest.mark.parametrize("way", WAYS[1:])
def test_each_way_has_the_series_of_a_direct_scrape(readings: Readings, way: str) -> None:
    direct = readings.by_way["direct"].keys()
    other = readings.by_way[way].keys()

    assert (sorted(direct - other), sorted(other - direct)) == ([], [])


@pytest.mark.parametrize("way", WAYS[1:])
def test_each_way_has_the_values_of_a_direct_scrape(
    readings: Readings, way: str, tell: Callable[[str], None]
) -> None:
    direct = readings.by_way["direct"]
    still = [series for series in direct if series[0] not in MOVING]

    differing = {
        series: (direct[series], readings.by_way[way].get(series))
        for series in still
        if direct[series] != readings.by_way[way].get(series)
    }

    tell(
        f"three-way comparison: direct and {way}: {len(direct)} series by name and labels, "
        f"{len(still)} compared by value, {len(differing)} differ"
    )
    assert differing == {}


@pytest.mark.parametrize("way", WAYS)
def test_calls_tokens_and_cost_are_those_that_clients_saw(readings: Readings, way: str) -> None:
    expected = Account.of(readings.made)

    assert _account(readings.by_way[way]) == (
        expected.calls,
        expected.tokens,
        expected.cost_nanos,
    )


@pytest.mark.parametrize("way", WAYS)
def test_everything_that_the_traffic_moves_is_among_the_series(
    readings: Readings, way: str
) -> None:
    names = {name for (name, _), value in readings.by_way[way].items() if value}

    assert {
        "spanmeter_calls_total",
        "spanmeter_call_duration_seconds_bucket",
        "spanmeter_cost_usd_total",
        "spanmeter_operation_cost_usd_sum",
        "spanmeter_tokens_total",
        "spanmeter_passthrough_total",
        "spanmeter_tag_violations_total",
        "spanmeter_unpriced_calls_total",
        "spanmeter_spans_total",
        "spanmeter_build_info",
        "gen_ai_client_inference_duration_seconds_bucket",
        "gen_ai_client_inference_usage_input_tokens_total",
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_token_usage_bucket",
        "http_server_request_duration_seconds_count",
    } <= names


def _prometheus3() -> PrometheusProcess:
    return PrometheusProcess(
        {},
        program="prometheus3",
        flags=["--web.enable-otlp-receiver"],
        settings={"otlp": {"translation_strategy": "UnderscoreEscapingWithSuffixes"}},
    )


def _wait_settled(gateway: GatewayProcess, debian: PrometheusProcess, *, calls: int) -> None:
    def exports(metrics: Metrics) -> float:
        return metrics.total("spanmeter_metric_exports_total", result="sent")

    entered = gateway.wait_metrics(
        lambda now: (
            now.total("spanmeter_receipts_entered_total") >= calls + OTHERS
            and now.total("spanmeter_spans_total", result="sent") > 2 * calls
        )
    )
    # A series stands at 0 where it is seen first, and each way has its own first sight.
    gateway.wait_metrics(lambda now: exports(now) >= exports(entered) + 4)
    debian.wait_scrapes(3, job="direct")
    debian.wait_scrapes(3, job="collector")


def _series(samples: Samples) -> dict[Series, float]:
    found: dict[Series, float] = {}
    for sample in samples:
        labels = {key: value for key, value in sample.labels.items() if key not in _FOREIGN_LABELS}
        if "le" in labels:
            # A number as text: Prometheus 3's receiver writes "1" where scrapes say "1.0".
            labels["le"] = str(float(labels["le"]))
        series = (labels.pop("__name__"), tuple(sorted(labels.items())))
        if _FOREIGN_NAMES.fullmatch(series[0]):
            continue
        assert series not in found, f"two series differ only in who sent them: {series}"
        found[series] = sample.value
    return found


def _account(found: Mapping[Series, float]) -> tuple[object, object, int]:
    calls: Counter[tuple[str, str, str]] = Counter()
    tokens: Counter[str] = Counter()
    cost_nanos = 0
    for (name, pairs), value in found.items():
        labels = dict(pairs)
        if not value or not labels.get("spanmeter_feature", "").startswith("counted"):
            continue
        if name == "spanmeter_calls_total":
            end = labels["spanmeter_feature"], labels["spanmeter_outcome"]
            calls[*end, labels.get("error_type", "")] += round(value)
        elif name == "spanmeter_tokens_total":
            tokens[labels["spanmeter_token_class"]] += round(value)
        elif name == "spanmeter_cost_usd_total":
            cost_nanos += round(value * 10**9)
    return calls, tokens, cost_nanos
