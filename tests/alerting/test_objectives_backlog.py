"""Rates while the books enter a backlog: hours of calls that look like one moment."""

from pathlib import Path

import pytest
from tests.alerting_rules import (
    Case,
    Series,
    Span,
    calls,
    complaints,
    durations,
    every_minute,
    fires,
    gauge,
    quiet,
)

from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.telemetry import names

FAST = "SpanmeterErrorBudgetBurnFast"
LATENCY = "SpanmeterLatencyHigh"
FILES = ("features", "objectives")
WITHOUT = ("spanmeter-objectives-long",)
END = "100m"
# An hour's outage of a provider and of the books, entered within 4 minutes of the 40th.
ENTERED = {
    "ok": [every_minute(38, 100), every_minute(2, 3000), every_minute(60, 100)],
    "provider_error": [every_minute(38, 0), every_minute(2, 3000), every_minute(60, 0)],
}
BROKEN = {"ok": [every_minute(100, 50)], "provider_error": [every_minute(100, 50)]}
SLOW_ENTERED = {
    1.0: [every_minute(38, 100), every_minute(4, 100), every_minute(58, 100)],
    60.0: [every_minute(38, 0), every_minute(4, 3000), every_minute(58, 0)],
}


def lag(*runs: tuple[int, float | None]) -> Series:
    return gauge(names.BOOKS_LAG.prometheus_name, {}, *runs)


def world() -> tuple[Series, ...]:
    shape: list[Span] = SLOW_ENTERED[1.0]
    return (
        *calls("past", ENTERED),
        *calls("broken", BROKEN),
        *calls("slow", {"ok": shape}),
        *durations("slow", SLOW_ENTERED),
    )


def test_a_backlog_pages_nobody_and_ends_no_page(tmp_path: Path) -> None:
    broken = {FEATURE: "broken", "severity": "page", "team": "platform"}
    case = Case(
        "a backlog",
        (*world(), lag((38, 0.4), (6, 3500), (56, 0.4))),
        [
            quiet(END, feature="past"),
            quiet(END, feature="slow"),
            *(fires(f"{at}m", FAST, broken) for at in range(10, 100, 2)),
        ],
    )

    assert complaints(tmp_path, [case], files=FILES, without=WITHOUT) == ""


@pytest.mark.parametrize("behind", [lag((100, 0.4)), lag((100, None))], ids=["prompt", "unknown"])
def test_the_same_counts_without_a_backlog_are_an_outage(tmp_path: Path, behind: Series) -> None:
    past = {FEATURE: "past", "severity": "page", "team": "platform"}
    broken = past | {FEATURE: "broken"}
    slow = past | {FEATURE: "slow", "severity": "ticket"}
    case = Case(
        "no backlog",
        (*world(), behind),
        [fires("46m", FAST, past, broken), fires("51m", LATENCY, slow)],
    )

    assert complaints(tmp_path, [case], files=FILES, without=WITHOUT) == ""
