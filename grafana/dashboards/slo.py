"""SLO and anomalies: what is promised and kept, which alerts are active, what is unusual.

Reads what the rules record (`alerting/series.py`), which knows the feature and no other filter.
"""

from dataclasses import replace

from grafana import by_feature, limits
from grafana.dashboards.slo_anomalies import ANOMALIES, VARIABLE
from grafana.frame import Dashboard
from grafana.panels import (
    BAD,
    GOOD,
    WARN,
    Json,
    Look,
    Panel,
    Query,
    Row,
    Step,
    column,
    limit,
    lines,
)
from grafana.queries import AT_END, FEATURE, PERIOD, leading
from grafana.tables import Column, by_label
from spanmeter_gateway.alerting import series
from spanmeter_gateway.alerting.features import WINDOW_S
from spanmeter_gateway.alerting.promql import TEAM

_CHOSEN = f'{{{FEATURE}=~"$feature"}}'
_ON = f"on ({FEATURE})"
_UNRECORDED = "not recorded: load grafana/rules"
_MONTH_S = WINDOW_S["30d"]
_PACE = "1h"
"""The window that says how fast the budget goes now: shorter ones are of few calls."""


def _each(recorded: str, *kept: str) -> str:
    # One value a feature, whatever labels a Prometheus behind another one adds.
    return f"max by ({', '.join((FEATURE, *kept))}) ({recorded}{_CHOSEN})"


def _burn(window: str) -> str:
    return f"{_each(series.fault_ratio(window))}\n  / {_ON} {_each(series.ERROR_BUDGET)}"


def _objective() -> str:
    team = _each(series.TEAM_INFO, TEAM)
    return f"(1 - {_each(series.ERROR_BUDGET)})\n  * {_ON} group_left ({TEAM}) {team}"


def _lasts() -> str:
    left = f"clamp_min({_each(series.BUDGET_LEFT)}, 0)"
    budget, pace = _each(series.ERROR_BUDGET), _each(series.fault_ratio(_PACE))
    return f"{_MONTH_S} * {left} * {_ON} {budget}\n  / {_ON} ({pace} > 0)"


def _ratio(window: str) -> Column:
    return Column(
        name=f"Failed, {window}",
        expr=_each(series.fault_ratio(window)),
        unit="percentunit",
        decimals=2,
    )


_SPENT_OR_NOT = (Step(BAD), Step(GOOD, 0))
_OBJECTIVES = Row(
    "Objectives",
    (
        by_label(
            "objectives",
            "How much of its error budget has each feature left?",
            FEATURE,
            head="Feature",
            further={TEAM: "Team"},
            description="Objective: the share of calls that no fault of a provider or the gateway "
            "may fail. Budget left: of the failures that it allows in 30 days; below 0 it is "
            "overspent. Failed: the share of the calls in the last 5 minutes to 3 days. Burn rate: "
            f"that of {_PACE} in multiples of what spends the budget in 30 days, red where it "
            "pages. Lasts: until the budget is gone at this pace; blank where nothing fails. "
            "Little left: freeze risky changes; click the feature to see what fails.",
            height=10,
            sort_by="Burn rate",
            look=Look(no_value=_UNRECORDED),
            columns=(
                Column(name="Objective", expr=_objective(), unit="percentunit", decimals=2),
                Column(
                    name="Budget left",
                    expr=_each(series.BUDGET_LEFT),
                    unit="percentunit",
                    decimals=0,
                    steps=_SPENT_OR_NOT,
                ),
                *map(_ratio, ("5m", "1h", "6h", "1d", "3d")),
                Column(
                    name="Burn rate",
                    expr=_burn(_PACE),
                    decimals=1,
                    steps=limit(limits.BURN_1H, warn_from=limits.BURN_TICKET),
                ),
                Column(name="Lasts", expr=_lasts(), unit="s", decimals=0),
            ),
            overrides=(by_feature.CELL,),
        ),
    ),
)


def _by_feature(panel: Panel, expr: str, ranked_by: str) -> Panel:
    query = Query(leading(expr, ranked_by, FEATURE), by_feature.LEGEND)
    grey = (by_feature.GREY,)
    return replace(panel, queries=(query,), overrides=grey, links=(by_feature.DRILL,))


def _most(recorded: str, promised: str) -> str:
    most = f"max by ({FEATURE}) (max_over_time({recorded}{_CHOSEN}[{PERIOD}] {AT_END}))"
    return f"{most} / {_ON} max by ({FEATURE}) ({promised}{_CHOSEN} {AT_END})"


def _burning(window: str, factor: float, *, is_page: bool) -> Panel:
    what = "pages" if is_page else "opens a ticket"
    return _by_feature(
        lines(
            f"burn-{window}",
            f"Who burns budget, over {window}?",
            description=f"Share of calls that failed in the last {window}, in multiples of the "
            "share that spends the error budget of 30 days in 30 days. Above the dashed line, at "
            f"{factor:g}, an alert {what}, if it still goes on. The ten features that burned the "
            "fastest in the time range; click one to see what fails.",
            look=Look(
                decimals=1,
                steps=(Step(GOOD), Step(BAD if is_page else WARN, factor)),
                no_value=_UNRECORDED,
            ),
            width=6,
        ),
        _burn(window),
        _most(series.fault_ratio(window), series.ERROR_BUDGET),
    )


_BURNS = Row(
    "Burn rates",
    (
        _burning("1h", limits.BURN_1H, is_page=True),
        _burning("6h", limits.BURN_6H, is_page=True),
        _burning("1d", limits.BURN_1D, is_page=False),
        _burning("3d", limits.BURN_3D, is_page=False),
    ),
)


def _against(key: str, title: str, what: str, *, recorded: tuple[str, str]) -> Panel:
    p95, objective = recorded
    return _by_feature(
        lines(
            key,
            title,
            description=f"{what}, by what the feature's objective allows: 100 % is the limit, the "
            "dashed line. Above it for 10 minutes an alert opens a ticket. The ten features that "
            "came closest to their limit, or went the furthest beyond it.",
            look=Look(unit="percentunit", decimals=0, steps=limit(1), no_value=_UNRECORDED),
            width=12,
        ),
        f"{_each(p95)}\n  / {_ON} {_each(objective)}",
        _most(p95, objective),
    )


_WAITS = Row(
    "Waits against their objectives",
    (
        _against(
            "p95",
            "Who waits longer than promised?",
            "What 95 of 100 callers whose call went well waited at most, over 10 minutes",
            recorded=(series.CALL_P95_10M, series.CALL_OBJECTIVE),
        ),
        _against(
            "first-chunk",
            "Whose streams begin later than promised?",
            "How long 95 of 100 streamed attempts were without a first chunk at most, over 10 "
            "minutes",
            recorded=(series.FIRST_CHUNK_P95_10M, series.FIRST_CHUNK_OBJECTIVE),
        ),
    ),
)
_ALERT = ("alertname", "severity", FEATURE, TEAM)
_ANY = f'alertname=~"Spanmeter.*",severity!="none",{FEATURE}=~"$feature"'


def _active() -> str:
    since = f"(time() - ALERTS_FOR_STATE{{{_ANY}}})"
    lasting = f"ALERTS{{{_ANY}}} * ignoring (alertstate) group_left () {since}"
    return f"max by ({', '.join((*_ALERT, 'alertstate'))}) ({lasting})"


def _colored(name: str, color_by_text: dict[str, str]) -> Json:
    options = {
        text: {"color": color, "index": place}
        for place, (text, color) in enumerate(color_by_text.items())
    }
    return column(
        name,
        mappings=[{"type": "value", "options": options}],
        custom__cellOptions={"type": "color-text"},
    )


def _money(recorded: str) -> str:
    return f"max by (name, scope) ({recorded})"


def _of_limit(recorded: str) -> str:
    return f"{_money(recorded)}\n  / {_money(series.MONTH_BUDGET)}"


_ALERTS = Row(
    "Alerts, and the money of this month",
    (
        by_label(
            "alerts",
            "Which alerts are active, and since when?",
            "alertname",
            head="Alert",
            further={
                "severity": "Severity",
                "alertstate": "State",
                FEATURE: "Feature",
                TEAM: "Team",
            },
            description="Alerts of the chosen features, and with All those of the gateway, at the "
            "end of the time range. Pending: its condition holds, not yet for long enough. What to "
            "do stands in grafana/playbooks.md under the alert's name. Silences are Alertmanager's "
            "and not known here.",
            width=14,
            height=9,
            sort_by="For",
            look=Look(no_value="no alert is active"),
            columns=(Column(name="For", expr=_active(), unit="s", decimals=0),),
            overrides=(
                _colored(
                    "Severity",
                    {"page": BAD, "critical": BAD, "high": WARN, "ticket": WARN, "warning": WARN},
                ),
                _colored("State", {"firing": BAD, "pending": WARN}),
                by_feature.CELL,
            ),
        ),
        by_label(
            "months",
            "Will this month's budgets last?",
            "name",
            head="Of",
            further={"scope": "Scope"},
            description="US dollars since the calendar month began (UTC), what it will come to if "
            "the last 7 days go on, and the limit: month_usd in slo.yaml, of everything, a team or "
            "a feature. Red: over the limit. No filter holds for it. Raise the limit, or look on "
            "Features who moved.",
            width=10,
            height=9,
            sort_by="Forecast, share",
            look=Look(no_value="no budget: set month_usd in slo.yaml"),
            columns=tuple(
                Column(name=name, expr=expr, unit=unit, decimals=0, steps=steps)
                for name, expr, unit, steps in (
                    ("Spent", _money(series.MONTH_SPENT), "currencyUSD", ()),
                    ("Forecast", _money(series.MONTH_FORECAST), "currencyUSD", ()),
                    ("Limit", _money(series.MONTH_BUDGET), "currencyUSD", ()),
                    ("Spent, share", _of_limit(series.MONTH_SPENT), "percentunit", limit(1)),
                    ("Forecast, share", _of_limit(series.MONTH_FORECAST), "percentunit", limit(1)),
                )
            ),
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-slo",
    description="What each feature's calls keep of their objectives, which alerts are active, what "
    "is unusual, and whether the month's budgets last.",
    rows=(_OBJECTIVES, _BURNS, _ALERTS, _WAITS, ANOMALIES),
    variables=("feature",),
    own_variables=(VARIABLE,),
)
