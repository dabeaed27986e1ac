"""What the alerts on objectives and callers say: the feature, the numbers, the limits."""

from pathlib import Path

from tests.alerting_rules import (
    Case,
    calls,
    complaints,
    durations,
    every_minute,
    first_chunks,
    tells,
    unscraped,
)

from spanmeter_gateway.alerting.promql import FEATURE

PLAYBOOKS = "grafana/playbooks.md#"
GRAFANA = "http://localhost:3000/d/"
STRANGE = 'a "b" \\ ü'
WHO = {FEATURE: STRANGE, "team": "platform"}
OF_STRANGE = "?var-feature=a+%22b%22+%5C+%C3%BC"


def said(alert: str, dashboard: str, summary: str, description: str) -> dict[str, str]:
    return {
        "summary": f"{STRANGE}: {summary}",
        "description": description,
        "runbook_url": f"{PLAYBOOKS}{alert.lower()}",
        "dashboard_url": f"{GRAFANA}{dashboard}{OF_STRANGE}",
    }


def test_every_alert_says_what_is_and_what_was_allowed(tmp_path: Path) -> None:
    minutes = 75
    outcomes = {
        "ok": 40, "provider_error": 10, "caller_error": 60, "policy_denied": 30, "cancelled": 60,
    }  # fmt: skip
    slow = [every_minute(minutes, 40)]
    series = (
        *calls(STRANGE, {name: [every_minute(minutes, many)] for name, many in outcomes.items()}),
        *durations(STRANGE, {40.0: slow}),
        *first_chunks(STRANGE, {10.24: slow}),
    )
    texts = {
        "SpanmeterErrorBudgetBurnFast": ("page", said(
            "SpanmeterErrorBudgetBurnFast", "spanmeter-slo", "20% of the calls fail",
            "20% of its calls in the last minutes failed by a fault of the provider or the "
            "gateway; 1% may: 20.0 times what the budget of 30 days allows. It is spent.",
        )),
        "SpanmeterErrorBudgetBurnSlow": ("ticket", said(
            "SpanmeterErrorBudgetBurnSlow", "spanmeter-slo", "20% of the calls fail, for hours",
            "20% of its calls in the last hours failed by a fault of the provider or the "
            "gateway; 1% may: 20.0 times what the budget of 30 days allows. It is spent.",
        )),
        "SpanmeterLatencyHigh": ("ticket", said(
            "SpanmeterLatencyHigh", "spanmeter-feature", "p95 of calls is 39s",
            "5 of 100 calls that were served last over 39s; 20s may.",
        )),
        "SpanmeterFirstChunkSlow": ("ticket", said(
            "SpanmeterFirstChunkSlow", "spanmeter-feature",
            "p95 of the time to a stream's first chunk is 9.984s",
            "5 of 100 streams begin after over 9.984s; 5.12s may.",
        )),
        "SpanmeterCallerErrorsHigh": ("ticket", said(
            "SpanmeterCallerErrorsHigh", "spanmeter-feature",
            "30% of the calls are mistakes of the caller",
            "30% of all calls of an hour are mistakes of the caller; 25% may be.",
        )),
        "SpanmeterDenialsHigh": ("ticket", said(
            "SpanmeterDenialsHigh", "spanmeter-feature", "15% of the calls are denied",
            "15% of all calls of an hour are denied; 10% may be.",
        )),
        "SpanmeterCancellationsHigh": ("ticket", said(
            "SpanmeterCancellationsHigh", "spanmeter-feature",
            "30% of the calls are left by their caller",
            "30% of all calls of an hour are left by their caller; 25% may be.",
        )),
    }  # fmt: skip
    expected = [
        tells(f"{minutes}m", alert, WHO | {"severity": severity}, text)
        for alert, (severity, text) in texts.items()
    ]

    complained = complaints(
        tmp_path,
        [Case("texts", series, expected)],
        files=["features", "objectives", "callers"],
    )

    assert complained == ""


def test_a_burn_says_how_long_the_rest_of_the_budget_lasts(tmp_path: Path) -> None:
    # A fifth of the budget is burnt: 0.8 of 30 days at 20 times the rate are 1.2 days.
    before, after = every_minute(60, 10000), every_minute(75, 80)
    series = calls(
        STRANGE,
        {"ok": [before, after], "provider_error": [every_minute(60, 1), every_minute(75, 20)]},
    )
    text = said(
        "SpanmeterErrorBudgetBurnFast", "spanmeter-slo", "20% of the calls fail",
        "20% of its calls in the last minutes failed by a fault of the provider or the gateway; "
        "1% may: 20.0 times what the budget of 30 days allows. "
        "What is left of it lasts 1d 4h 49m 50s at this rate.",
    )  # fmt: skip

    complained = complaints(
        tmp_path,
        [
            Case(
                "rest",
                series,
                [tells("135m", "SpanmeterErrorBudgetBurnFast", WHO | {"severity": "page"}, text)],
            )
        ],
        files=["features", "objectives"],
    )

    assert complained == ""


def test_all_calls_failing_says_how_many(tmp_path: Path) -> None:
    series = calls(STRANGE, {"provider_error": [unscraped(5), every_minute(60, 0.1)]})
    text = said(
        "SpanmeterAllCallsFailing", "spanmeter-feature", "no call was served for 30 minutes",
        "3 calls failed by a fault of the provider or the gateway in 30 minutes, "
        "and none was served.",
    )  # fmt: skip

    complained = complaints(
        tmp_path,
        [
            Case(
                "none",
                series,
                [tells("60m", "SpanmeterAllCallsFailing", WHO | {"severity": "ticket"}, text)],
            )
        ],
        files=["features", "objectives"],
    )

    assert complained == ""
