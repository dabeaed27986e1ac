"""Overview: what it all costs, whether it works, who moved, and whose calls name no feature."""

from grafana import by_feature, limits
from grafana.comparisons import ALL_CALLS, ALL_TOKENS, compared
from grafana.frame import FIRING, Dashboard
from grafana.panels import (
    BAD,
    COST,
    GOOD,
    Look,
    Query,
    Row,
    Step,
    bars,
    drill,
    limit,
    stat,
)
from grafana.queries import (
    FEATURE,
    PERIOD,
    WEEK,
    calls,
    change,
    difference,
    error_ratio,
    spend,
    wait_p95,
)
from grafana.tables import Column, by_label
from spanmeter_gateway.alerting import places, series

_WHATEVER = f'{FEATURE}=~".*"'
_UNTAGGED = f'{FEATURE}="untagged"'
_CHOSEN = f'{FEATURE}=~"$feature"'


def _untagged(offset: str = "") -> str:
    untagged = calls(matchers=(_UNTAGGED,), offset=offset)
    every = calls(matchers=(_WHATEVER,), offset=offset)
    return f"({untagged} or vector(0))\n  / ({every} > 0)"


def _hint() -> str:
    enough = f"{calls(matchers=(_UNTAGGED,))} > {limits.UNTAGGED_HINT_CALLS}"
    return f"({_untagged()} > {limits.UNTAGGED_HINT_RATIO:g})\n  and on () ({enough})"


_NOW = Row(
    "Now, against the period before",
    (
        compared(
            "spend",
            "Spend",
            "US dollars over the time range, by the price list and the usage that providers "
            "reported. Calls without a known price or usage are not in it: see Models and "
            "providers.",
            look=Look(unit="currencyUSD", decimals=2, steps=(Step(COST),)),
            now=spend(),
            before=spend(offset=PERIOD),
            is_more_bad=True,
        ),
        ALL_CALLS,
        compared(
            "error-ratio",
            "Error ratio",
            "Share of calls that failed by a fault of the provider or the gateway. Mistakes of "
            "callers, denials and cancellations are neither failed nor counted. Red from the "
            "default objective on: see below which feature it is.",
            look=Look(unit="percentunit", decimals=2, steps=limit(limits.ERROR_RATIO)),
            now=error_ratio(),
            before=error_ratio(offset=PERIOD),
            is_more_bad=True,
        ),
        compared(
            "p95",
            "p95 wait",
            "95 of 100 callers whose call went well waited at most so long, from the request's "
            "first byte to the answer's last. Red from the default objective on. Waits are not "
            "counted by task: that filter does not hold here.",
            look=Look(unit="s", decimals=2, steps=limit(limits.P95_S)),
            now=wait_p95(window=PERIOD),
            before=wait_p95(window=PERIOD, offset=PERIOD),
            is_more_bad=True,
        ),
        ALL_TOKENS,
        compared(
            "untagged",
            "Untagged share",
            "Share of calls that name no feature. Have them send the header X-Feature, or W3C "
            "baggage spanmeter.feature, or give their gateway key a default. Red where the alert "
            "fires. Of all features, whichever are chosen.",
            look=Look(unit="percentunit", decimals=1, steps=limit(limits.UNTAGGED_RATIO)),
            now=_untagged(),
            before=_untagged(offset=PERIOD),
            is_more_bad=True,
        ),
    ),
)

_ALL_SCOPES = 'scope="all"'
_HEED = Row(
    "What to look at",
    (
        stat(
            "hint",
            "Who pays for calls without a feature?",
            description=f"Shown when over {limits.UNTAGGED_HINT_RATIO:.0%} of the calls in the "
            f"time range, and more than {limits.UNTAGGED_HINT_CALLS}, name no feature: nobody can "
            "tell what they are for. Have their application send the header X-Feature; the tags "
            "that they have are on Tags, chosen feature untagged.",
            look=Look(
                unit="percentunit",
                decimals=0,
                steps=(Step("orange"),),
                no_value="Enough calls name their feature",
                minimum=None,
            ),
            queries=(Query(_hint(), "of calls name no feature: send X-Feature", is_instant=True),),
            width=8,
        ),
        stat(
            "month",
            "This calendar month's spend and budget",
            description="US dollars since the month began (UTC), what the month will come to at "
            "the pace so far, and its budget, as the alert rules record them. Without a budget "
            "in slo.yaml there is none to show: set month_usd. No filter holds for it.",
            look=Look(
                unit="currencyUSD",
                decimals=0,
                steps=(Step(COST),),
                no_value="no budget: set month_usd in slo.yaml",
                minimum=None,
            ),
            queries=(
                Query(f"{series.MONTH_SPENT}{{{_ALL_SCOPES}}}", "spent", is_instant=True),
                Query(f"{series.MONTH_FORECAST}{{{_ALL_SCOPES}}}", "forecast", is_instant=True),
                Query(f"{series.MONTH_BUDGET}{{{_ALL_SCOPES}}}", "budget", is_instant=True),
            ),
            width=8,
        ),
        stat(
            "alerts",
            "Alerts that fire now",
            description="Alerts of the chosen features and of the gateway that fire at the end of "
            "the time range. Click to see which; each has a playbook.",
            look=Look(decimals=0, steps=(Step(GOOD), Step(BAD, 1)), minimum=None),
            queries=(
                Query(
                    f"count(ALERTS{{{FIRING},{_CHOSEN}}}) or vector(0)",
                    "firing",
                    is_instant=True,
                ),
            ),
            width=8,
            links=(drill("SLO and anomalies", places.SLO),),
        ),
    ),
)

_COURSE = Row(
    "Course",
    (by_feature.spend_rate(), by_feature.call_rate(), by_feature.errors(), by_feature.waits()),
)

_MOVERS = Row(
    "Who moved against last week",
    (
        by_label(
            "movers",
            "Whose spend moved against last week?",
            FEATURE,
            head="Feature",
            description="Spend of this time range and of the same range a week ago, by what the "
            "feature spends more or less. A new feature has no last week, one that is gone has "
            "no spend. Click a feature to see why.",
            height=10,
            width=16,
            sort_by="More than last week",
            columns=(
                Column(name="Spend", expr=spend(FEATURE), unit="currencyUSD", decimals=2),
                Column(
                    name="Last week",
                    expr=spend(FEATURE, offset=WEEK),
                    unit="currencyUSD",
                    decimals=2,
                ),
                Column(
                    name="More than last week",
                    expr=difference(spend(FEATURE), spend(FEATURE, offset=WEEK), FEATURE),
                    unit="currencyUSD",
                    decimals=2,
                ),
                Column(
                    name="Change",
                    expr=change(spend(FEATURE), spend(FEATURE, offset=WEEK)),
                    is_trend=True,
                ),
                Column(name="Calls", expr=calls(FEATURE), decimals=0),
            ),
            overrides=(by_feature.CELL,),
        ),
        bars(
            "share",
            "Who spends the most?",
            description="US dollars over the time range, the ten features that spend the most. "
            "Click one to see on what.",
            look=Look(unit="currencyUSD", decimals=2, steps=(Step(COST),)),
            queries=(Query(f"topk(10, {spend(FEATURE)})", by_feature.LEGEND, is_instant=True),),
            overrides=(by_feature.GREY,),
            links=(by_feature.DRILL,),
            height=10,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-overview",
    description="What LLM calls cost, whether they work, how long they take, and who changed.",
    rows=(_NOW, _HEED, _COURSE, _MOVERS),
)
