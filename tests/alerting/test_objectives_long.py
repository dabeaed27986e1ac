"""Alerts over hours and days, and the ratios that they read, held against the calls."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from tests.alerting_rules import (
    Case,
    Expectation,
    Span,
    about,
    calls,
    complaints,
    every_minute,
    fires,
    quiet,
    restarted,
    shows,
    unscraped,
)

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.promql import FEATURE
from spanmeter_gateway.alerting.slo import Promise, Slo

FAST = "SpanmeterErrorBudgetBurnFast"
SLOW = "SpanmeterErrorBudgetBurnSlow"
PAGE = {"severity": "page", "team": "platform"}
TICKET = {"severity": "ticket", "team": "platform"}
SLO = Slo(promise_by_feature={"strict": Promise(error_budget=Decimal("0.001"))})
HOUR = 60
END = "36h"
STEP = "5m"
"""Counts of long windows are right at it; those of an hour are a tenth, so traffic is dense."""


def failing(*hours: tuple[int, float, float]) -> dict[str, list[Span]]:
    """Make calls for so many hours each: so many a minute, and the share of them that fails."""
    return {
        "ok": [every_minute(many * HOUR, rate * (1 - share)) for many, rate, share in hours],
        "provider_error": [every_minute(many * HOUR, rate * share) for many, rate, share in hours],
    }


def case(
    name: str, feature: str, by_outcome: Mapping[str, Sequence[Span]], *expected: Expectation
) -> Case:
    return Case(name, calls(feature, by_outcome), expected)


def interrupted(pause: Span, last: Span) -> dict[str, list[Span]]:
    faults = [
        Span(each.minutes, each.per_minute / 500, each.is_scraped, each.is_restart)
        for each in (pause, last)
    ]
    return {
        "ok": [every_minute(20 * HOUR, 100), pause, last],
        "provider_error": [every_minute(20 * HOUR, 0.2), *faults],
    }  # fmt: skip


CASES = (
    case(
        "just under 6 times the budget in six hours is no page",
        "under-6",
        failing((36, 100, 0.059)),
        quiet(END, FAST, feature="under-6"),
    ),
    case(
        "just over 6 times the budget in six hours is a page",
        "over-6",
        failing((36, 100, 0.061)),
        fires(END, FAST, PAGE, feature="over-6"),
    ),
    case(
        "a day of failures makes a ticket when it costs budget and ends after it",
        "slow",
        failing((20, 100, 0), (8, 100, 0.04), (8, 100, 0)),
        quiet("26h", feature="slow"),
        fires("28h", SLOW, TICKET, feature="slow"),
        fires("35h", SLOW, feature="slow"),
        quiet(END, FAST, feature="slow"),
    ),
    case(
        "just under 3 times the budget in a day is no ticket",
        "under-3",
        failing((2, 100000, 0), (34, 100, 0.0295)),
        quiet(END, feature="under-3"),
    ),
    case(
        "just over 3 times the budget in a day is a ticket",
        "over-3",
        failing((2, 100000, 0), (34, 100, 0.0305)),
        fires(END, SLOW, TICKET, feature="over-3"),
    ),
    case(
        "just under the budget is no ticket",
        "under-1",
        failing((36, 100, 0.0098)),
        quiet(END, feature="under-1"),
    ),
    case(
        "just over the budget is a ticket",
        "over-1",
        failing((36, 100, 0.0102)),
        fires(END, SLOW, TICKET, feature="over-1"),
    ),
    case(
        "nine failed calls in a day are no ticket",
        "rare",
        failing((36, 0.008, 0.5)),
        quiet(END, feature="rare"),
    ),
    case(
        "a stricter objective makes a ticket of what others may fail",
        "strict",
        failing((36, 100, 0.002)),
        fires(END, SLOW, TICKET, feature="strict"),
    ),
    case(
        "the usual objective makes none of the same share",
        "usual",
        failing((36, 100, 0.002)),
        quiet(END, feature="usual"),
    ),
    case(
        "hours without scrapes of a healthy feature are quiet",
        "gap",
        interrupted(unscraped(3 * HOUR, 100), every_minute(13 * HOUR, 100)),
        quiet(END, feature="gap"),
    ),
    case(
        "a counter that begins again is quiet for days",
        "restart",
        interrupted(restarted(3 * HOUR, 100), every_minute(13 * HOUR, 100)),
        quiet(END, feature="restart"),
    ),
    case(
        "a new feature that is healthy is quiet",
        "new",
        {
            "ok": [unscraped(30 * HOUR), every_minute(6 * HOUR, 100)],
            "provider_error": [unscraped(30 * HOUR), every_minute(6 * HOUR, 0.2)],
        },
        quiet(END, feature="new"),
    ),
    case(
        "nine of ten calls that are mistakes, denied or left burn nothing for days",
        "strange-callers",
        {
            outcome: [every_minute(36 * HOUR, many)]
            for outcome, many in {"ok": 10, "caller_error": 90, "policy_denied": 90}.items()
        },
        quiet(END, f"{FAST}|{SLOW}", feature="strange-callers"),
    ),
)


@pytest.fixture(scope="module")
def complained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool complains about in one world of all cases."""
    folder = tmp_path_factory.mktemp("long")
    files = ("features", "objectives")
    return complaints(folder, CASES, SLO, files=files, interval=STEP, together=True)


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_a_slow_burn_is_told_when_it_should_and_only_then(each: Case, complained: str) -> None:
    assert about(complained, each.name) == ""


BUSY = (1000.0, 0.05)
CALM = (10.0, 0.2)
WINDOW_MINUTES = {"30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 36 * HOUR}


def _minute(minute: int) -> tuple[float, float]:
    """A hundred times the calls in ten minutes of each hour, at a better share; worse at last."""
    rate, share = BUSY if 10 <= minute % 30 < 15 else CALM
    return (rate, share if minute >= 30 * HOUR else share / 10)


def _true_ratio(window: str) -> float:
    minutes = [_minute(each) for each in range(36 * HOUR)][-WINDOW_MINUTES[window] :]
    return sum(rate * share for rate, share in minutes) / sum(rate for rate, _ in minutes)


# A mean of ratios would be three times as high: most minutes are calm, most calls are not.
def test_the_ratio_of_each_window_is_that_of_its_calls(tmp_path: Path) -> None:
    minutes = [_minute(each) for each in range(36 * HOUR)]
    by_outcome = {
        "ok": [every_minute(1, rate * (1 - share)) for rate, share in minutes],
        "gateway_error": [every_minute(1, rate * share) for rate, share in minutes],
    }
    equal = [
        shows(END, f"round({series.fault_ratio(window)} / {_true_ratio(window)}, 0.05)",
              ({FEATURE: "wavy"}, 1))
        for window in WINDOW_MINUTES
    ]  # fmt: skip

    complained = complaints(
        tmp_path, [case("wavy", "wavy", by_outcome, *equal)], files=["features"], interval=STEP
    )

    assert complained == ""


def test_the_budget_that_is_left_is_that_of_thirty_days_of_calls(tmp_path: Path) -> None:
    # 7 of 1110 calls failed in the first; 1 of 100 may
    uneven = failing((240, 1000, 0.002), (240, 10, 0.5), (241, 100, 0))
    overspent = failing((721, 100, 0.02))
    left = [
        shows("30d", f"round({series.BUDGET_LEFT}, 0.01)",
              ({FEATURE: "uneven"}, 0.37), ({FEATURE: "overspent"}, -1))
    ]  # fmt: skip

    complained = complaints(
        tmp_path,
        [Case("left", (*calls("uneven", uneven), *calls("overspent", overspent)), left)],
        files=["features"],
        interval="1h",
    )

    assert complained == ""
