"""Feature in depth: what one feature is made of, whether it works, how long it takes, its cost."""

from grafana import limits
from grafana.comparisons import compared
from grafana.dashboards.feature_parts import PARTS
from grafana.frame import Dashboard
from grafana.panels import (
    BAD,
    COST,
    GOOD,
    WARN,
    Json,
    Look,
    Query,
    Row,
    Step,
    column,
    drill,
    limit,
    lines,
    stat,
)
from grafana.queries import (
    AT_END,
    ERROR,
    MODEL,
    ONE_FEATURE,
    OUTCOME,
    PERIOD,
    TOKEN_CLASS,
    WENT_WELL,
    cache_share,
    calls,
    error_ratio,
    first_chunk,
    leading,
    per_second,
    select,
    spend,
    streams,
    wait,
    wait_p95,
)
from spanmeter_gateway.alerting import places, series
from spanmeter_gateway.telemetry import names

_ONE = (ONE_FEATURE,)
_NO_CALLS = "no calls in this time range"
_ERRORS = limit(limits.ERROR_RATIO)


def _spend(*by: str, offset: str = "") -> str:
    return spend(*by, matchers=_ONE, offset=offset)


def _calls(*by: str, offset: str = "") -> str:
    return calls(*by, matchers=_ONE, offset=offset)


def _minutely(*by: str, matchers: tuple[str, ...] = ()) -> str:
    return f"60 * {per_second(select(names.CALLS, *_ONE, *matchers), *by)}"


_GLANCE = Row(
    "At a glance, against the period before",
    (
        compared(
            "spend",
            "Spend",
            "US dollars that this feature cost over the time range, by the price list and the "
            "usage that providers reported.",
            look=Look(unit="currencyUSD", decimals=2, steps=(Step(COST),)),
            now=_spend(),
            before=_spend(offset=PERIOD),
            is_more_bad=True,
        ),
        compared(
            "calls",
            "Calls",
            "Calls of this feature that ended, whatever their outcome.",
            look=Look(decimals=0),
            now=_calls(),
            before=_calls(offset=PERIOD),
        ),
        compared(
            "error-ratio",
            "Error ratio",
            "Share of calls that failed by a fault of the provider or the gateway. Red from the "
            "default objective on: look below at the outcomes, then at the errors by type.",
            look=Look(unit="percentunit", decimals=2, steps=_ERRORS),
            now=error_ratio(matchers=_ONE),
            before=error_ratio(matchers=_ONE, offset=PERIOD),
            is_more_bad=True,
        ),
        compared(
            "p95",
            "p95 wait",
            "95 of 100 callers whose call went well waited at most so long. Red from the default "
            "objective on. Waits are not counted by task: that filter does not hold here.",
            look=Look(unit="s", decimals=2, steps=limit(limits.P95_S)),
            now=wait_p95(matchers=_ONE, window=PERIOD),
            before=wait_p95(matchers=_ONE, window=PERIOD, offset=PERIOD),
            is_more_bad=True,
        ),
        compared(
            "first-chunk-p95",
            "p95 first chunk",
            "Of streamed calls: how long 95 of 100 attempts at most were without an answer's first "
            "chunk. Red from the default objective on. Not counted by task.",
            look=Look(unit="s", decimals=2, steps=limit(limits.FIRST_CHUNK_P95_S)),
            now=first_chunk(0.95, matchers=_ONE, window=PERIOD),
            before=first_chunk(0.95, matchers=_ONE, window=PERIOD, offset=PERIOD),
            is_more_bad=True,
        ),
        stat(
            "budget-left",
            "Error budget left",
            description="What is left of the failures that the objective allows in 30 days, as the "
            "alert rules record it; below 0 it is overspent. Of the whole feature: no other filter "
            "holds. Spent: freeze risky changes, and look at SLO and anomalies.",
            look=Look(
                unit="percentunit",
                decimals=0,
                steps=(Step(BAD), Step(GOOD, 0)),
                no_value="not recorded: load grafana/rules",
                minimum=None,
            ),
            queries=(Query(f"{series.BUDGET_LEFT}{{{ONE_FEATURE}}}", "left", is_instant=True),),
            links=(drill("SLO and anomalies", places.SLO, feature="${feature:percentencode}"),),
        ),
    ),
)


_COLOR_BY_OUTCOME = {
    "ok": GOOD,
    "caller_error": "yellow",
    "policy_denied": "purple",
    "provider_error": BAD,
    "gateway_error": "dark-red",
    "cancelled": "light-blue",
}


def _fixed(name: str, color: str, **properties: object) -> Json:
    return column(name, color={"mode": "fixed", "fixedColor": color}, **properties)


_FAILED = f'{ERROR}!=""'
_WINDOWS = ("1h", "6h", "3d")
_WORKS = Row(
    "Does it work?",
    (
        lines(
            "outcomes",
            "How do its calls end, and whose fault is it?",
            is_stacked=True,
            description="Calls a minute by outcome. Red is the provider's fault, dark red the "
            "gateway's, yellow the caller's, purple was denied by a limit, light blue left first. "
            "Only the reds count against the objective.",
            look=Look(decimals=1, no_value=_NO_CALLS),
            queries=(Query(_minutely(OUTCOME), f"{{{{{OUTCOME}}}}}"),),
            overrides=tuple(_fixed(name, color) for name, color in _COLOR_BY_OUTCOME.items()),
        ),
        lines(
            "errors",
            "What goes wrong?",
            is_stacked=True,
            description="Calls a minute that did not end well, by their error type (see "
            "docs/errors.md), the ten most frequent ones of the time range. 429 "
            "and overload are the provider's limits, 4xx the caller's request.",
            look=Look(decimals=2, no_value="no errors in this time range"),
            queries=(
                Query(
                    leading(
                        _minutely(ERROR, matchers=(_FAILED,)),
                        calls(ERROR, matchers=(*_ONE, _FAILED), offset=AT_END),
                        ERROR,
                    ),
                    f"{{{{{ERROR}}}}}",
                ),
            ),
        ),
        lines(
            "burn",
            "How fast does it spend its error budget?",
            description="Failures over the last hour, 6 hours and 3 days, in multiples of the rate "
            "that spends the budget of 30 days in 30 days; the dashed lines are where alerts "
            "open a ticket and page. Of the whole feature: no other filter holds.",
            look=Look(
                decimals=1,
                steps=(Step(GOOD), Step(WARN, limits.BURN_TICKET), Step(BAD, limits.BURN_PAGE)),
                no_value="not recorded: load grafana/rules",
            ),
            queries=tuple(
                Query(
                    f"{series.fault_ratio(window)}{{{ONE_FEATURE}}}\n"
                    f"  / {series.ERROR_BUDGET}{{{ONE_FEATURE}}}",
                    f"over {window}",
                )
                for window in _WINDOWS
            ),
        ),
    ),
)


def _count(name: str) -> Json:
    # A quantile of few calls is noise: their number stands behind it.
    return _fixed(
        name,
        "#8e8e8e",
        unit="short",
        custom__drawStyle="bars",
        custom__lineWidth=0,
        custom__fillOpacity=15,
        custom__axisPlacement="right",
    )


_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_LASTS = Row(
    "How long does it take?",
    (
        lines(
            "wait",
            "How long do its callers wait?",
            description="What half, 95 and 99 of 100 callers whose call went well waited at most, "
            "and in grey how many calls a minute that is of: of few, a quantile is noise. The "
            "dashed line is the default objective of p95. A dot leads to a trace. Not counted by "
            "task.",
            look=Look(unit="s", decimals=1, steps=limit(limits.P95_S), no_value=_NO_CALLS),
            queries=(
                *(
                    Query(wait(portion, matchers=_ONE), name, has_exemplars=name == "p95")
                    for name, portion in _QUANTILES.items()
                ),
                Query(_minutely(matchers=(WENT_WELL,)), "calls a minute"),
            ),
            overrides=(_count("calls a minute"),),
            width=12,
        ),
        lines(
            "first-chunk",
            "How long until the first chunk?",
            description="Of streamed attempts: what half, 95 and 99 of 100 took at most until the "
            "first chunk, and in grey how many a minute that is of. The dashed line is the "
            "default objective of p95. A dot leads to a trace. Not counted by task.",
            look=Look(
                unit="s",
                decimals=2,
                steps=limit(limits.FIRST_CHUNK_P95_S),
                no_value="no streamed calls in this time range",
            ),
            queries=(
                *(
                    Query(first_chunk(portion, matchers=_ONE), name, has_exemplars=name == "p95")
                    for name, portion in _QUANTILES.items()
                ),
                Query(f"60 * ({streams(matchers=_ONE)})", "streams a minute"),
            ),
            overrides=(_count("streams a minute"),),
            width=12,
        ),
    ),
)


def _cost_per_call(*by: str) -> str:
    cost = per_second(select(names.COST, *_ONE), *by)
    return f"{cost}\n  / ({per_second(select(names.CALLS, *_ONE), *by)} > 0)"


_COSTS = Row(
    "What does it cost?",
    (
        lines(
            "cost-per-call",
            "What does one call cost?",
            description="US dollars a call at each moment, of all calls and of each of the ten "
            "models that cost the most. It rises with longer prompts and answers, a dearer model, "
            "or a cache that is missed: see beside.",
            look=Look(unit="currencyUSD", decimals=5, no_value=_NO_CALLS),
            queries=(
                Query(_cost_per_call(), "all models"),
                Query(
                    leading(
                        _cost_per_call(MODEL), spend(MODEL, matchers=_ONE, offset=AT_END), MODEL
                    ),
                    f"{{{{{MODEL}}}}}",
                ),
            ),
            overrides=(_fixed("all models", COST, custom__lineWidth=2),),
            width=12,
        ),
        lines(
            "tokens",
            "Which tokens, and how many come from a cache?",
            is_stacked=True,
            description="Tokens a minute by class; the classes are disjoint. The line on the right "
            "axis is the share of input tokens that the provider read from its cache, for a "
            "fraction of the price. If it falls, look for what changes where prompts begin.",
            look=Look(decimals=1, no_value="no tokens in this time range"),
            queries=(
                Query(
                    f"60 * {per_second(select(names.TOKENS, *_ONE), TOKEN_CLASS)}",
                    f"{{{{{TOKEN_CLASS}}}}}",
                ),
                Query(cache_share(_ONE), "cache share"),
            ),
            overrides=(
                _fixed(
                    "cache share",
                    "text",
                    unit="percentunit",
                    max=1,
                    custom__axisPlacement="right",
                    custom__stacking={"mode": "none", "group": "B"},
                    custom__fillOpacity=0,
                    custom__lineWidth=2,
                ),
            ),
            width=12,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-feature",
    description="One feature: its models, tasks and tags, how its calls end, what callers wait, "
    "and what a call costs.",
    rows=(_GLANCE, PARTS, _WORKS, _LASTS, _COSTS),
    is_of_one_feature=True,
)
