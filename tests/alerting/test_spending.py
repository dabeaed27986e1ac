"""Spending that jumps, and new features that spend much, by real promtool."""

from collections.abc import Sequence
from pathlib import Path

from tests.alerting_rules import (
    UNEDITED,
    Case,
    Series,
    Span,
    calls,
    complaints,
    counter,
    every_minute,
    fires,
    quiet,
    recorded,
    restarted,
    shows,
    tells,
    unscraped,
)

from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.slo import Slo, Spend
from spanmeter_gateway.telemetry import names

DAY = 24 * 60
TICKET = {"spanmeter_feature": "checkout", "team": "platform", "severity": "ticket"}
SPIKE = "SpanmeterCostSpike"
NEW = "SpanmeterNewFeatureExpensive"
MONEY = f"{SPIKE}|{NEW}"
Run = tuple[int, float | None]
"""So many minutes at so many dollars an hour; None: there is nothing."""
WEEK: Run = (8 * DAY, 0.6)


def spends(*spans: Span, feature: str = "checkout") -> tuple[Series, ...]:
    """Spend dollars by the minute, with a call a minute: what the books count."""
    one_a_minute = [
        Span(span.minutes, 1, is_scraped=span.is_scraped, is_restart=span.is_restart)
        for span in spans
    ]
    labels = {"spanmeter_feature": feature, "gen_ai_request_model": "gpt-5"}
    cost = counter(names.COST.prometheus_name, labels, *spans)
    return (cost, *calls(feature, {"ok": one_a_minute}))


def hourly(*runs: Run, feature: str = "checkout") -> tuple[Series, ...]:
    """Be what is recorded of a feature's spending: days of it cost too much to record."""
    of = {"spanmeter_feature": feature}
    minutes = sum(many for many, _ in runs)
    rates = [(many, usd if usd is None else usd / 3600) for many, usd in runs]
    return (
        recorded(series.COST_RATE_1H, of, *rates),
        recorded(series.COST_RATE_5M, of, *rates),
        recorded(series.TEAM_INFO, of | {"team": "platform"}, (minutes, 1)),
    )


def test_jumps_are_told_and_what_is_none_is_not(tmp_path: Path) -> None:
    quiet_ones: dict[str, list[Run]] = {
        "steady": [(9 * DAY, 0.6)],
        "four fifths more": [(8 * DAY, 1.2), (DAY, 2.16)],
        "under a dollar": [(8 * DAY, 0.01), (DAY, 0.9)],
        "a peak each day": [(DAY - 60, 0.6), (60, 12)] * 9,
        "nightly work, and a clock is set back": [
            *[(DAY - 120, 0.06), (60, 12), (60, 0.06)] * 8, (DAY - 60, 0.06), (60, 12),
        ],
        "up and down since a week": [(2 * DAY, 0.6), *[(120, 0.6), (120, 5)] * 42],
        "two hours without a value": [WEEK, (120, None), (DAY - 120, 0.6)],
        "no value at this hour of last week": [(DAY, 0.6), (240, None), (8 * DAY - 240, 0.6)],
    }  # fmt: skip
    features = {
        "checkout": [WEEK, (121, 3), (DAY - 121, 0.6)],
        "nothing last week": [(8 * DAY, 0), (DAY, 12)],
    } | quiet_ones
    ever = 'group by (spanmeter_feature) (max_over_time(ALERTS{alertstate="firing"}[9d]))'
    case = Case(
        "a morning after eight days",
        [each for name, runs in features.items() for each in hourly(*runs, feature=name)],
        [
            fires("8d2h", SPIKE, TICKET, TICKET | {"spanmeter_feature": "nothing last week"}),
            # By then the day's band has taken the jump in.
            fires("8d6h", SPIKE),
            shows("9d", ever, *[({"spanmeter_feature": each}, 1) for each in list(features)[:2]]),
        ],
    )

    assert _complaints(tmp_path, [case]) == ""


def test_a_jump_is_told_with_its_numbers(tmp_path: Path) -> None:
    texts = {
        "summary": "checkout spends 2.16 USD an hour, over 1.5 times last week's",
        "description": "2.16 USD in the last hour; at this time of last week at most 1.20 USD; on "
        "average of the day before 1.20 USD. Told is over 1.5 times last week, over the mean and 3 "
        "standard deviations of a day, and over 1 USD an hour.",
        "runbook_url": "grafana/playbooks.md#spanmetercostspike",
        "dashboard_url": "http://localhost:3000/d/spanmeter-feature?var-feature=checkout",
    }
    case = Case(
        "four fifths more, by a stricter ratio",
        hourly((8 * DAY, 1.2), (121, 2.16)),
        [quiet("8d", MONEY), tells("8d1h", SPIKE, TICKET, texts)],
    )

    assert _complaints(tmp_path, [case], Slo(spend=Spend(spike_ratio=1.5))) == ""


def test_no_jump_is_told_while_the_hour_holds_a_backlog(tmp_path: Path) -> None:
    behind = recorded(series.BOOKS_BEHIND, {}, (8 * DAY, None), (6, 3600))
    case = Case("hours in one", [*hourly(WEEK, (60, 20), (300, 0.6)), behind], [quiet("8d6h")])

    assert _complaints(tmp_path, [case]) == ""


def test_a_new_feature_that_spends_much_is_told_for_a_day(tmp_path: Path) -> None:
    # Recorded each minute, not twice, an hour's sum is half of what it is.
    features = {
        "steady": [(3 * DAY, 24)],
        "grows threefold on its second day": [(DAY + 360, 4), (DAY, 12)],
        "works an hour each night": [(60, 24), (DAY - 60, 0)] * 3,
        "cheap": [(3 * DAY, 4)],
    }
    steady, grows, works, _ = ({**TICKET, "spanmeter_feature": each} for each in features)
    case = Case(
        "three days, and a day without any",
        [
            each
            for name, runs in features.items()
            for each in hourly((DAY, None), *runs, feature=name)
        ],
        [
            fires("1d1h", NEW, steady, works),
            fires("1d12h", NEW, steady),
            fires("2d2h", NEW),
            fires("2d8h", NEW, grows),
            quiet("4d", SPIKE),
        ],
    )

    assert _complaints(tmp_path, [case], interval="30m") == ""


def test_no_feature_has_both_alerts(tmp_path: Path) -> None:
    features = [
        each
        for day in (0, 1, 2, 3, 7, 8)
        for each in hourly(
            (day * DAY + 30, None),
            ((9 - day) * DAY - 30, 0.01),
            (180, 99),
            feature=f"born-on-day-{day}",
        )
    ]
    firing = f'ALERTS{{alertname=~"{MONEY}",alertstate="firing"}}'
    case = Case(
        "all jump at once",
        features,
        [
            shows("9d2h", f"count by (spanmeter_feature) ({firing}) > 1"),
            shows(
                "9d2h",
                f"count by (alertname) ({firing})",
                ({"alertname": SPIKE}, 3),
                ({"alertname": NEW}, 3),
            ),
        ],
    )

    assert _complaints(tmp_path, [case]) == ""


def test_what_a_new_feature_spends_is_counted_from_its_first_call(tmp_path: Path) -> None:
    # Prometheus 2 reads 121 values of an hour, Prometheus 3 120.
    texts = {
        "summary": "New feature checkout spends 12.10 USD an hour",
        "description": "12.10 USD in the last hour by a feature that is younger than a week. Told "
        "is over 5 USD an hour; from its second day on only if it is over 2 times yesterday's, "
        "too.",
        "runbook_url": "grafana/playbooks.md#spanmeternewfeatureexpensive",
        "dashboard_url": "http://localhost:3000/d/spanmeter-feature?var-feature=checkout",
    }
    features = {
        "checkout": [unscraped(10), every_minute(170, 0.2)],
        "4 dollars an hour": [unscraped(10), every_minute(170, 4 / 60)],
        "one call for 4 dollars": [unscraped(10), every_minute(1, 4), every_minute(170, 0)],
        "a gap, and a counter from 0": [
            every_minute(60, 0.05), unscraped(20, 0.05), every_minute(20, 0.05), restarted(80, 0.05)
        ],
        "10 dollars, and it ends": [unscraped(10), every_minute(60, 1 / 6), every_minute(110, 0)],
    }  # fmt: skip
    ended = TICKET | {"spanmeter_feature": "10 dollars, and it ends"}
    ever = 'group by (spanmeter_feature) (max_over_time(ALERTS{alertstate="firing"}[3h]))'
    case = Case(
        "three hours",
        [each for name, spans in features.items() for each in spends(*spans, feature=name)],
        [
            quiet("40m"),
            fires("1h15m", NEW, TICKET, ended),
            fires("3h", NEW, TICKET),
            tells("3h", NEW, TICKET, texts),
            shows(
                "3h",
                ever,
                ({"spanmeter_feature": "checkout"}, 1),
                ({"spanmeter_feature": ended["spanmeter_feature"]}, 1),
            ),
        ],
    )

    assert complaints(tmp_path, [case], files=("features", "spending")) == ""


def test_a_stricter_limit_tells_of_a_cheaper_new_feature(tmp_path: Path) -> None:
    # Recorded each minute, not twice, an hour's sum is half of what it is.
    cheap = Case("4 dollars an hour", hourly((60, None), (300, 4)), [fires("4h", NEW, TICKET)])

    assert _complaints(tmp_path, [cheap], Slo(spend=Spend(new_feature_usd_per_hour=1.5))) == ""


def _complaints(
    folder: Path, cases: Sequence[Case], slo: Slo = UNEDITED, *, interval: str = "1h"
) -> str:
    return complaints(folder, cases, slo, interval=interval, files=("spending",))
