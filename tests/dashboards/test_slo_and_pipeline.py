"""What the queries of SLO and anomalies, and of Pipeline health, say of a small made-up company."""

import urllib.parse
from collections.abc import Iterator, Mapping

import pytest
from tests.dashboards import history, shipped
from tests.dashboards.fleet import Series
from tests.dashboards.grafana_queries import Choice, substituted
from tests.prometheus_process import PrometheusProcess

from spanmeter_gateway.alerting import series
from spanmeter_gateway.telemetry import names

ANY = Choice(("$__all",), ".*")
TOGETHER, QUIET, ODD = "all features together", "quiet", "a+b"
FEATURE = {"spanmeter_feature": ODD}
ALERT = {"alertname": "SpanmeterLatencyHigh", "severity": "ticket", **FEATURE}
COST = {"anomaly": "cost", "scope": "feature"}
SINCE_S = 1_795_000_000
Rows = list[tuple[Mapping[str, str], float]]


def company() -> Iterator[Series]:
    yield Series(series.ANOMALY_VALUE, {"anomaly": "cost", "scope": "all"}, level=3)
    yield Series(series.ANOMALY_VOLUME, {"scope": "all"}, level=30)
    for feature, calls in ((ODD, 20), (QUIET, 10)):
        own = {"spanmeter_feature": feature}
        yield Series(series.ANOMALY_VALUE, COST | own, level=calls / 10)
        yield Series(series.ANOMALY_VOLUME, {"scope": "feature"} | own, level=calls)
    yield Series(series.ANOMALY, {**COST, **FEATURE, "level": "high"}, level=1)
    yield Series("ALERTS", ALERT | {"alertstate": "pending"}, level=1)
    yield Series("ALERTS_FOR_STATE", ALERT, level=SINCE_S)
    yield Series(series.ERROR_BUDGET, FEATURE, level=0.01)
    yield Series(series.BUDGET_LEFT, FEATURE, level=0.5)
    yield Series(series.fault_ratio("1h"), FEATURE, level=0.02)
    yield Series(names.BUILD_INFO.prometheus_name, {"version": "1.0.0"}, level=1)
    yield Series("up", {}, level=0)
    yield Series("up", {"job": "node", "instance": "machine-1:9100"}, level=1)


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusProcess]:
    process = PrometheusProcess({}, flags=["--storage.tsdb.retention.time=60d"])
    history.write(process.folder, company())
    with process as running:
        yield running


def answer(prometheus: PrometheusProcess, uid: str, place: str, **chosen: str) -> Rows:
    dashboard = shipped.load(uid)
    [target] = [each for each in shipped.of_panels(dashboard) if each.place == place]
    choices = shipped.at_all(dashboard)
    choices |= {name: Choice((value,), ".*") for name, value in chosen.items()}
    expr = substituted(target.expr, choices, history.window())
    asked = urllib.parse.urlencode({"query": expr, "time": history.UNTIL_S})
    rows = prometheus.get(f"/api/v1/query?{asked}")["result"]
    return [(row["metric"], float(row["value"][1])) for row in rows]


def test_all_shows_what_is_usual_of_all_features_together(prometheus: PrometheusProcess) -> None:
    shown = answer(prometheus, "spanmeter-slo", "What is it, and what is usual? / A")

    assert [(row[0]["spanmeter_feature"], row[1]) for row in shown] == [(TOGETHER, 3.0)]


def test_a_chosen_feature_shows_what_is_usual_of_itself(prometheus: PrometheusProcess) -> None:
    place = "What is it, and what is usual? / A"
    shown = answer(prometheus, "spanmeter-slo", place, feature=QUIET)

    assert [(row[0]["spanmeter_feature"], row[1]) for row in shown] == [(QUIET, 1.0)]


def test_an_anomaly_that_opened_a_moment_ago_is_listed(prometheus: PrometheusProcess) -> None:
    shown = answer(prometheus, "spanmeter-slo", "What is unusual now? / A")

    assert shown == [({**COST, **FEATURE, "level": "high"}, 0.0)]


def test_an_alert_that_is_pending_says_since_when(prometheus: PrometheusProcess) -> None:
    shown = answer(prometheus, "spanmeter-slo", "Which alerts are active, and since when? / A")

    assert shown == [(ALERT | {"alertstate": "pending"}, history.UNTIL_S - SINCE_S)]


def test_a_budget_lasts_as_long_as_what_is_left_of_it_at_this_pace(
    prometheus: PrometheusProcess,
) -> None:
    place = "How much of its error budget has each feature left? / I"
    [(labels, lasts_s)] = answer(prometheus, "spanmeter-slo", place)

    # Half of it is left, and twice as much is spent as lasts for 30 days.
    assert labels == FEATURE
    assert lasts_s == pytest.approx(7.5 * 86400)


def test_what_was_never_lost_is_zero_where_a_gateway_is(prometheus: PrometheusProcess) -> None:
    place, uid = "What was lost in the time range? / A", "spanmeter-pipeline"

    assert answer(prometheus, uid, place) == [({}, 0.0)]
    assert answer(prometheus, uid, place, instance="another:1") == []


def test_only_gateways_are_said_to_be_up_or_down(prometheus: PrometheusProcess) -> None:
    place = "Which gateways run, which version, with which configuration? / B"
    shown = answer(prometheus, "spanmeter-pipeline", place)

    assert shown == [({"instance": "books-1:9464"}, 0.0)]
