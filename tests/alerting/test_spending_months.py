"""Month budgets: what is added up, to the cent, and when it is told; by real promtool.

promtool's time begins with January 1970.
"""

from decimal import Decimal
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
    restarted,
    shows,
    tells,
    unscraped,
)

from spanmeter_gateway.alerting import build, series
from spanmeter_gateway.alerting.slo import Slo, Team
from spanmeter_gateway.telemetry import names

DAY = 24 * 60
FORECAST = "SpanmeterMonthBudgetForecast"
SPENT = "SpanmeterMonthBudgetSpent"
ALL = {"scope": "all", "name": "all", "team": "platform"}
TICKET = ALL | {"severity": "ticket"}


def spends(feature: str, *spans: Span, **labels: str) -> Series:
    """Spend dollars by the minute."""
    return counter(names.COST.prometheus_name, {"spanmeter_feature": feature} | labels, *spans)


def test_no_budget_makes_no_rule() -> None:
    assert [group.name for group in build.groups(Slo())["spending"]] == ["spanmeter-spending"]


def test_what_is_spent_is_added_up_to_the_cent(tmp_path: Path) -> None:
    an_hour = every_minute(60, 0)
    bursts = [span for each in range(60) for span in (Span(1, 0.37 + each / 100), Span(6, 0))]
    usd_by_feature = {
        "bursts": sum(0.37 + each / 100 for each in range(60)),
        "born late": 5.37,
        "another model": 6 + 10.74,
        "two hours unscraped": 6,
        # Its last minute under the old address was never seen.
        "moved to another address": 5.99,
        # What was counted since the tile began is lost with them.
        "books deleted": 5.98,
    }
    found = [
        spends("bursts", *bursts, Span(180, 0), an_hour),
        spends("born late", unscraped(63), every_minute(537, 0.01), an_hour),
        spends("another model", every_minute(600, 0.01), an_hour),
        spends("another model", unscraped(63), Span(537, 0.02), an_hour, gen_ai_request_model="b"),
        spends(
            "two hours unscraped", Span(120, 0.01), unscraped(120, 0.01), Span(360, 0.01), an_hour
        ),
        spends("moved to another address", every_minute(300, 0.01)),
        Series(
            'spanmeter_cost_usd_total{spanmeter_feature="moved to another address",instance="b"}',
            "_x300 3+0.01x300 6x60",
        ),
        spends("books deleted", every_minute(297, 0.01), restarted(303, 0.01), an_hour),
    ]  # fmt: skip
    expected = [
        ({"spanmeter_feature": feature}, round(usd, 2)) for feature, usd in usd_by_feature.items()
    ]
    case = Case(
        "ten hours",
        found,
        [shows("10h30m", f"round({series.MONTH_TO_DATE} * 100) / 100", *expected)],
    )

    assert _complaints(tmp_path, [case], Slo(month_usd=Decimal(1000))) == ""


def test_scopes_add_up_the_features_that_fit(tmp_path: Path) -> None:
    slo = Slo(
        teams=(Team("money", ("billing-*",), Decimal(50)), Team("rest", ("*",), Decimal(60))),
        default_team="nobody",
        month_usd=Decimal(100),
        month_usd_by_feature={"billing-*": Decimal(20), "checkout": Decimal(30)},
    )
    found = [
        spends(feature, every_minute(120, usd))
        for feature, usd in {"billing-eu": 0.01, "billing-us": 0.02, "checkout": 0.1}.items()
    ]
    money, rest = {"team": "money"}, {"team": "rest"}
    expectations = [
        shows(
            "1h",
            f"round({recorded}, 0.0001)",
            ({"scope": "all", "name": "all", "team": "nobody"}, all_usd),
            ({"scope": "team", "name": "money"} | money, billing_usd),
            ({"scope": "team", "name": "rest"} | rest, checkout_usd),
            ({"scope": "feature", "name": "billing-*"} | money, of_billing_usd),
            (
                {"scope": "feature", "name": "checkout", "spanmeter_feature": "checkout"} | rest,
                of_checkout_usd,
            ),
        )
        for recorded, all_usd, billing_usd, checkout_usd, of_billing_usd, of_checkout_usd in [
            (series.MONTH_SPENT, 7.8, 1.8, 6, 1.8, 6),
            (series.MONTH_BUDGET, 100, 50, 60, 20, 30),
        ]
    ]

    assert _complaints(tmp_path, [Case("an hour", found, expectations)], slo) == ""


def test_a_budget_that_will_not_last_is_told_from_the_second_day_until_it_is_spent(
    tmp_path: Path,
) -> None:
    texts = {
        "summary": "Budget of all features together will not last: 44.52 USD by the month's end",
        "description": "all features together: 1.80 USD since the month began (UTC), 44.52 USD by "
        "its end if the last 7 days go on; allowed are 2.00 USD.",
        "runbook_url": "grafana/playbooks.md#spanmetermonthbudgetforecast",
        "dashboard_url": "http://localhost:3000/d/spanmeter-overview",
    }
    spent = {
        "summary": "Budget of all features together is spent: 2.16 USD this month",
        "description": "all features together: 2.16 USD since the month began (UTC); allowed are "
        "2.00 USD until its end.",
        "runbook_url": "grafana/playbooks.md#spanmetermonthbudgetspent",
        "dashboard_url": "http://localhost:3000/d/spanmeter-overview",
    }
    case = Case(
        "a tenth of a cent a minute",
        [spends("a", every_minute(2 * DAY, 0.001))],
        [
            quiet("1d"),
            tells("1d6h", FORECAST, TICKET, texts),
            fires("1d12h", FORECAST),
            tells("1d12h", SPENT, TICKET, spent),
        ],
    )

    assert _complaints(tmp_path, [case], Slo(month_usd=Decimal(2))) == ""


def test_what_fits_a_budget_is_not_told(tmp_path: Path) -> None:
    features = {
        "steady": [every_minute(2 * DAY, 0.001)],
        "one dear call": [unscraped(DAY), every_minute(1, 1), every_minute(DAY, 0)],
        "expensive hours on its first day": [
            unscraped(DAY), every_minute(120, 0.05), every_minute(DAY, 0),
        ],
    }  # fmt: skip
    case = Case(
        "two days", [spends(name, *spans) for name, spans in features.items()], [quiet("2d")]
    )
    slo = Slo(month_usd_by_feature=dict.fromkeys(features, Decimal(200)))

    assert _complaints(tmp_path, [case], slo) == ""


def test_a_month_begins_at_nothing_and_forgets_the_one_before(tmp_path: Path) -> None:
    slo = Slo(month_usd=Decimal(40), teams=(Team("shop", ("*",), Decimal(50)),))
    night = [Span(1, 1.5), Span(DAY - 1, 0)]
    case = Case(
        "a dollar and a half each night",
        [spends("a", *night * 33)],
        [
            fires("30d12h", SPENT, TICKET),
            fires("31d1h", f"{SPENT}|{FORECAST}"),
            shows("32d12h", f'round({series.MONTH_SPENT}{{scope="all"}}, 0.01)', (ALL, 3)),
        ],
    )

    # A tile is what was spent since the one before, so that fewer do for a month.
    assert complaints(tmp_path, [case], slo, interval="2h", files=("spending",)) == ""


def _complaints(folder: Path, cases: list[Case], slo: Slo) -> str:
    return complaints(folder, cases, slo, interval="5m", files=("spending",))
