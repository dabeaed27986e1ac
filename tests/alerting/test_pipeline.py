"""What numbers take their way by: losses, silence, queues and refusals, by real promtool."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.alerting_rules import (
    UNEDITED,
    Case,
    Series,
    Span,
    complaints,
    counter,
    every_minute,
    fires,
    gauge,
    quiet,
    recorded,
    restarted,
    tells,
    unscraped,
)

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names

BOOKS = {"job": "spanmeter", "instance": "books-1:9464"}
COLLECTOR = {"job": "otelcol", "instance": "otelcol:8888"}
TICKET = {"team": "platform", "severity": "ticket"}
PAGE = {"team": "platform", "severity": "page"}
DROPPED = "SpanmeterReceiptsDropped"
DIFFERENCE = "SpanmeterReconciliationDifference"
ABSENT = "SpanmeterTelemetryAbsent"
BEHIND = "SpanmeterBooksBehind"
SPANS = "SpanmeterSpansLost"
COLLECTOR_FAILS = "SpanmeterCollectorExportFailing"
QUEUE = "SpanmeterQueueFilling"
CONNECTIONS = "SpanmeterConnectionsRefused"
CONFIG = "SpanmeterConfigRefused"
FAILED = "otelcol_exporter_send_failed_spans"
HOUR = every_minute(60, 0)
DAY = every_minute(24 * 60, 0)


def up(of: Mapping[str, str], *runs: tuple[int, float | None]) -> Series:
    """Be scraped, or not."""
    return recorded("up", of, *runs)


def dropped(*spans: Span, reason: str = "spool_full") -> Series:
    """Lose receipts."""
    return counter(names.RECEIPTS_DROPPED.prometheus_name, {"reason": reason}, *spans)


def spans(result: str, *of: Span) -> Series:
    """Count spans by their result."""
    return counter(names.SPANS.prometheus_name, {"result": result}, *of)


def exports(result: str, *of: Span) -> Series:
    """Count exports of metrics by their result."""
    return counter(names.METRIC_EXPORTS.prometheus_name, {"result": result}, *of)


def difference(*runs: tuple[int, float | None], pair: str = "receipts_calls") -> Series:
    """Differ by so many."""
    return gauge(names.RECONCILIATION.prometheus_name, {"pair": pair}, *runs)


def refused(reason: str, *of: Span) -> Series:
    """Refuse connections."""
    return counter(names.CONNECTIONS_REFUSED.prometheus_name, {"reason": reason}, *of)


def of_collector(metric: str, *runs: tuple[int, float | None]) -> Series:
    """Be a series of the Collector, born when it first has a value."""
    return recorded(metric, COLLECTOR | {"exporter": "otlp_grpc/traces"}, *runs)


SPOOL_FULL = TICKET | {"reason": "spool_full"}
LOST = TICKET | {"result": "dropped", "name": "spans"}
UNSENT = TICKET | {"result": "failed", "name": "exports of metrics"}
DIFFERS = TICKET | BOOKS | {"pair": "receipts_calls"}
FAILS = TICKET | COLLECTOR | {"exporter": "otlp_grpc/traces", "name": FAILED}
SENDS = spans("sent", every_minute(300, 100))
CASES = (
    Case("no receipt is lost", [dropped(every_minute(120, 0))], [quiet("2h", DROPPED)]),
    Case("one receipt", [dropped(HOUR, Span(1, 1), HOUR)], [
        quiet("1h", DROPPED), fires("1h5m", DROPPED, SPOOL_FULL), fires("1h30m", DROPPED),
    ]),
    Case("lost while nobody scraped", [
        dropped(HOUR, unscraped(120, 5), HOUR),
    ], [quiet("2h59m", DROPPED), fires("3h5m", DROPPED, SPOOL_FULL), fires("3h30m", DROPPED)]),
    Case("old losses, a gap and a counter from 0", [
        dropped(Span(2, 100), HOUR, unscraped(60), HOUR, restarted(60, 0)),
    ], [fires("1h", DROPPED), fires("2h5m", DROPPED), fires("3h10m", DROPPED)]),
    Case("old losses of new books", [
        Series('spanmeter_receipts_dropped_total{reason="spool_full"}', "_x60 7x60"),
    ], [quiet("2h", DROPPED)]),

    Case("equal counts", [difference((120, 0))], [quiet("2h", DIFFERENCE)]),
    Case("a difference comes and stays", [difference((60, 0), (60, 3))], [
        quiet("1h", DIFFERENCE),
        fires("1h6m", DIFFERENCE, DIFFERS), fires("1h30m", DIFFERENCE),
    ]),
    Case("it is an old one, in a gap and after", [
        difference((60, 3), (60, None), (60, 3)),
    ], [quiet("3h", DIFFERENCE)]),
    Case("it comes with a gap", [difference((60, 0), (60, None), (60, -4))], [
        quiet("2h", DIFFERENCE), fires("2h6m", DIFFERENCE, DIFFERS),
    ]),
    Case("it goes, as books start", [difference((60, 3), (60, 0))], [quiet("2h", DIFFERENCE)]),
    Case("for one scrape", [difference((60, 0), (1, 1), (60, 0))], [quiet("2h", DIFFERENCE)]),

    Case("spans are dropped", [SENDS, spans("dropped", HOUR, Span(60, 5), HOUR)], [
        quiet("1h5m", SPANS), fires("1h30m", SPANS, LOST), fires("2h30m", SPANS),
    ]),
    Case("one span of one", [
        spans("sent", DAY), spans("failed", HOUR, Span(1, 1), HOUR),
    ], [quiet("2h", SPANS)]),
    Case("half a percent", [SENDS, spans("failed", Span(300, 0.5))], [quiet("5h", SPANS)]),
    Case("few of few", [
        spans("sent", Span(300, 0.1)), spans("failed", Span(300, 0.3)),
    ], [quiet("5h", SPANS)]),
    Case("a gap, and counters from 0", [
        SENDS, spans("dropped", Span(60, 0.1), unscraped(60, 0.1), restarted(60, 0.1)),
    ], [quiet("3h", SPANS)]),
    Case("one export fails", [
        exports("sent", Span(180, 1)), exports("failed", HOUR, Span(1, 1), HOUR),
    ], [quiet("2h", SPANS)]),
    Case("all exports fail", [
        exports("sent", HOUR, HOUR), exports("failed", HOUR, Span(40, 1), HOUR),
    ], [fires("1h30m", SPANS, UNSENT), fires("2h20m", SPANS)]),

    Case("the Collector loses from its first failure on", [
        up(COLLECTOR, (200, 1)),
        of_collector(FAILED, (60, None), (10, 5), (10, 6), (10, 7), (10, 8), (90, 9)),
    ], [
        quiet("1h18m", COLLECTOR_FAILS), fires("1h30m", COLLECTOR_FAILS, FAILS),
        fires("2h30m", COLLECTOR_FAILS),
    ]),
    Case("one batch", [
        up(COLLECTOR, (200, 1)), of_collector(FAILED, (60, None), (140, 500)),
    ], [quiet("3h", COLLECTOR_FAILS)]),
    Case("old failures when Prometheus starts, and after a gap", [
        up(COLLECTOR, (60, 1), (60, None), (60, 1)),
        of_collector(FAILED, (60, 500), (60, None), (60, 500)),
    ], [quiet("3h", COLLECTOR_FAILS)]),
    Case("old failures of another address", [
        up(COLLECTOR, (60, None), (60, 1)), of_collector(FAILED, (60, None), (60, 500)),
    ], [quiet("2h", COLLECTOR_FAILS)]),

    Case("our queue fills", [
        gauge(names.SPAN_QUEUE_SIZE.prometheus_name, {}, (60, 10), (30, 75), (60, 10)),
        gauge(names.SPAN_QUEUE_CAPACITY.prometheus_name, {}, (200, 100)),
    ], [quiet("1h4m", QUEUE), fires("1h10m", QUEUE, TICKET | BOOKS), fires("2h", QUEUE)]),
    Case("the Collector's queue fills", [
        of_collector("otelcol_exporter_queue_size", (60, 0), (30, 75), (60, 10)),
        of_collector("otelcol_exporter_queue_capacity", (200, 100)),
    ], [
        fires("1h10m", QUEUE, TICKET | COLLECTOR | {"exporter": "otlp_grpc/traces"}),
        fires("2h", QUEUE),
    ]),
    Case("a burst", [
        gauge(names.SPAN_QUEUE_SIZE.prometheus_name, {}, (60, 10), (3, 100), (60, 10)),
        gauge(names.SPAN_QUEUE_CAPACITY.prometheus_name, {}, (200, 100)),
    ], [quiet("2h", QUEUE)]),

    Case("all is scraped", [
        up(BOOKS, (120, 1)), gauge(names.BUILD_INFO.prometheus_name, {"version": "1"}, (120, 1)),
    ], [quiet("2h", ABSENT)]),
    Case("one of two is down", [
        up(BOOKS, (60, 1), (30, 0), (60, 1)),
        recorded(names.BUILD_INFO.prometheus_name, {"instance": "books-2"}, (200, 1)),
    ], [
        quiet("1h4m", ABSENT), fires("1h10m", ABSENT, PAGE | BOOKS), fires("2h", ABSENT),
    ]),
    Case("all are down: each is told, and that nothing is left", [up(BOOKS, (120, 0))], [
        fires("1h", ABSENT, PAGE | BOOKS, PAGE),
    ]),
    Case("no target, and nothing comes", [
        recorded(names.BUILD_INFO.prometheus_name, {"instance": "a"}, (60, 1), (60, None), (60, 1)),
    ], [quiet("1h4m", ABSENT), fires("1h30m", ABSENT, PAGE), fires("2h30m", ABSENT)]),
    Case("another job is down", [
        up(COLLECTOR, (120, 0)), gauge(names.BUILD_INFO.prometheus_name, {}, (120, 1)),
    ], [quiet("2h", ABSENT)]),
    Case("two scrapes fail", [
        up(BOOKS, (60, 1), (2, 0), (60, 1)), gauge(names.BUILD_INFO.prometheus_name, {}, (130, 1)),
    ], [quiet("2h", ABSENT)]),

    Case("books lag", [
        gauge(names.BOOKS_LAG.prometheus_name, {}, (60, 1), (30, 600), (60, 1)),
    ], [quiet("1h4m", BEHIND), fires("1h10m", BEHIND, PAGE | BOOKS), fires("2h", BEHIND)]),
    Case("books up to date, over a gap of scrapes", [
        gauge(names.BOOKS_LAG.prometheus_name, {}, (60, 1), (20, None), (60, 1)),
    ], [quiet("1h10m", BEHIND), quiet("2h", BEHIND)]),
    Case("a queue that is nearly empty, over a gap of scrapes", [
        gauge(names.SPAN_QUEUE_SIZE.prometheus_name, {}, (60, 1e6), (20, None), (60, 1e6)),
        gauge(names.SPAN_QUEUE_CAPACITY.prometheus_name, {}, (60, 3e7), (20, None), (60, 3e7)),
    ], [quiet("1h10m", QUEUE), quiet("2h", QUEUE)]),
    Case("a good configuration, over a gap of scrapes", [
        gauge(names.LAST_RELOAD_OK.prometheus_name, {}, (60, 1), (20, None), (60, 1)),
    ], [quiet("1h10m", CONFIG), quiet("2h", CONFIG)]),
    Case("a backlog of hours, entered", [
        gauge(names.BOOKS_LAG.prometheus_name, {}, (60, 1), (2, 9999), (60, 1)),
    ], [quiet("2h", BEHIND)]),

    Case("callers are turned away", [
        refused("max_connections", HOUR, Span(30, 20), HOUR),
        recorded(series.CALLS_RATE_5M, {}, (200, 1)),
    ], [
        fires("1h20m", CONNECTIONS, TICKET | {"reason": "max_connections"}),
        fires("2h", CONNECTIONS),
    ]),
    Case("all callers are, and nobody calls", [refused("per_address", HOUR, Span(30, 20))], [
        fires("1h20m", CONNECTIONS, TICKET | {"reason": "per_address"}),
    ]),
    Case("one of few, few of many, scanners", [
        refused("per_address", HOUR, Span(1, 1), HOUR), refused("malformed", Span(120, 20)),
        refused("max_connections", Span(120, 5)), recorded(series.CALLS_RATE_5M, {}, (200, 100)),
    ], [quiet("2h", CONNECTIONS)]),

    Case("a configuration is refused", [
        gauge(names.LAST_RELOAD_OK.prometheus_name, {}, (60, 1), (30, 0), (60, 1)),
    ], [fires("1h10m", CONFIG, TICKET | BOOKS), fires("2h", CONFIG)]),
    Case("somebody edits", [
        gauge(names.LAST_RELOAD_OK.prometheus_name, {}, (60, 1), (3, 0), (60, 1)),
    ], [quiet("2h", CONFIG)]),

    Case("alerting works", [], [
        fires("1h", "SpanmeterWatchdog", {"team": "platform", "severity": "none"}),
    ]),
)  # fmt: skip


def test_each_alert_fires_when_it_must_and_only_then(tmp_path: Path) -> None:
    assert _complaints(tmp_path, CASES) == ""


def test_every_alert_on_the_way_has_a_case_that_fires_and_one_that_is_quiet() -> None:
    told = " ".join(str(case.expectations) for case in CASES)
    missing = [
        name
        for name in (DROPPED, DIFFERENCE, ABSENT, BEHIND, SPANS, COLLECTOR_FAILS, QUEUE,
                     CONNECTIONS, CONFIG)
        if f'ALERTS{{alertname="{name}"' not in told or f'ALERTS{{alertname=~"{name}"' not in told
    ]  # fmt: skip

    assert missing == []


def test_alerts_that_are_no_features_go_to_the_default_team_of_the_scraped_job(
    tmp_path: Path,
) -> None:
    of_job = {"job": "gateway", "instance": "a:9464"}
    texts = {
        "summary": "No telemetry of a:9464: its alerts are blind",
        "description": "a:9464 was not scraped for 5 minutes; allowed is no minute. Calls may go "
        "on: what they do and cost is not seen meanwhile, and no other alert can tell.",
        "runbook_url": "grafana/playbooks.md#spanmetertelemetryabsent",
        "dashboard_url": "http://localhost:3000/d/spanmeter-pipeline",
    }
    labels = of_job | {"severity": "page", "team": "money"}
    elsewhere = recorded(names.BUILD_INFO.prometheus_name, {"instance": "b:9464"}, (60, 1))
    case = Case("down", [up(of_job, (60, 0)), elsewhere], [tells("30m", ABSENT, labels, texts)])
    slo = Slo(job="gateway", default_team="money")

    assert _complaints(tmp_path, [case], slo) == ""


def test_lost_receipts_are_told_with_their_number(tmp_path: Path) -> None:
    texts = {
        "summary": "27 receipts are lost (spool_full)",
        "description": "27 receipts were dropped in the last 15 minutes (spool_full); normal is "
        "none. The calls were served, and are in no metric, span or sum, for good.",
        "runbook_url": "grafana/playbooks.md#spanmeterreceiptsdropped",
        "dashboard_url": "http://localhost:3000/d/spanmeter-pipeline",
    }
    lost = dropped(every_minute(20, 0), every_minute(10, 3))
    case = Case("ten minutes", [lost], [tells("32m", DROPPED, SPOOL_FULL, texts)])

    assert _complaints(tmp_path, [case]) == ""


def _complaints(folder: Path, cases: Sequence[Case], slo: Slo = UNEDITED) -> str:
    return complaints(folder, cases, slo, interval="2m", files=("pipeline",))
