"""Calls without a feature, a place, a price or a usage, by real promtool."""

from pathlib import Path

from tests.alerting_rules import (
    Case,
    Series,
    Span,
    complaints,
    counter,
    every_minute,
    fires,
    quiet,
    recorded,
    restarted,
    tells,
    unscraped,
)

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.slo import Slo
from spanmeter_gateway.telemetry import names

UNTAGGED = "SpanmeterUntaggedShareHigh"
OVERFLOW = "SpanmeterLabelOverflow"
UNPRICED = "SpanmeterUnpricedCalls"
UNMETERED = "SpanmeterUnmeteredCalls"
TICKET = {"team": "platform", "severity": "ticket"}
HOUR = every_minute(60, 0)
BY_MODEL = {
    "gen_ai_provider_name": "groq",
    "gen_ai_request_model": "new",
    "reason": "unknown_model",
}
BY_FEATURE = {"spanmeter_feature": "chat", "reason": "not_reported"}
# All is recorded each minute, not twice: a count is half of what it is, a share is right.
HALF = 0.5


def calls(feature: str, *runs: tuple[int, float | None]) -> tuple[Series, ...]:
    """Be what is recorded of so many calls a minute, and whose they are."""
    of = {"spanmeter_feature": feature}
    rates = [(many, count if count is None else count / 60 / HALF) for many, count in runs]
    return (
        recorded(series.CALLS_RATE_5M, of, *rates),
        recorded(series.TEAM_INFO, of | {"team": "platform"}, (400, 1)),
    )


def folded(*spans: Span) -> Series:
    """Fold values of features."""
    return counter(names.LABEL_OVERFLOW.prometheus_name, {"label": "spanmeter_feature"}, *spans)


def unpriced(*spans: Span) -> Series:
    """Count calls without a price."""
    return counter(names.UNPRICED.prometheus_name, {"spanmeter_feature": "a"} | BY_MODEL, *spans)


def unmetered(*spans: Span) -> Series:
    """Count calls without a usage."""
    return counter(names.UNMETERED.prometheus_name, BY_FEATURE, *spans)


CASES = (
    Case("a fifth is untagged, and is named later", [
        *calls("untagged", (180, 2), (120, 0)), *calls("chat", (300, 8)),
    ], [fires("1h", UNTAGGED, TICKET), fires("5h", UNTAGGED)]),
    Case("a twentieth is", [
        *calls("untagged", (180, 0.5)), *calls("chat", (180, 10)),
    ], [quiet("3h", UNTAGGED)]),
    Case("none is", [*calls("chat", (180, 10))], [quiet("3h", UNTAGGED)]),
    Case("one of one", [*calls("untagged", (60, 0), (1, 1), (60, 0))], [quiet("2h", UNTAGGED)]),
    Case("all of few", [*calls("untagged", (180, 1))], [quiet("3h", UNTAGGED)]),
    Case("a gap", [
        *calls("untagged", (60, 0.5), (30, None), (60, 0.5)), *calls("chat", (180, 10)),
    ], [quiet("2h30m", UNTAGGED)]),

    Case("features overflow", [folded(HOUR, Span(60, 5), HOUR)], [
        quiet("1h15m", OVERFLOW),
        fires("1h30m", OVERFLOW, TICKET | {"label": "spanmeter_feature"}), fires("2h30m", OVERFLOW),
    ]),
    Case("none does, one does, a new one waits", [
        folded(HOUR, Span(1, 1), HOUR, Span(3, 500), HOUR, unscraped(30), restarted(60, 0)),
    ], [quiet("4h", OVERFLOW)]),

    Case("a model without a price, until it has one", [
        unpriced(unscraped(30), Span(60, 2), every_minute(420, 0)),
    ], [fires("1h", UNPRICED, TICKET | BY_MODEL), fires("8h", UNPRICED)]),
    Case("somebody tries it", [unpriced(HOUR, Span(1, 2), HOUR)], [quiet("2h", UNPRICED)]),
    Case("old ones, a gap, a counter from 0", [
        unpriced(HOUR, unscraped(30), HOUR, restarted(60, 0)),
    ], [quiet("3h30m", UNPRICED)]),

    Case("a provider says nothing of usage", [
        *calls("chat", (400, 4)), unmetered(HOUR, Span(90, 4), every_minute(120, 0)),
    ], [
        quiet("1h10m", UNMETERED), fires("2h", UNMETERED, TICKET | BY_FEATURE),
        fires("4h20m", UNMETERED),
    ]),
    Case("streams are stopped", [
        *calls("chat", (240, 20)), unmetered(Span(240, 1)),
    ], [quiet("4h", UNMETERED)]),
    Case("one of one, and a new feature", [
        *calls("chat", (60, None), (60, 0.02)), unmetered(unscraped(60), Span(1, 1), HOUR),
    ], [quiet("2h", UNMETERED)]),
    Case("a gap, and a counter from 0", [
        *calls("chat", (60, 20), (30, None), (60, 20)),
        unmetered(Span(60, 1), unscraped(30, 1), restarted(60, 1)),
    ], [quiet("2h30m", UNMETERED)]),
)  # fmt: skip


def test_each_alert_fires_when_it_must_and_only_then(tmp_path: Path) -> None:
    assert complaints(tmp_path, CASES, interval="1m", files=("unaccounted",)) == ""


def test_a_stricter_share_tells_of_fewer_untagged_calls(tmp_path: Path) -> None:
    texts = {
        "summary": "4.762% of the calls name no feature",
        "description": "4.762% of the calls of the last hour name no feature; allowed are 3%. "
        "Their cost is nobody's. Applications name it in the header X-Feature; the keys and "
        "providers of these calls say whose they are.",
        "runbook_url": "grafana/playbooks.md#spanmeteruntaggedsharehigh",
        "dashboard_url": "http://localhost:3000/d/spanmeter-features",
    }
    case = Case(
        "a twentieth",
        [*calls("untagged", (120, 0.5)), *calls("chat", (120, 10))],
        [tells("1h", UNTAGGED, TICKET, texts)],
    )
    stricter = Slo(untagged_ratio=0.03)

    assert complaints(tmp_path, [case], stricter, interval="1m", files=("unaccounted",)) == ""


def test_a_model_without_a_price_is_told_with_its_name_and_what_to_do(tmp_path: Path) -> None:
    texts = {
        "summary": "No price for groq/new: cost is understated",
        "description": "6 calls of groq/new in the last 6 hours have no cost (unknown_model); told "
        "are 5 and more. All sums of money are too low by them, and past calls are not priced "
        "again: add a row to `prices` in the gateway's configuration.",
        "runbook_url": "grafana/playbooks.md#spanmeterunpricedcalls",
        "dashboard_url": "http://localhost:3000/d/spanmeter-models",
    }
    six = unpriced(unscraped(10), Span(3, 2), HOUR)
    case = Case("six calls", [six], [tells("40m", UNPRICED, TICKET | BY_MODEL, texts)])

    assert complaints(tmp_path, [case], interval="30s", files=("unaccounted",)) == ""
