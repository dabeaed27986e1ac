"""Tags: calls, cost and errors by the values of one tag key, within any combination of tags.

Every panel reads counters of calls only: they carry all labels, so free filters empty none.
"""

from dataclasses import replace

from grafana import by_feature, limits, sources
from grafana.comparisons import ALL_CALLS, ALL_TOKENS, compared
from grafana.frame import Dashboard, offered
from grafana.panels import (
    COST,
    GOOD,
    WARN,
    Json,
    Look,
    Panel,
    Query,
    Row,
    Step,
    limit,
    lines,
    stat,
)
from grafana.queries import (
    AT_END,
    FEATURE,
    MODEL,
    PERIOD,
    TAG_KEYS,
    WEEK,
    calls,
    change,
    error_ratio,
    leading,
    named,
    or_zero,
    per_second,
    read,
    share,
    spend,
    tag_label,
    tokens,
)
from grafana.tables import Column, by_label

KEY = "$key"
"""The label of the chosen key."""
VALUE = "value"
"""Stands for that label, whichever it is: columns and legends need a name that stays."""
UNTAGGED = "untagged"
"""Stands for the calls that lack the key, grey as those without a feature."""
_LACKS = f'{KEY}=""'
_HAS = f'{KEY}!=""'
_NO_CALLS = "no calls in this time range"
_ERRORS = limit(limits.ERROR_RATIO)
_MISSING = (Step(GOOD), Step(WARN, limits.UNTAGGED_HINT_RATIO))
_SEND = (
    "Have their application send the key in the header X-Tags, as in X-Tags: env:prod, or in the "
    "body's tags, or give their gateway key a default."
)
_TEN = "The ten values that lead over the time range."


def key_variable() -> Json:
    """Offer the tag keys that are labels; the value is the label, for `by ($key)`."""
    return offered("key", "Tag key", {key: tag_label(key) for key in TAG_KEYS})


def _valued(expr: str, *kept: str) -> str:
    joined = f'label_join({expr}, "{VALUE}", "", "{KEY}")'
    return named(f"sum by ({', '.join((VALUE, *kept))}) ({joined})", VALUE, UNTAGGED)


def _lacking(*by: str, offset: str = "") -> str:
    without = calls(*by, matchers=(_LACKS,), offset=offset)
    every = calls(*by, offset=offset)
    return f"{or_zero(without, every, *by)}\n  / ({every} > 0)"


_GLANCE = Row(
    "What is chosen, against the period before",
    (
        compared(
            "spend",
            "Spend",
            "US dollars over the time range of the calls that all filters let through. Calls "
            "without a known price or usage are not in it: see Models and providers.",
            look=Look(unit="currencyUSD", decimals=2, steps=(Step(COST),)),
            now=spend(),
            before=spend(offset=PERIOD),
            is_more_bad=True,
        ),
        ALL_CALLS,
        compared(
            "error-ratio",
            "Error ratio",
            "Share of calls that failed by a fault of the provider or the gateway. Red from the "
            "default objective on: see below which value it is.",
            look=Look(unit="percentunit", decimals=2, steps=_ERRORS),
            now=error_ratio(),
            before=error_ratio(offset=PERIOD),
            is_more_bad=True,
        ),
        ALL_TOKENS,
        stat(
            "values",
            "Values of the tag in use",
            description="How many values of the chosen key had calls in the time range. A key with "
            "ever more values, as of users or orders, does not belong into tags.labels: beyond its "
            "budget the rest is folded into __other__.",
            look=Look(decimals=0, minimum=None),
            queries=(
                Query(
                    f"count({calls(KEY, matchers=(_HAS,))} > 0) or vector(0)",
                    "values",
                    is_instant=True,
                ),
            ),
        ),
        compared(
            "lacking",
            "Calls without the tag",
            "Share of calls that do not carry the chosen key: their cost is nobody's in a "
            f"breakdown by it. Orange over {limits.UNTAGGED_HINT_RATIO:.0%}: see at the bottom "
            f"whose they are. {_SEND}",
            look=Look(unit="percentunit", decimals=1, steps=_MISSING),
            now=_lacking(),
            before=_lacking(offset=PERIOD),
            is_more_bad=True,
        ),
    ),
)


def _since(name: str, now: str, before: str, *, is_good_or_bad: bool = True) -> Column:
    return Column(
        name=name,
        expr=_valued(change(now, before)),
        is_arrow=True,
        is_good_or_bad=is_good_or_bad,
    )


_VALUES = Row(
    "Values of the chosen key, against last week",
    (
        by_label(
            "values-table",
            "What does each value cost, and what changed since last week?",
            VALUE,
            head="Tag value",
            description="Sums over the time range by the first value that a call has for the "
            "chosen key; all rows together are all calls. The arrow behind a number compares with "
            "the same range a week ago: flat within 1 %, blank where there was nothing. Choose a "
            "value in its variable above to see what it is made of.",
            height=10,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=(
                Column(name="Calls", expr=_valued(calls(KEY)), decimals=0),
                _since("Calls since", calls(KEY), calls(KEY, offset=WEEK), is_good_or_bad=False),
                Column(name="Tokens", expr=_valued(tokens(KEY)), decimals=1),
                _since("Tokens since", tokens(KEY), tokens(KEY, offset=WEEK), is_good_or_bad=False),
                Column(name="Cost", expr=_valued(spend(KEY)), unit="currencyUSD", decimals=2),
                _since("Cost since", spend(KEY), spend(KEY, offset=WEEK)),
                Column(
                    name="Share of cost",
                    expr=_valued(share(spend(KEY), spend())),
                    unit="percentunit",
                    decimals=1,
                ),
                Column(
                    name="Cost a call",
                    expr=_valued(f"{spend(KEY)}\n  / ({calls(KEY)} > 0)"),
                    unit="currencyUSD",
                    decimals=5,
                ),
                Column(
                    name="Error ratio",
                    expr=_valued(error_ratio(KEY)),
                    unit="percentunit",
                    decimals=2,
                    steps=_ERRORS,
                ),
                _since("Errors since", error_ratio(KEY), error_ratio(KEY, offset=WEEK)),
            ),
        ),
    ),
)


def _drawn(panel: Panel, expr: str, ranked_by: str) -> Panel:
    query = Query(_valued(leading(expr, ranked_by, KEY)), f"{{{{{VALUE}}}}}")
    return replace(panel, queries=(query,), overrides=(by_feature.GREY_LINE,))


_COURSE = Row(
    "Course",
    (
        _drawn(
            lines(
                "spend-rate",
                "Which value spends how much an hour?",
                description=f"US dollars an hour at the pace of each moment. {_TEN} A step: look "
                "below which feature or model it is.",
                look=Look(unit="currencyUSD", decimals=2),
                is_stacked=True,
            ),
            f"3600 * {per_second(read(sources.COST), KEY)}",
            spend(KEY, offset=AT_END),
        ),
        _drawn(
            lines(
                "call-rate",
                "Which value makes how many calls a minute?",
                description=f"Calls that ended, whatever their outcome. {_TEN} Spend that rises "
                "while calls do not: a dearer model or longer prompts.",
                look=Look(decimals=1),
                is_stacked=True,
            ),
            f"60 * {per_second(read(sources.CALLS), KEY)}",
            calls(KEY, offset=AT_END),
        ),
        _drawn(
            lines(
                "errors",
                "Which value fails?",
                description="Share of calls that failed by a fault of the provider or the gateway; "
                "of few calls one failure is much. The dashed line is the default objective. The "
                "ten values with the most calls. One value alone: look what it does otherwise, as "
                "its models below.",
                look=Look(unit="percentunit", decimals=1, steps=_ERRORS, no_value=_NO_CALLS),
            ),
            error_ratio(KEY, is_rate=True),
            calls(KEY, offset=AT_END),
        ),
    ),
)


def _pairs(label: str) -> tuple[Column, ...]:
    return (
        Column(name="Cost", expr=_valued(spend(KEY, label), label), unit="currencyUSD", decimals=2),
        Column(
            name="Share of the value",
            expr=_valued(share(spend(KEY, label), spend(KEY), KEY), label),
            unit="percentunit",
            decimals=1,
        ),
        Column(name="Calls", expr=_valued(calls(KEY, label), label), decimals=0),
        Column(
            name="Error ratio",
            expr=_valued(error_ratio(KEY, label), label),
            unit="percentunit",
            decimals=2,
            steps=_ERRORS,
        ),
    )


_MADE_OF = Row(
    "What each value pays for",
    (
        by_label(
            "value-features",
            "Which features does each value pay for?",
            VALUE,
            head="Tag value",
            further={FEATURE: "Feature"},
            description="Sums over the time range by value and feature; the share is that of the "
            "value's own cost. What a team is charged for stands here. Click a feature to see it "
            "in depth.",
            height=10,
            width=12,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=_pairs(FEATURE),
            overrides=(by_feature.CELL,),
        ),
        by_label(
            "value-models",
            "Which models does each value pay for?",
            VALUE,
            head="Tag value",
            further={MODEL: "Model"},
            description="Sums over the time range by value and model; the share is that of the "
            "value's own cost. A dear model in a staging environment is the first place to save.",
            height=10,
            width=12,
            sort_by="Cost",
            look=Look(no_value=_NO_CALLS),
            columns=_pairs(MODEL),
        ),
    ),
)
_LACKING = Row(
    "Calls without the tag",
    (
        by_label(
            "lacking-features",
            "Which feature's calls lack the tag?",
            FEATURE,
            head="Feature",
            description=f"Calls over the time range that do not carry the chosen key. {_SEND}",
            width=12,
            sort_by="Without",
            look=Look(no_value=_NO_CALLS),
            columns=(
                Column(
                    name="Without",
                    expr=or_zero(calls(FEATURE, matchers=(_LACKS,)), calls(FEATURE), FEATURE),
                    decimals=0,
                ),
                Column(
                    name="Share of its calls",
                    expr=_lacking(FEATURE),
                    unit="percentunit",
                    decimals=1,
                    steps=_MISSING,
                ),
                Column(
                    name="Cost without",
                    expr=or_zero(spend(FEATURE, matchers=(_LACKS,)), spend(FEATURE), FEATURE),
                    unit="currencyUSD",
                    decimals=2,
                ),
            ),
            overrides=(by_feature.CELL,),
        ),
        lines(
            "lacking-course",
            "Since when do calls lack the tag?",
            description="Share of calls at each moment that do not carry the chosen key. The "
            "dashed line is where it becomes orange above. A step up: look who deployed, and "
            "whether a proxy in between removes the header.",
            look=Look(unit="percentunit", decimals=1, steps=_MISSING, no_value=_NO_CALLS),
            queries=(
                Query(
                    or_zero(
                        per_second(read(sources.CALLS, _LACKS)), per_second(read(sources.CALLS))
                    )
                    + f"\n  / ({per_second(read(sources.CALLS))} > 0)",
                    UNTAGGED,
                ),
            ),
            overrides=(by_feature.GREY_LINE,),
            width=12,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="spanmeter-tags",
    description="Calls, cost and errors by the values of one tag key, filtered by any combination "
    "of tags. Tags that are labels only (tags.labels).",
    rows=(_GLANCE, _VALUES, _COURSE, _MADE_OF, _LACKING),
    own_variables=(key_variable(),),
    has_ad_hoc_filters=True,
)
